"""Which GPU a run uses where several runs share a computer.

Snakemake counts how many runs use a GPU at once and never says which one, so each run chooses: the least used of the
GPUs it may use, by a lock on one of that GPU's slots. The kernel drops the lock when the process ends, however it ends.

The slots lie in one folder per computer and not in the clone: two clones, or two people, share the same GPUs. They are
named by the GPUs' UUIDs, because an index means another GPU inside of a Slurm job or a container.
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from math import inf
from pathlib import Path

from relatent.specs.errors import RelatentError
from relatent.specs.sharing import SETTING, VARIABLE, runs_per_gpu
from relatent.training.egl import egl_index

# Not the temporary folder that TMPDIR names: that one differs between users and jobs.
FOLDER = Path("/tmp/relatent-gpu")
PAUSE = 1.0  # seconds between looks at slots that are all taken


def claim(gpus: int, folder: Path = FOLDER) -> str | None:
    """Take a slot of the least used GPU until this process ends, show CUDA and MuJoCo that GPU only, and name it.

    `gpus` is what the run asks for, 0 or 1. A run that asks for none gets None and nothing is changed. So does one for
    which there is none, on this machine or by CUDA_VISIBLE_DEVICES. While all slots are taken it waits, and says so.
    To be called before CUDA starts, which is when PyTorch first uses a GPU, and not yet when it is imported.

    Raises RelatentError when more than one GPU is asked for, the driver does not answer or the folder of the slots
    cannot be used.
    """
    if gpus > 1:
        raise RelatentError(f"resources: gpu: found {gpus}, expected 0 or 1: a run is one process on one GPU")
    devices = visible(installed(), os.environ.get("CUDA_VISIBLE_DEVICES")) if gpus else []
    if not devices:
        return None
    # Slurm has counted already; to wait here would be to use up its job's time.
    limit = inf if "SLURM_JOB_ID" in os.environ else runs_per_gpu(os.environ, VARIABLE)
    try:
        device = wait(devices, limit, open_folder(folder))
    except OSError as error:
        mend = f"remove it, or let everybody use it: chmod 1777 {folder}"
        raise RelatentError(f"{folder}: no locks for GPUs can be kept there: {error.strerror}; {mend}") from None
    os.environ["CUDA_VISIBLE_DEVICES"] = device
    if os.environ.get("MUJOCO_GL") == "egl" and "MUJOCO_EGL_DEVICE_ID" not in os.environ:
        index = egl_index()
        if index is not None:
            os.environ["MUJOCO_EGL_DEVICE_ID"] = str(index)
    return device


def installed() -> list[list[str]]:
    """UUIDs of the GPUs that this process can reach, in nvidia-smi's order: one for a GPU, or one for each part of a
    GPU that is divided (MIG). Raises RelatentError if the driver does not answer."""
    if not shutil.which("nvidia-smi"):
        return []
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    said = " ".join((done.stdout + done.stderr).split())
    if done.returncode and "no devices" not in said.lower():
        raise RelatentError(f"nvidia-smi -L: the NVIDIA driver does not answer: {said or done.returncode}")
    gpus: list[list[str]] = []
    for kind, uuid in re.findall(r"\(UUID: ((?:GPU|MIG)-)([^)]+)\)", done.stdout):
        if kind == "GPU-":
            gpus.append([kind + uuid])
        else:
            gpus[-1] = [part for part in gpus[-1] if part.startswith(kind)] + [kind + uuid]
    return gpus


def visible(gpus: list[list[str]], restriction: str | None) -> list[str]:
    """Those that CUDA_VISIBLE_DEVICES lets this process use. It has indices in nvidia-smi's order, UUIDs or the
    beginnings of UUIDs."""
    every = [device for gpu in gpus for device in gpu]
    if restriction is None:
        return every
    devices = []
    for name in (part.strip() for part in restriction.split(",")):
        if name.isdecimal():
            found = gpus[int(name)][:1] if int(name) < len(gpus) else []  # of a divided GPU, CUDA takes the first part
        else:
            found = [device for device in every if name and device.startswith(name)]
        if len(found) != 1:
            break  # as CUDA does: a name that is not one device's, and what follows it, counts for nothing
        devices += found
    return devices


def wait(devices: list[str], limit: float, inside: int) -> str:
    """The device of which a slot was taken, once there is one."""
    device = take(devices, limit, inside)
    if device is None:
        print(f"waiting for a GPU: all slots are taken ({SETTING}: {limit}) of {', '.join(devices)}", flush=True)
    while device is None:
        time.sleep(PAUSE)
        device = take(devices, limit, inside)
    return device


def take(devices: list[str], limit: float, inside: int) -> str | None:
    """Lock a slot of the device with the fewest runs, the first of equals; None if each has `limit` of them.

    The lock is on a file that stays open, so it ends with this process. Programs that it starts do not inherit it.
    """
    with choosing(inside):
        taken = {device: taken_slots(device, inside) for device in devices}
        best = min(devices, key=lambda device: len(taken[device]))
        if len(taken[best]) >= limit:
            return None
        slot = next(slot for slot in count() if slot not in taken[best])
        fcntl.flock(shared_file(f"{best}.{slot}", inside), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return best


def taken_slots(device: str, inside: int) -> set[int]:
    """Slots of a device that a living process holds."""
    taken = set()
    for name in os.listdir(inside):
        owner, _, slot = name.rpartition(".")
        if owner == device:
            file = shared_file(name, inside)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                taken.add(int(slot))
            os.close(file)
    return taken


@contextmanager
def choosing(inside: int) -> Iterator[None]:
    """Be the only process on this computer that looks for a slot."""
    guard = shared_file("choosing", inside)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield
    finally:
        os.close(guard)


def open_folder(folder: Path) -> int:
    """The folder that all users of this computer share. systemd-tmpfiles, which removes old files from /tmp, spares
    what lies in a locked folder (man tmpfiles.d), so this lock stays too: a slot without its file can be taken twice.
    """
    with for_everybody():
        folder.mkdir(mode=0o1777, exist_ok=True)
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    fcntl.flock(inside, fcntl.LOCK_SH)
    return inside


def shared_file(name: str, inside: int) -> int:
    """An open file in the folder. It is opened to read only, which a lock allows, and created only if it is not there:
    the kernel refuses O_CREAT on another user's file in such a folder (sysctl fs.protected_regular)."""
    while True:
        with suppress(FileNotFoundError):
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=inside)
        with suppress(FileExistsError), for_everybody():
            return os.open(name, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444, dir_fd=inside)


@contextmanager
def for_everybody() -> Iterator[None]:
    """Create with the very permissions that are asked for."""
    mask = os.umask(0)
    try:
        yield
    finally:
        os.umask(mask)
