"""The pinned image in real engines. What is missing is installed and built, where this is root on Debian."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relatent.specs.engine import limited_root
from relatent.specs.images import read_pins

ROOT = Path(__file__).resolve().parents[2]
APPTAINER = ROOT / "build/apptainer"  # where a real one is unpacked
FRAMES = """

rule frames:
    output:
        "frames.npy",
    log:
        "frames.log",
    shell:
        "python tests/containers/frames.py {output} > {log} 2>&1"
"""


@dataclass(frozen=True)
class Place:
    """Where jobs run: Snakemake's arguments, and variables of its environment."""

    name: str
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


def call(*command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this clone, with its own output shown when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done


def podman(*arguments: object) -> str:
    """Output of podman, set up as containers/engine.sh does."""
    settings = {"CONTAINERS_CONF": str(ROOT / "containers/containers.conf")} if limited_root() else {}
    return call("podman", *arguments, **settings).stdout.strip()


def behind() -> set[str]:
    """Containers, and mounts of images: what a test must not leave behind."""
    containers = podman("ps", "--all", "--quiet").split()
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return {*containers, *(mount for mount in mounts if "/overlay/" in mount or "apptainer" in mount)}


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """The id of the pinned image, built unless it is there."""
    if not shutil.which("podman") and not (os.geteuid() == 0 and shutil.which("apt-get")):
        pytest.skip("no podman here, and only root on Debian can install it")
    call("containers/build.sh", "cpu", CONTAINER_ENGINE="podman")
    before = behind()
    yield read_pins(ROOT)["cpu"].id
    assert behind() <= before


@pytest.fixture(scope="session")
def sif(image: str) -> Path:
    """The pinned image as a file of a real Apptainer, which is then the first on PATH. Debian 12 has none: it is put
    together from newer packages, and where these are gone there is none to test."""
    found = shutil.which("apptainer")
    if not found or "shim" in call(found, "--version").stdout:
        made = subprocess.run(
            ["containers/get_apptainer.sh", APPTAINER], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if made.returncode:
            pytest.skip(f"NO REAL APPTAINER, only podman is tested: {made.stderr.strip().splitlines()[-1]}")
        found = f"{made.stdout.strip()}/apptainer"
    os.environ["PATH"] = f"{Path(found).parent}:{os.environ['PATH']}"
    call("containers/sif.sh", "cpu", image)
    return ROOT / f"containers/relatent-cpu-{image[7:19]}.sif"


@pytest.fixture
def host() -> Place:
    return Place("host")


@pytest.fixture
def in_podman(image: str) -> Place:
    """Podman under the name of Apptainer, even where there is an Apptainer."""
    chosen = ("--profile", "profiles/container", "--config", f"container=docker://{image}")
    return Place("podman", chosen, {"CONTAINER_ENGINE": "podman"})


@pytest.fixture
def in_apptainer(sif: Path) -> Place:
    return Place("Apptainer", ("--profile", "profiles/container", "--config", f"container=containers/{sif.name}"))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what is tracked here, or new, with a rule for pictures and the files of images."""
    root = tmp_path / "clone"
    listed = call("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z").stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() or (ROOT / name).is_symlink():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name, follow_symlinks=False)
    for file in (ROOT / "containers").glob("*.sif"):
        (root / "containers" / file.name).symlink_to(file)
    with (root / "Snakefile").open("a") as snakefile:
        snakefile.write(FRAMES)
    return root


def snakemake(root: Path, place: Place, *targets: str) -> subprocess.CompletedProcess[str]:
    """Snakemake as a user calls it."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MUJOCO_GL")}
    command = [sys.executable, "-m", "snakemake", "--nocolor", "--cores", "2", *place.arguments, "--", *targets]
    return subprocess.run(
        command, cwd=root, env=environment | place.variables, capture_output=True, text=True, check=False
    )
