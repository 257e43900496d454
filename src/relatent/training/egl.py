"""Which of EGL's devices is the GPU that CUDA uses.

The two count differently, and drivers differ in whether CUDA_VISIBLE_DEVICES shortens EGL's list, so an index of one
says nothing about the other; MuJoCo ends with an error if its index is beyond the list. NVIDIA's EGL can be asked.
"""

import ctypes
from collections.abc import Iterator

MOST = 64  # devices asked for
CUDA_DEVICE = 0x323A  # EGL_CUDA_DEVICE_NV, of the extension EGL_NV_device_cuda


def egl_index() -> int | None:
    """Place in EGL's list of the first GPU that CUDA_VISIBLE_DEVICES shows; None where EGL is missing or knows no CUDA,
    as Mesa's does, for which MuJoCo finds a device itself."""
    return next((index for index, cuda in enumerate(cuda_devices()) if cuda == 0), None)


def cuda_devices() -> Iterator[int | None]:
    """CUDA's number of each of EGL's devices, None for one that CUDA does not know."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    query_devices = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    query_attribute = egl.eglGetProcAddress(b"eglQueryDeviceAttribEXT")
    if not query_devices or not query_attribute:
        return
    devices, found = (ctypes.c_void_p * MOST)(), ctypes.c_int()
    pointers = ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_int)
    if not ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, *pointers)(query_devices)(MOST, devices, found):
        return
    attribute = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(query_attribute)
    for device in devices[: found.value]:
        number = ctypes.c_ssize_t()
        yield number.value if attribute(device, CUDA_DEVICE, ctypes.byref(number)) else None
