"""Runs a test cluster's daemons, and kills them with all they started when its standard input ends.

python keeper.py FOLDER. A line on standard input is the name of a node whose daemon is to be started again. The pipe
closes with the process that holds its other end, so nothing stays behind a pytest that was killed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "RELATENT_TEST_CLUSTER"
"""Environment variable of the daemons, their jobs and the tests' Snakemakes; its value is the cluster's folder."""


def marked(folder: Path) -> list[int]:
    """All processes of the cluster in `folder`, but this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:  # gone, or another user's
                continue
            if f"{MARK}={folder}".encode() in environment:
                found.append(int(entry.name))
    return found


def node(name: str) -> None:
    subprocess.Popen(["slurmd", "-D", "-N", name], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main(folder: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the end of standard input is what counts
    munge = folder / "munge"
    options = [f"--{name}={munge / f'munge.{name}'}" for name in ("socket",)]
    options += [f"--{name}-file={munge / f'munge.{name}'}" for name in ("key", "pid", "log", "seed")]
    subprocess.Popen(["munged", "--foreground", *options], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (munge / "munge.socket").exists():
        time.sleep(0.01)
    subprocess.Popen(["slurmctld", "-D"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for line in sys.stdin:
        node(line.strip())
    while processes := marked(folder):
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    break
            except ChildProcessError:
                break
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
