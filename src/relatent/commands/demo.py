"""`relatent demo`: Snakemake as a child, one line of progress, and at the end what the figures say."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from relatent.commands.progress import Progress, duration, expect, look
from relatent.specs.catalog import Catalog, Job
from relatent.specs.errors import RelatentError

FIGURES = {"paper_figures/smac_fig7": ("paper", "smac_fig7"), "paper_figures/demo/smac_fig4": ("demo", "smac_fig4")}
"""What the demo draws: files without suffix, with budget and figure. The first is the paper's own budget."""
LOG = Path("logs/demo.log")
LIVE_SECONDS, PLAIN_SECONDS = 1.0, 15.0
"""Between two looks at the runs, on a terminal and where lines cannot be rewritten."""


class Stopped(Exception):
    """SIGINT or SIGTERM arrived and has been passed on; Snakemake has ended."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class DemoError(RelatentError):
    """Snakemake ended with an error."""


def demo(catalog: Catalog, cores: int, console: Console) -> int:
    """Make the demo's figures; the exit status."""
    root = catalog.root
    jobs = [job for budget, figure in FIGURES.values() for job in catalog.jobs(budget, figure)]
    targets = [f"{path}.pdf" for path in FIGURES]
    before = dates(root)
    try:
        status = follow(root, [sys.executable, "-m", "snakemake", f"-c{cores}", "--", *targets], jobs, cores, console)
    except Stopped as stopped:
        console.print("Stopped. `make demo` continues where it was.")
        return 128 + stopped.number
    if status:
        raise DemoError(
            f"Snakemake ended with status {status}; the last lines of {LOG} say why, train.log of a run more"
        )
    if before == dates(root):
        console.print("Everything is up to date; nothing was trained or drawn.")
    for path in FIGURES:
        console.print(summary(root, path), highlight=False, soft_wrap=True)
    return 0


def dates(root: Path) -> dict[str, float]:
    """When each of the demo's figures was written."""
    paths = [root / f"{path}.pdf" for path in FIGURES]
    return {str(path): path.stat().st_mtime for path in paths if path.is_file()}


def follow(root: Path, command: list[str], jobs: list[Job], cores: int, console: Console) -> int:
    """Run `command` to its end while saying how far the jobs are; its exit status. Raises Stopped."""
    (root / LOG).parent.mkdir(parents=True, exist_ok=True)
    live = console.is_terminal and not console.is_dumb_terminal
    every = LIVE_SECONDS if live else PLAIN_SECONDS
    started, said = time.monotonic(), 0.0
    with (root / LOG).open("a") as log:
        child = subprocess.Popen(
            command, cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        with forwarded(child):
            while child.poll() is None:
                if time.monotonic() - said >= every:
                    said = time.monotonic()
                    line = text(expect([look(root, job) for job in jobs], cores), said - started)
                    console.print(line, end="\r" if live else "\n", highlight=False, soft_wrap=True)
                time.sleep(0.2)
    if live:
        console.print(" " * (console.width - 1), end="\r")
    return child.returncode


def text(progress: Progress, seconds: float) -> str:
    """The progress line."""
    if progress.done == progress.total:
        return f"[{duration(seconds):>6}] all {progress.total} runs are there, checking and drawing      "
    return f"[{duration(seconds):>6}] {progress.line()}      "


@contextmanager
def forwarded(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Pass SIGINT and SIGTERM on to the child and all it started: trainers then leave a checkpoint within seconds.
    Once they have ended, raise Stopped."""
    received: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        if child.poll() is None:
            os.killpg(child.pid, number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise Stopped(received[0])


def summary(root: Path, path: str) -> str:
    """Where a figure is, and what it says about each of the paper's sentences."""
    manifest = json.loads((root / f"{path}.json").read_text())
    lines = [f"\n{path}.pdf  {manifest['title']}"]
    lines.append(
        f"  budget {manifest['budget']['name']}, {manifest['seeds_drawn']} of {manifest['seeds_wanted']} seeds"
    )
    for claim in manifest["claims"]:
        lines.append(f'  {claim["verdict"]}: "{claim["says"]}" ({claim["where"]})')
        if claim["text"]:
            lines.append(f"    {claim['text']}")
    return "\n".join(lines)
