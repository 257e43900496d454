"""Hand-written runs and drawings."""

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relatent.figures.check import check
from relatent.figures.draw import draw, draw_kind
from relatent.figures.drawing import read_drawing
from relatent.figures.gather import gather, read_gathered
from relatent.figures.style import print_style
from relatent.specs.canonical import canonical, digest

from ..studies.fake_record import FakeRecord

Values = dict[int, Sequence[float]]
"""Frames to the returns of that evaluation's episodes."""
MakeRun = Callable[..., Path]
Drawn = tuple[pd.DataFrame, str, list[str]]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a finished run's declared files; returns its folder."""

    def make(
        algorithm: str,
        task: str,
        seed: int,
        returns: Values,
        probes: dict[str, Any] | None = None,
        spec: dict[str, Any] | None = None,
        **manifest: Any,
    ) -> Path:
        spec = {"agent": algorithm, "task": task, "seed": seed, "training": {"eval_every": 5}, **(spec or {})}
        folder = tmp_path / "runs/laptop/smac" / algorithm / task / f"s{seed}-{digest(canonical(spec))}"
        folder.mkdir(parents=True)
        rows = [
            f"eval,{frames},{episode},{value!r},"
            for frames, values in returns.items()
            for episode, value in enumerate(values)
        ]
        rows += ["train,5,0,999.0,"]
        np.savez(folder / "probes.npz", **(probes or {}))
        known = {
            "spec": spec,
            "commit": "a" * 40,
            "dirty": False,
            "lock_sha256": "b" * 64,
            "image": None,
            "hardware": {"cpu": "a processor", "cores": 2, "gpus": []},
            "software": {"torch": "2.13.0"},
            "phase_seconds": {"update": 3000.0, "env": 600.0},
            "frames": max(returns),
            "resumes": 1,
            "started": f"2026-01-0{seed + 1}T00:00:00Z",
            "finished": f"2026-01-0{seed + 1}T01:00:00Z",
        }
        (folder / "manifest.json").write_text(json.dumps(known | manifest))
        (folder / "returns.csv").write_text("phase,frames,episode,return,success\n" + "\n".join(rows) + "\n")
        return folder

    return make


@pytest.fixture
def run_list(tmp_path: Path) -> Callable[[Sequence[Path]], Path]:
    def write(runs: Sequence[Path]) -> Path:
        path = tmp_path / "figure.runs"
        path.write_text("".join(f"{run}\n" for run in runs))
        return path

    return write


def drawing_of(**changes: Any) -> dict[str, Any]:
    """A learning curve of two algorithms on one task at the laptop budget."""
    budget = {"name": "laptop", "order": ["smoke", "laptop", "paper"], "reduced": ["frames 1,000,000 -> 10"]}
    return {
        "paper": "smac",
        "figure": "smac_fig4",
        "title": "Returns",
        "caption": "Return of evaluation episodes",
        "kind": "learning_curve",
        "budget": budget,
        "data": {"algorithms": ["smac", "sac"], "tasks": ["reacher_easy"]},
        "labels": {"smac": "SMAC", "sac": "SAC"},
        "seeds_wanted": 2,
        **changes,
    }


def page_of(kind: str, parquet: Path, drawing: dict[str, Any], verdicts: dict[str, Any]) -> tuple[str, list[str]]:
    """All words of a figure, and what is written beyond its page. Of ticks, those that are algorithms' names."""
    with print_style():
        figure, _ = draw_kind(kind)(read_gathered(parquet), read_drawing(drawing), verdicts)
        figure.savefig(parquet.with_name("figure.png"), dpi=50)
        page, named = figure.bbox, set(drawing["labels"].values())
        ticks = [tick for one in figure.axes for tick in one.get_yticklabels() if tick.get_text() in named]
        of_panels = [(*one.texts, one.title, one.xaxis.label, one.yaxis.label) for one in figure.axes]
        written = [one for texts in (figure.texts, ticks, *of_panels) for one in texts if one.get_text()]
        boxes = {one.get_text(): one.get_window_extent() for one in written}
    beyond = [
        text
        for text, box in boxes.items()
        if box.x0 < page.x0 or box.x1 > page.x1 or box.y0 < page.y0 or box.y1 > page.y1
    ]
    return " ".join(" ".join(one.get_text() for one in written).split()), beyond


@pytest.fixture
def drawn(tmp_path: Path, make_run: Any, run_list: Any) -> Callable[..., Drawn]:
    """Draw studies of two seeds: the CSV, all words of the figure, and what is written beyond its page."""

    def make(study: str, algorithms: dict[str, dict[str, Any]], kind: str, task: str = "two_peaks") -> Drawn:
        runs = []
        for name, hyper in algorithms.items():
            for seed in range(2):
                record = FakeRecord()
                spec = {"study": study, "hyper": hyper, "env": {"task": task}, "seed": seed}
                import_module(f"relatent.studies.{study}").run(spec, record)
                returns = {frames: [value] for _, frames, _, value in record.rows} or {0: [0.0]}
                runs.append(make_run(name, task, seed, returns, record.kept, spec))
        drawing = drawing_of(
            paper="rpg",
            figure="rpg_fig0",
            kind=kind,
            data={"algorithms": list(algorithms), "tasks": [task], "measure": "return"},
            labels={name: name.replace("_", " ") for name in algorithms},
            budget={"name": "paper", "order": ["paper"]},
        )
        parquet = tmp_path / "x.parquet"
        gather(run_list(runs), parquet)
        verdicts = check(parquet, drawing, tmp_path)
        draw(parquet, drawing, verdicts, tmp_path / "figure")
        words, beyond = page_of(kind, parquet, drawing, verdicts)
        return pd.read_csv(tmp_path / "figure.csv"), words, beyond

    return make
