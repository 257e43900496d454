"""A clone of this repository in which Snakemake is called as a user calls it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.slurm.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
POLL = ("--slurm-init-seconds-before-status-checks", "2")
"""The plugin's first look at its jobs comes after 40 s otherwise, which is right for runs of hours."""
RESULTS = ("returns.csv", "probes.npz")
"""What a run's evaluation is; its manifest and its losses also say how long it took."""

# SAC with tiny networks: about 40 s on one core, so that there is something to interrupt.
TRIAL = """\
paper: trial
title: A trial of the cluster
source: {arxiv: "0000.00000"}
training: {frames: 9_000, random_frames: 1_000, eval_every: 3_000, eval_episodes: 1}
seeds: [0, 1]
resources: {gpu: 0, cpus: 1, mem_mb: 1_500, runtime: 20}
envs:
  states: {suite: dmc, action_repeat: 1}
tasks:
  one: {env: states, names: [cartpole_swingup]}
algorithms:
  sac:
    agent: sac
    label: SAC
    hyper: {layers: 2, width: 32, batch: 32, actor_lr: 3.0e-4, critic_lr: 3.0e-4, alpha_lr: 3.0e-4, gamma: 0.99,
            tau: 0.005, replay: 100_000, init_alpha: 1.0, update_after: 1_000}
figures:
  curve:
    kind: learning_curve
    title: A trial
    caption: One algorithm
    data: {algorithms: [sac], tasks: one}
"""


def copy_repository(root: Path) -> Path:
    """What a fresh clone has: the tracked files, as they are here, and no runs."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists() or (ROOT / name).is_symlink():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name, follow_symlinks=False)
    return root


class Clone:
    """A folder with the workflow, on a cluster or, without one, on this computer."""

    def __init__(self, root: Path, cluster: Cluster | None = None) -> None:
        self.root, self.cluster = root.resolve(), cluster

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.root / file).read_text()
        assert text.count(old) == 1, (file, old, text.count(old))
        (self.root / file).write_text(text.replace(old, new))

    def add_trial(self, seeds: str = "[0]", runtime: int = 20) -> None:
        """Add the paper that is interrupted. Its checkpoints come quickly, which changes no result."""
        paper = TRIAL.replace("seeds: [0, 1]", f"seeds: {seeds}").replace("runtime: 20", f"runtime: {runtime}")
        (self.root / "config/papers/trial.yaml").write_text(paper)
        self.edit("src/relatent/training/train.py", "CHECKPOINT_SECONDS = 30.0", "CHECKPOINT_SECONDS = 1.0")

    def snakemake(self, *arguments: str) -> "Call":
        """Start Snakemake; it goes on until it is waited for."""
        return Call(self, arguments)

    def slurm(self, *arguments: str) -> "Call":
        """The user's command for a cluster."""
        return self.snakemake("--profile", "slurm", *POLL, *arguments)

    def runs(self) -> list[Path]:
        """The folders of finished runs."""
        return sorted(path.parent for path in (self.root / "runs").rglob("returns.csv"))

    def log(self) -> str:
        """All that trainers said in their last attempts."""
        said = ""
        for path in sorted((self.root / "runs").rglob("train.log")):
            with suppress(FileNotFoundError):  # the next attempt begins
                said += path.read_text()
        return said

    def results(self) -> dict[str, bytes]:
        """All evaluation data."""
        return {
            str(run.relative_to(self.root) / name): (run / name).read_bytes() for run in self.runs() for name in RESULTS
        }

    def processes(self) -> list[str]:
        """The numbers and command lines of all processes that work in this folder."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "cwd").readlink() == self.root:
                    found.append(
                        f"{entry.name} " + (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:300]
                    )
            except OSError:  # gone, or another user's
                continue
        return found

    def assert_nothing_left(self) -> None:
        """No job in Slurm, no process in the folder, nothing to do."""
        cluster = self.cluster
        assert cluster
        cluster.until(lambda: not cluster.jobs(), 60, "a job is left")
        deadline = time.monotonic() + 60
        while left := self.processes():
            assert time.monotonic() < deadline, f"processes are left: {left}"
            time.sleep(0.2)
        assert "Nothing to be done" in self.slurm("-n", *self.last).wait().text

    last: tuple[str, ...] = ()
    """The target of the last call."""
    nice: int = 0
    """Of Snakemake and, through Slurm, of its jobs."""


class Call:
    """A running Snakemake."""

    def __init__(self, clone: Clone, arguments: tuple[str, ...]) -> None:
        self.clone, self.began = clone, time.monotonic()
        self.clone.last = arguments[-1:]
        self.output = clone.root / f".call-{time.monotonic_ns()}.log"
        environment = dict(clone.cluster.environment) if clone.cluster else dict(os.environ)
        environment.pop("PYTHONPATH", None)
        self.process = subprocess.Popen(
            ["nice", f"-{clone.nice}", sys.executable, "-m", "snakemake", "--nocolor", *arguments],
            cwd=clone.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.output.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def text(self) -> str:
        return self.output.read_text()

    def wait(self, seconds: float = 1800, code: int = 0) -> "Call":
        """Its end, which must be as expected."""
        try:
            ended = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"no end within {seconds:.0f} s:\n{self.text[-5000:]}\n{self.clone.log()}") from None
        assert ended == code, f"status {ended}:\n{self.text[-5000:]}\n{self.clone.log()}"
        return self

    def kill(self) -> None:
        """kill -9 of Snakemake alone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def submitted(self) -> list[str]:
        """The ids of the Slurm jobs it has submitted."""
        return re.findall(r"has been submitted with SLURM jobid (\d+)", self.text)

    def assert_all_of_it_in(self, job: str) -> None:
        """No attempt but this one, or all that the job of a failed attempt said."""
        failed = sorted((self.clone.root / ".snakemake/slurm_logs").rglob("*.log"))
        said = "\n".join(f"{path}:\n{path.read_text()[-8000:]}" for path in failed)
        assert self.submitted() == [job], f"{self.text[-5000:]}\n{self.clone.log()}\n{said}"

    def errors(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.startswith("error:")]
