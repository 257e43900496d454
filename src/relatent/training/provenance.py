"""Where a run's numbers come from: code, locked environment, image, hardware, time.

The host's name and the user's are left out; nothing here says whose computer it was.
"""

import hashlib
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from relatent.specs.engine import IMAGE_VARIABLE

ROOT = Path(__file__).resolve().parents[3]  # the clone that this package runs from
CODE = ("src", "config", "workflow", "containers", "Snakefile", "pyproject.toml")  # what can decide a result
PACKAGES = ("torch", "numpy", "mujoco", "dm-control", "gymnasium")
IMAGE_FILE = Path("/etc/relatent-image")


def run_manifest(
    spec: dict[str, Any],
    run: Path,
    phase_seconds: dict[str, float],
    *,
    resumes: int,
    frames: int,
    device: str = "cpu",
) -> dict[str, Any]:
    """The content of a finished run's manifest.json. `phase_seconds` is wall time by phase, over all processes of the
    run; `started` is when the process that finished it began. Times are ISO 8601 in UTC. `device` is where it trained,
    as PyTorch names it."""
    return {
        "spec": spec,
        "run": run.as_posix(),
        "frames": frames,
        "resumes": resumes,
        "started": iso(psutil.Process().create_time()),
        "finished": iso(time.time()),
        "phase_seconds": {phase: round(seconds, 3) for phase, seconds in sorted(phase_seconds.items())},
        **source(ROOT),
        "lock_sha256": file_digest(ROOT / "containers/requirements.lock"),
        "image": image(),
        "software": software(),
        "hardware": hardware(device),
    }


def iso(seconds: float) -> str:
    """A time since the epoch as 2026-01-31T12:00:00Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def source(root: Path) -> dict[str, Any]:
    """Commit of a clone, and whether what decides results differs from it; both null outside a clone."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        return {"commit": None, "dirty": None}
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", *CODE)
    return {"commit": commit, "dirty": commit is None or changes != ""}


def _git(root: Path, *arguments: str) -> str | None:
    # A container may run as another user than the clone's owner, which git refuses unless told.
    command = ["git", "-c", f"safe.directory={root}", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def file_digest(path: Path) -> str | None:
    """sha256 of a file; None where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def image() -> str | None:
    """Id of the container image this process runs in; None outside of one.

    A .sif file has it inside. In podman and docker the starter states it, who asked the engine; of an image that was
    fetched from a registry by Apptainer, it is the digest that the registry has it under.
    """
    inside = IMAGE_FILE.read_text().strip() if IMAGE_FILE.is_file() else ""
    return inside or os.environ.get(IMAGE_VARIABLE) or None


def version(package: str) -> str | None:
    """Installed version of a package; None where it is missing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def software() -> dict[str, Any]:
    """Versions of what computes, and the instruction set PyTorch chose, on which the last bits depend."""
    import torch

    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


@cache
def hardware(device: str) -> dict[str, Any]:
    """CPU and memory of this machine, and the GPU that a run on `device` uses, however many others it sees."""
    import torch

    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(device)] if torch.device(device).type == "cuda" else [],
    }


def usable_cores() -> int:
    """Cores that this process may use: fewer than the machine has, inside a job of a cluster."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cpu_model() -> str:
    """The processor's name, such as `AMD EPYC 7B13`."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
