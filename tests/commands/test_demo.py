import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from relatent.commands import demo
from relatent.specs.catalog import Catalog
from tests.commands.jobs import job

JOBS = [job(seed=seed) for seed in range(2)]
TRAINER = """
import json, pathlib, sys, time
first, second = map(pathlib.Path, sys.argv[1:])
print("a line of Snakemake", flush=True)
for folder in (first, second):
    folder.mkdir(parents=True)
    (folder / "progress.json").write_text(json.dumps(
        {"frames": 50, "of": 100, "updates": 0, "seconds": 6.0, "updated": time.time()}))
    time.sleep(0.5)
    (folder / "manifest.json").write_text(json.dumps({"phase_seconds": {"update": 12.0}}))
    (folder / "returns.csv").touch()
    (folder / "progress.json").unlink()
    time.sleep(0.5)
"""


def test_progress_is_told_in_plain_lines_where_there_is_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "PLAIN_SECONDS", 0.0)
    command = [sys.executable, "-c", TRAINER, *(one.run for one in JOBS)]
    assert demo.follow(tmp_path, command, JOBS, 1, Console(width=100)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("0 of 2 runs done, 1 running, 1 left, about 18 s to go" in line for line in lines)
    assert any("1 of 2 runs done, 0 running, 1 left, about 12 s to go" in line for line in lines)
    assert any("all 2 runs are there" in line for line in lines)
    assert not any("\r" in line or "\x1b" in line for line in lines)
    assert (tmp_path / demo.LOG).read_text() == "a line of Snakemake\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_child_and_what_it_started(tmp_path: Path, number: int) -> None:
    """A shell with a grandchild that writes down how it was told to stop, as Snakemake with a trainer."""
    grandchild = (
        "import pathlib, signal, sys, time\n"
        "def stop(number, frame): pathlib.Path('told').write_text(str(number)); sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, stop); signal.signal(signal.SIGINT, stop)\n"
        "pathlib.Path('ready').touch(); time.sleep(60)\n"
    )
    (tmp_path / "grandchild.py").write_text(grandchild)
    command = ["bash", "-c", f"{sys.executable} grandchild.py; exit 3"]

    def interrupt() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(demo.Stopped) as stopped:
        demo.follow(tmp_path, command, JOBS, 1, Console(width=100))
    assert stopped.value.number == number
    told = tmp_path / "told"
    started = time.monotonic()
    while not (told.exists() and told.read_text()):
        assert time.monotonic() - started < 10
        time.sleep(0.05)
    assert told.read_text() == str(int(number))


def test_summary_names_the_figure_its_budget_and_what_it_says(tmp_path: Path) -> None:
    claim = {"verdict": "supported", "says": "It works.", "where": "Sec. 5", "text": "difference 3 [1, 5]"}
    manifest = {
        "title": "Four modes",
        "budget": {"name": "paper"},
        "seeds_drawn": 4,
        "seeds_wanted": 5,
        "claims": [claim, claim | {"verdict": "inconclusive", "text": ""}],
    }
    (tmp_path / "figure.json").write_text(json.dumps(manifest))
    assert demo.summary(tmp_path, "figure").strip().splitlines() == [
        "figure.pdf  Four modes",
        "  budget paper, 4 of 5 seeds",
        '  supported: "It works." (Sec. 5)',
        "    difference 3 [1, 5]",
        '  inconclusive: "It works." (Sec. 5)',
    ]


def test_the_demo_asks_for_figures_that_exist() -> None:
    listed = Catalog.load(Path(__file__).parents[2]).figures
    for path, (budget, figure) in demo.FIGURES.items():
        assert figure in listed
        assert path == "paper_figures/" + re.sub("^paper/", "", f"{budget}/{figure}")
