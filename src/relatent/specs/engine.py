"""What runs container images on this machine, and which image it is given.

Snakemake runs images by a command named apptainer (or singularity). Where there is none, containers/shim has one that
hands over to podman or docker.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relatent.specs.errors import RelatentError
from relatent.specs.images import REGISTRY, chosen_image

SHIM = "containers/shim"
ENGINES = ("podman", "docker")
IMAGE_VARIABLE = "RELATENT_IMAGE"  # where a run reads which image it is made in
SYS_RESOURCE = 24  # the number of CAP_SYS_RESOURCE
# What a user or Slurm says to a run, and --cleanenv would keep from it.
PASSED = ("CUDA_VISIBLE_DEVICES", "MUJOCO_GL", "MUJOCO_EGL_DEVICE_ID", "SLURM_JOB_ID")


@dataclass(frozen=True)
class Engine:
    command: str
    """What Snakemake calls, found on PATH: apptainer or singularity."""
    runs: str
    """What is behind it: apptainer, singularity, podman or docker."""

    @property
    def shim(self) -> bool:
        return self.runs in ENGINES


@dataclass(frozen=True)
class Container:
    """Where every job of the workflow runs."""

    engine: Engine
    image: str
    """As Snakemake is told."""


def choose_container(root: Path, settings: Mapping[str, Any]) -> Container:
    """The container for Snakemake's settings `container` and `variant`. Changes this process's environment so that its
    jobs find the engine and learn what they need.

    Raises RelatentError where there is no engine or no pinned image.
    """
    engine = find_engine(root)
    if engine.shim:
        os.environ["PATH"] = f"{root / SHIM}:{os.environ['PATH']}"
    elif limited_root():
        os.environ.setdefault(f"{engine.runs.upper()}_DROP_CAPS", "CAP_SYS_RESOURCE")
    image = chosen_image(root, settings.get("container"), settings.get("variant", "cpu"), engine.shim)
    os.environ.update(passed_on(engine, image, os.environ))
    return Container(engine, image)


def find_engine(root: Path) -> Engine:
    """Apptainer, or else podman or docker behind the shim; these come first where CONTAINER_ENGINE names one.

    Raises RelatentError where none of them is there and works.
    """
    chosen = os.environ.get("CONTAINER_ENGINE")
    for command in () if chosen else ("apptainer", "singularity"):
        found = shutil.which(command)
        if found and Path(found).resolve() != (root / SHIM / "apptainer").resolve():
            return Engine(command, command)
    installed = [name for name in ((chosen,) if chosen else ENGINES) if shutil.which(name)]
    for engine in filter(served, installed):
        return Engine("apptainer", Path(engine).name)
    wanted = f"CONTAINER_ENGINE={chosen}" if chosen else "apptainer, podman or docker"
    lacking = f"the server of {installed[0]} does not answer" if installed else "not on PATH"
    raise RelatentError(
        f"to run in a container needs {wanted}: {lacking}; without --sdm apptainer runs use this machine"
    )


def served(engine: str) -> bool:
    """Whether an engine that is installed can run anything: docker is a client, and needs its server."""
    if Path(engine).name != "docker":
        return True
    try:
        return not subprocess.run([engine, "version"], capture_output=True, timeout=20, check=False).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def limited_root() -> bool:
    """Whether this is root without CAP_SYS_RESOURCE, as on many virtual machines, whom Apptainer fails unless told."""
    status = Path("/proc/self/status")
    if os.geteuid() != 0 or not status.is_file():
        return False
    effective = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    return not int(effective.split()[1], 16) >> SYS_RESOURCE & 1


def passed_on(engine: Engine, image: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that the engine turns into variables inside of the container, with --cleanenv too."""
    inside = {name: environment[name] for name in PASSED if name in environment}
    # An image in a registry does not know its own id. The shim asks its engine for it, and a .sif file has it inside.
    if match := REGISTRY.fullmatch(image):
        inside[IMAGE_VARIABLE] = match[1]
    prefix = "SINGULARITYENV" if engine.runs == "singularity" else "APPTAINERENV"
    return {f"{prefix}_{name}": value for name, value in inside.items()}
