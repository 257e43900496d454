"""RPG's YAML beside what it is taken from: sizes of replay, and curves that were read off its figures."""

import json

import pytest

from relatent.figures.reference import ALL_TASKS, OF_CURVES, read_reference
from relatent.specs.catalog import Catalog
from tests.specs.toy import ROOT

STEPS = {"gap_maze": 50, "two_blocks": 60, "cabinet_sparse": 60, "cabinet_dense": 60, "ant_push": 400}
STEPS |= {"hammer": 125, "door": 100, "basketball": 100, "stick_pull": 100}
"""Decisions in an episode."""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(ROOT)


@pytest.mark.parametrize("figure", ["rpg_fig5", "rpg_fig6", "rpg_fig7", "rpg_fig9"])
def test_replay_is_as_large_as_in_the_official_code(catalog: Catalog, figure: str) -> None:
    """10,000 episodes, at most 800,000 transitions."""
    specs = [(job.task, json.loads(job.spec)) for job in catalog.jobs("paper", figure)]
    sizes = {(task, spec["hyper"]["replay"]) for task, spec in specs if spec["agent"] == "rpg"}
    assert sizes == {(task, min(10_000 * STEPS[task], 800_000)) for task, _ in sizes}


@pytest.mark.parametrize("figure", ["rpg_fig5paper", "rpg_fig6paper"])
def test_what_is_as_written_has_the_replay_of_table_1(catalog: Catalog, figure: str) -> None:
    jobs = [job for job in catalog.jobs("paper", figure) if job.algorithm.endswith("_paper")]
    assert jobs
    assert {json.loads(job.spec)["hyper"]["replay"] for job in jobs} == {800_000}


@pytest.mark.parametrize(
    "figure", ["rpg_fig5", "rpg_fig6", "rpg_fig7", "rpg_fig8a", "rpg_fig11", "rpg_fig12", "rpg_fig13"]
)
def test_every_digitised_curve_stands_behind_one_of_ours(catalog: Catalog, figure: str) -> None:
    """Within its axis, and of all algorithms and tasks that its figure names."""
    drawing = catalog.drawing("paper", figure)
    table = read_reference(ROOT / drawing["reference"]["file"], OF_CURVES)
    rows = table[(table["source"] == drawing["reference"]["source"]) & (table["task"] != ALL_TASKS)]
    plans = {(job.task, job.algorithm): json.loads(job.spec)["training"] for job in catalog.jobs("paper", figure)}
    found = {key: of for key, of in rows.groupby(["task", "algorithm"]) if key[1] in drawing["data"]["algorithms"]}
    assert set(found) == set(plans)
    for key, of in found.items():
        assert of["frames"].is_monotonic_increasing
        assert of["frames"].is_unique
        assert 0 < of["frames"].min() <= of["frames"].max() <= plans[key]["frames"]
        assert len(of) > 1
