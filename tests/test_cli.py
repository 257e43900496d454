"""The command line: help for newcomers, one line for every mistake, exit codes that scripts can rely on."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.specs import sac_spec

ROOT = Path(__file__).parents[1]
COMMANDS = ["train", "gather", "check", "draw", "plan", "status", "doctor", "bench", "demo", "revisions", "schema"]


def relatent(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "relatent", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    heavy = (
        "import sys, relatent.cli; print([m for m in ('torch', 'matplotlib', 'mujoco', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", heavy], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    listed = relatent("--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in listed] == []
    assert "snakemake -c2 paper_figures/smoke/smac_fig4.pdf" in listed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = relatent(command, "--help")
    assert done.returncode == 0
    assert "usage" in done.stdout.lower()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train"], "error: train: give either --figure NAME, --spec JSON or --pack FILE"),
        (["train", "--spec", "{"], "error: --spec: not JSON"),
        (["train", "--spec", "[]"], "error: --spec: expected a JSON object"),
        (["train", "--figure", "smac_fig4"], "error: smac_fig4 has several algorithms, give --algorithm (one of: "),
        (["train", "--figure", "smac_fig4", "--algorithm", "sack"], "unknown algorithm 'sack', did you mean 'sac'?"),
        (["plan", "smac_fig44"], "error: unknown figure 'smac_fig44', did you mean "),
        (["plan", "smac_fig4", "--budget", "lapdog"], "error: unknown budget 'lapdog', did you mean 'laptop'?"),
        (["gather", "nothing.runs", "out.parquet"], "error: nothing.runs"),
        (["check", "nothing.parquet", "out.json", "--figure", "smac_fig4"], "error: nothing.parquet: no such file"),
        (["check", "pyproject.toml", "out.json"], "error: give either --figure NAME"),
        (["check", "pyproject.toml", "out.json", "--drawing", "{a}"], "error: --drawing: not JSON"),
        (["bench", "--algorithm", "sack"], "error: bench: unknown algorithm 'sack'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(arguments: list[str], says: str) -> None:
    done = relatent(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_outside_a_clone(tmp_path: Path) -> None:
    done = relatent("status", cwd=tmp_path)
    assert done.returncode == 2
    assert "is not inside a clone of relatent" in done.stderr


def test_train_to_the_end_and_again(tmp_path: Path) -> None:
    spec = json.dumps(sac_spec(frames=300, eval_every=300))
    done = relatent("train", "--spec", spec, "--run", str(tmp_path / "run"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/returns.csv").is_file()
    assert "finished already" in relatent("train", "--spec", spec, "--run", str(tmp_path / "run"), cwd=tmp_path).stdout


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody can write to; root neither."""
    folder = tmp_path / "read_only"
    (folder / "old").mkdir(parents=True)
    (folder / "old/.lock").touch()
    if os.geteuid():
        folder.chmod(0o555)
        (folder / "old").chmod(0o555)
        (folder / "old/.lock").chmod(0o444)
        yield folder
        return
    if subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("mounting a folder needs root")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["new", "old"])
def test_a_run_in_a_read_only_folder_is_one_line(read_only: Path, name: str) -> None:
    done = relatent("train", "--spec", json.dumps(sac_spec()), "--run", str(read_only / name))
    assert done.returncode == 2
    assert re.fullmatch(
        rf"error: {read_only}/{name}\S*: the run cannot be written: (Read-only file system|Permission denied)\n",
        done.stderr,
    )


@pytest.mark.parametrize(("name", "reason"), [("file", "File exists"), ("file/run", "Not a directory")])
def test_a_run_where_a_file_is_is_one_line(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    done = relatent("train", "--spec", json.dumps(sac_spec()), "--run", str(tmp_path / name))
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / name}: the run cannot be written: {reason}\n"


def test_an_interrupted_run_exits_with_75(tmp_path: Path) -> None:
    spec = json.dumps(sac_spec(frames=1_000_000))
    command = [sys.executable, "-m", "relatent", "train", "--spec", spec, "--run", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        started = time.monotonic()
        while not (tmp_path / "run/progress.json").exists():
            assert time.monotonic() - started < 60
            time.sleep(0.1)
        process.terminate()
        assert process.wait(timeout=10) == 75
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
