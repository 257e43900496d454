"""What this machine can do: one row a check, and what to do where something is missing."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from relatent.specs.engine import find_engine
from relatent.specs.errors import RelatentError
from relatent.specs.images import chosen_image
from relatent.training.provenance import cpu_model, usable_cores, version

OK, MISSING, PROBLEM = "ok", "missing", "problem"
STYLE = {OK: "green", MISSING: "yellow", PROBLEM: "bold red"}
DISK_GIB = 5  # checkpoints of a few runs at once, with full replay, and the environment itself


@dataclass(frozen=True)
class Check:
    name: str
    state: str
    """ok; missing: only what is named does without it; problem: training on this CPU cannot work."""
    found: str
    advice: str = ""


def examine(root: Path) -> Iterator[Check]:
    """Every check, one after the other; the slow ones last."""
    yield python()
    yield lock(root / "containers/requirements.lock")
    yield disk(root)
    yield cores()
    yield tool("git", ["git", "--version"], "manifests cannot name the commit", "apt-get install git")
    yield tool("Slurm", ["sbatch", "--version"], "--profile slurm", "use a login node of a cluster")
    yield containers(root)
    yield gpu()
    yield opengl()
    yield matmul()


def report(checks: Iterator[Check], console: Console) -> bool:
    """Print the checks as a table; True when CPU training can work."""
    table = Table("", "check", "found", "what to do", box=None, pad_edge=False)
    states = []
    for check in checks:
        states.append(check.state)
        table.add_row(f"[{STYLE[check.state]}]{check.state}[/]", check.name, check.found, check.advice)
    console.print(table)
    return PROBLEM not in states


def python() -> Check:
    here = platform.python_version()
    if sys.version_info[:2] == (3, 11):
        return Check("Python", OK, here)
    return Check("Python", PROBLEM, here, "use Python 3.11, for which the lock was made; then `make setup`")


def locked_versions(lock: Path) -> dict[str, str]:
    """Package versions that a pip lock file demands."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(), flags=re.MULTILINE))


def lock(path: Path) -> Check:
    if not path.is_file():
        return Check("locked packages", PROBLEM, f"no {path.name}", "run from inside a clone")
    wanted = locked_versions(path)
    different = [f"{name} {version(name) or 'none'}" for name, number in wanted.items() if version(name) != number]
    if not different:
        return Check("locked packages", OK, f"all {len(wanted)} as locked")
    some = ", ".join(different[:3]) + (", ..." if len(different) > 3 else "")
    return Check("locked packages", PROBLEM, f"{len(different)} of {len(wanted)} differ: {some}", "make setup")


def disk(root: Path) -> Check:
    free = shutil.disk_usage(root).free / 2**30
    if free >= DISK_GIB:
        return Check("disk space", OK, f"{free:.0f} GiB free")
    return Check("disk space", PROBLEM, f"{free:.1f} GiB free", f"free {DISK_GIB} GiB for runs and their checkpoints")


def cores() -> Check:
    usable = usable_cores()
    return Check("CPU", OK, f"{usable} cores, {cpu_model()}", f"snakemake -c{usable} trains {usable} runs at once")


def run(command: list[str], seconds: float = 60, **environment: str) -> tuple[bool, str]:
    """Whether a command succeeds, and the last line it printed."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env={**os.environ, **environment}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return done.returncode == 0, lines[-1] if lines else f"exit status {done.returncode}"


def tool(name: str, command: list[str], lost: str, advice: str) -> Check:
    """An optional program."""
    works, said = run(command) if shutil.which(command[0]) else (False, "not installed")
    return Check(name, OK if works else MISSING, said, "" if works else f"without it: no {lost}; {advice}")


def containers(root: Path) -> Check:
    """What runs container images here, and whether it has the pinned one."""
    try:
        engine = find_engine(root)
        image = chosen_image(root, None, "cpu", engine.shim)
    except RelatentError as error:
        return Check("containers", MISSING, str(error), "only needed to run inside the pinned image")
    works, said = run([engine.runs, "--version"])
    if not works:
        return Check("containers", MISSING, said, f"{engine.runs} is installed but does not work")
    if engine.shim:
        here, _ = run([engine.runs, "image", "inspect", image.removeprefix("docker://")])
    else:
        here = (root / image).is_file()
    if here:
        return Check("containers", OK, f"{said}, with the pinned image", "snakemake --profile profiles/container")
    return Check("containers", OK, f"{said}, without the pinned image", "make image, to run inside it")


def gpu() -> Check:
    if not shutil.which("nvidia-smi"):
        return Check("GPU", MISSING, "no NVIDIA driver", "state-based experiments run on the CPU")
    works, said = run(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    return Check("GPU", OK if works else MISSING, said, "" if works else "the driver is installed but does not answer")


RENDER = """
from dm_control import suite
suite.load("cartpole", "balance").physics.render(16, 16, camera_id=0)
"""


def opengl() -> Check:
    """Render one frame in a process of its own: the library is chosen once, at import."""
    said = ""
    for backend in dict.fromkeys([os.environ.get("MUJOCO_GL", "egl"), "egl", "osmesa"]):
        works, said = run([sys.executable, "-c", RENDER], MUJOCO_GL=backend, PYOPENGL_PLATFORM=backend)
        if works:
            return Check("OpenGL", OK, f"MUJOCO_GL={backend}")
    return Check(
        "OpenGL",
        MISSING,
        said[:80],
        "only quadruped_escape and pictures need it; on Debian: apt-get install libegl1 libopengl0 libegl-mesa0",
    )


MATMUL = """
import statistics, time, torch
torch.set_num_threads(1)
a = torch.randn(768, 768)
def seconds():
    start = time.perf_counter(); a @ a
    return time.perf_counter() - start
seconds()
print(f"{2 * 768**3 / statistics.median(seconds() for _ in range(15)) / 1e9:.0f} GFLOP/s")
"""


def matmul() -> Check:
    """float32 matrix product of one thread, which bounds how fast a run can learn."""
    works, said = run([sys.executable, "-c", MATMUL], OMP_NUM_THREADS="1")
    if works:
        return Check("float32, one thread", OK, said)
    return Check("float32, one thread", PROBLEM, said[:80], "PyTorch does not work: make setup")
