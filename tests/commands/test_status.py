import json
from pathlib import Path
from typing import Any

import pytest

from relatent.commands.status import FigureState, figure_state, figures_table, other_images
from relatent.specs.catalog import Catalog
from relatent.specs.images import Pin, write_pins
from tests.commands.jobs import job
from tests.specs.toy import write_config

JOBS = [job(seed=seed) for seed in range(2)]


def draw(root: Path, budget: str, runs: list[str], missing: tuple[str, ...] = ()) -> None:
    folder = root / "paper_figures" / ("" if budget == "paper" else budget)
    folder.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {
        "runs": [{"run": run} for run in runs],
        "missing": list(missing),
        "partial": bool(missing),
        "seeds_drawn": len(runs),
        "seeds_wanted": 2,
        "claims": [{"verdict": "supported"}, {"verdict": "inconclusive"}, {"verdict": "supported"}],
    }
    (folder / "toy_fig1.json").write_text(json.dumps(manifest))


def test_nothing_there(tmp_path: Path) -> None:
    state = figure_state(tmp_path, "smoke", "toy_fig1", JOBS)
    assert state == FigureState("toy_fig1", "smoke", "not drawn", "", 0, 2, "")
    assert not state.touched


def test_an_agent_that_is_not_written(tmp_path: Path) -> None:
    assert figure_state(tmp_path, "smoke", "toy_fig1", [*JOBS, job("slac", planned=True)]).drawn == "planned"


@pytest.mark.parametrize("budget", ["smoke", "paper"])
def test_a_committed_figure_counts_without_its_runs(tmp_path: Path, budget: str) -> None:
    draw(tmp_path, budget, [one.run for one in JOBS])
    state = figure_state(tmp_path, budget, "toy_fig1", JOBS)
    assert state == FigureState("toy_fig1", budget, "up to date", "2 of 2", 0, 2, "1 inconclusive, 2 supported")
    assert state.touched


def test_partial_and_stale_figures_say_so(tmp_path: Path) -> None:
    draw(tmp_path, "smoke", [JOBS[0].run], (JOBS[1].run,))
    assert figure_state(tmp_path, "smoke", "toy_fig1", JOBS).drawn == "partial"
    assert figure_state(tmp_path, "smoke", "toy_fig1", [*JOBS, job(seed=2)]).drawn == "out of date"
    assert figure_state(tmp_path, "smoke", "toy_fig1", JOBS[:1]).drawn == "out of date"


def test_finished_runs_are_counted(tmp_path: Path) -> None:
    (tmp_path / JOBS[1].run).mkdir(parents=True)
    (tmp_path / JOBS[1].run / "returns.csv").touch()
    assert figure_state(tmp_path, "smoke", "toy_fig1", JOBS).done == 1


def test_what_was_made_in_another_image_than_the_pinned_one_is_named(tmp_path: Path) -> None:
    catalog = Catalog.load(write_config(tmp_path))
    pinned, pushed, other = (f"sha256:{digit * 64}" for digit in "123")
    write_pins(tmp_path, {"cpu": Pin(id=pinned, base="debian", packages=other, recipe=other, registry=pushed)})
    assert list(other_images(catalog)) == []
    images = {"none": 3, pinned: 2, pushed: 1}
    (tmp_path / "paper_figures/small").mkdir(parents=True)
    manifest = tmp_path / "paper_figures/small/toy_a.json"
    manifest.write_text(json.dumps({"images": images}))
    assert list(other_images(catalog)) == []
    manifest.write_text(json.dumps({"images": images | {other: 4}}))
    runs = catalog.runs("small", "toy_a")
    for run, image in zip(runs, (None, other), strict=True):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "manifest.json").write_text(json.dumps({"image": image}))
    assert list(other_images(catalog)) == ["toy_a at the small budget: 4 of its runs", "runs here: 1"]


def test_a_figure_of_which_nothing_exists_takes_one_row() -> None:
    nothing = [FigureState("a", budget, "not drawn", "", 0, 2, "") for budget in ("paper", "laptop", "smoke")]
    some = [FigureState("b", "paper", "not drawn", "", 0, 2, ""), FigureState("b", "smoke", "up to date", "", 2, 2, "")]
    table = figures_table([*nothing, *some])
    assert list(table.columns[0].cells) == ["a", "b"]
    assert list(table.columns[1].cells) == ["paper", "smoke"]
