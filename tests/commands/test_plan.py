from pathlib import Path

import pytest

from relatent.commands.plan import Cost, Plan, closing, hours_text, plan, si
from relatent.commands.throughput import Row, Speed
from relatent.specs.catalog import Catalog
from tests.commands.jobs import job, paper_job
from tests.specs.toy import ROOT

CPU = Speed(
    [
        Row("A", "cpu", "walker_run", "sac", gflop_per_update=0.002, acts_per_second=1000.0, gflops=1.0),
        Row("A", "cpu", "walker_run", env_steps_per_second=10_000.0),
    ],
    "cpu",
)
GPU = Speed([], "cuda")


@pytest.fixture(autouse=True)
def in_an_empty_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sizes(env: str) -> tuple[tuple[int, ...], int] | None:
    return None if "quadruped_escape" in env else ((4,), 2)


def test_cost_of_one_run_is_what_its_spec_says() -> None:
    cost = plan([job()], CPU, GPU, sizes).total
    assert cost.frames == 101_000 + 11 * 3 * 1000  # training, then 11 evaluations of 3 episodes
    assert cost.updates == 100_000
    assert cost.flops is not None
    per_update = cost.flops / 100_000
    seconds = 100_000 * per_update / 1e9 + 134_000 / 1000 + 134_000 / 10_000  # updates, actions, simulator
    assert cost.cpu_hours == pytest.approx(seconds / 3600)
    assert cost.gpu_hours is None
    assert plan([job()], CPU, GPU, sizes).machines == ("A",)


def test_costs_add_up_by_algorithm_and_done_runs_cost_nothing_more(tmp_path: Path) -> None:
    jobs = [job(seed=seed) for seed in range(3)] + [job(algorithm="wide", hyper={"width": 200})]
    (tmp_path / jobs[0].run).mkdir(parents=True)
    (tmp_path / jobs[0].run / "returns.csv").touch()
    one = plan([job()], CPU, GPU, sizes).total.cpu_hours
    planned = plan(jobs, CPU, GPU, sizes)
    sac = planned.by_algorithm["sac"]
    assert one is not None
    assert (sac.runs, sac.done, sac.updates) == (3, 1, 300_000)
    assert sac.cpu_hours == pytest.approx(3 * one)
    assert sac.cpu_hours_left == pytest.approx(2 * one)
    assert planned.total.runs == 4


def test_what_cannot_be_known_is_said() -> None:
    escape = plan([job(task="quadruped_escape")], CPU, GPU, sizes).total
    assert (escape.updates, escape.flops, escape.cpu_hours) == (100_000, None, None)
    later = plan([job(), job(algorithm="latent_sac", planned=True)], CPU, GPU, sizes)
    assert later.planned == ["latent_sac"]
    assert later.total.flops is None
    assert later.total.runs == 2


def test_closing_says_what_is_left() -> None:
    half = {"sac": Cost(runs=4, done=2, cpu_hours_left=3.0)}
    assert closing(Plan(half, []), 2) == "2 of 4 runs are left: about 3 CPU hours, 1.5 h on 2 cores."
    more = half | {"mbpo": Cost(runs=2, cpu_hours_left=None)}
    assert closing(Plan(more, []), 2) == (
        "4 of 6 runs are left: at least 3 CPU hours, 1.5 h on 2 cores, and those of mbpo, not measured."
    )
    assert closing(Plan({"sac": Cost(runs=4, done=4)}, []), 2).startswith("Every run is done")
    assert "Not trainable yet" in closing(Plan(half, ["slac"]), 2)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "not known"), (0, "-"), (12, "12"), (1234, "1.23 k"), (2.5e9, "2.5 G"), (3e15, "3 P")]
)
def test_si(value: float | None, text: str) -> None:
    assert si(value) == text


def test_what_several_environments_and_rarer_updates_come_to() -> None:
    """RPG's maze: episodes of 50 frames, an update for each round of five environments."""
    (first, *_) = Catalog.load(ROOT).jobs("paper", "rpg_fig5")
    cost = plan([first], CPU, GPU, lambda _env: ((28,), 2)).total
    assert cost.frames == 250_000 + 101 * 10 * 50
    assert cost.updates == 250_000 // 5 - 512 // 5  # its novelty network learns once a batch was seen
    assert cost.flops is not None
    assert 20e9 < cost.flops / cost.updates < 40e9
    assert cost.cpu_hours is None  # no update of this agent was measured in the table above


PICTURES = (3, 64, 64), 1


@pytest.mark.parametrize(
    ("figure", "algorithm", "updates"),
    [
        # 100 whenever 1,000 of a million frames are over, from the 10,000th on
        ("smac_table1", "latent_sac", 99_100),
        ("smac_table1", "smac_pixels", 99_100),
        ("smac_fig6", "dreamer", 99_100),
        # one in each of 490,000 agent steps, and 100,000 of the model alone
        ("smac_fig6", "slac", 590_000),
        ("smac_slaccurves", "slac_released", 340_000),  # 240,000 steps of four frames
        # one whenever 5 frames are over, from the 1,000th on, and 100 more at once
        ("rpg_fig7", "p2e", 400_000 - 199 + 100),
    ],
)
def test_updates_are_those_of_the_published_schedules(
    monkeypatch: pytest.MonkeyPatch, figure: str, algorithm: str, updates: int
) -> None:
    """As the configuration has them; operations are counted elsewhere, and take a while."""
    monkeypatch.setattr("relatent.commands.cost.update_flops", lambda *_arguments: 1.0)
    assert plan([paper_job(figure, algorithm)], CPU, GPU, lambda _env: PICTURES).total.updates == updates


@pytest.mark.parametrize(
    ("hours", "text"), [(None, "not measured"), (0.0, "0"), (0.12345, "0.123"), (12.34, "12.3"), (18_567.3, "18,600")]
)
def test_hours_have_three_digits(hours: float | None, text: str) -> None:
    assert hours_text(hours) == text
