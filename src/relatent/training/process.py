"""How a process computes: on one thread, and in memory that it keeps."""

import ctypes
import platform

import torch

MMAP_THRESHOLD, TRIM_THRESHOLD, TOP_PAD = -3, -1, -2  # names of settings, malloc.h
MIB = 2**20


def begin_computing() -> None:
    """What every process does before its first update."""
    torch.set_num_threads(1)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let the C library reuse freed blocks of up to 256 MiB, 32 where it is too old for more.

    By itself it gives large blocks, and the heap's end once it is twice as long as the largest of them, back to the
    kernel, which fills its pages with zeros before they come again: 20,000 pages and a tenth of the time in one update
    of ALM. In exchange a process keeps about as much memory as it ever needed at once. Only glibc is told.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    # The others alone would be worse than nothing: with any of them the threshold stays at 128 KiB, if that is refused.
    if library.mallopt(MMAP_THRESHOLD, 256 * MIB) or library.mallopt(MMAP_THRESHOLD, 32 * MIB):
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(TOP_PAD, 64 * MIB)
