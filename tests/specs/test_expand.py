"""From entries to specs: what decides a run's name, and what never does."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relatent.specs.canonical import canonical, digest
from relatent.specs.catalog import Catalog, Job
from relatent.specs.models import Budget, Paper
from relatent.specs.tasks import DMC_TASKS
from tests.specs.toy import BUDGETS, PAPER, write_config

RUN = re.compile(r"runs/[^/]+/[^/]+/[^/]+/[^/]+/s\d+-[0-9a-f]{12}")


def jobs(
    root: Path, paper: str = PAPER, budgets: str = BUDGETS, budget: str = "paper", figure: str = "toy_a"
) -> list[Job]:
    return Catalog.load(write_config(root, paper, budgets)).jobs(budget, figure)


def spec(root: Path, paper: str = PAPER, budgets: str = BUDGETS, budget: str = "paper") -> dict[str, Any]:
    """The first run's."""
    return json.loads(jobs(root, paper, budgets, budget)[0].spec)


def test_one_spec_in_full(tmp_path: Path) -> None:
    first = jobs(tmp_path)[0]
    assert first.spec == (
        '{"agent":"first","env":{"action_repeat":1,"suite":"dmc","task":"walker_run"},'
        '"hyper":{"gamma":0.99,"kind":"plain","lr":0.0003,"size":8,"tau":0.005},"revision":1,"seed":0,'
        '"training":{"eval_episodes":2,"eval_every":100,"frames":1000,"random_frames":100}}'
    )
    assert first.run == f"runs/paper/toy/one/walker_run/s0-{digest(first.spec)}"
    assert first.resources == {"gpu": 0, "cpus": 1, "mem_mb": 100, "runtime": 5}


def test_jobs_go_by_algorithm_task_and_seed(tmp_path: Path) -> None:
    assert [(job.algorithm, job.task, job.seed) for job in jobs(tmp_path)] == [
        (algorithm, task, seed)
        for algorithm in ("one", "two")
        for task in ("walker_run", "cheetah_run")
        for seed in (0, 1)
    ]


def test_figures_share_runs(tmp_path: Path) -> None:
    catalog = Catalog.load(write_config(tmp_path))
    assert set(catalog.runs("paper", "toy_b")) < set(catalog.runs("paper", "toy_a"))
    for run in catalog.runs("small", "toy_a") + catalog.runs("paper", "toy_a"):
        assert catalog.job(run).run == run


def test_like_use_hyper_tuned_and_budget_replace_in_this_order(tmp_path: Path) -> None:
    paper = PAPER.replace(
        "figures:\n",
        "  three:\n    like: one\n    label: Three\n    hyper: {size: 9, tau: 0.5}\n"
        "    tuned: {cheetah_run: {size: 10, lr: 1}}\n"
        "figures:\n",
    ).replace("algorithms: [two]", "algorithms: [three]")
    budgets = BUDGETS.replace("{size: 2}", "{size: 2, kind: fancy}").replace("toy: {both: [walker_run]}", "{}")
    catalog = Catalog.load(write_config(tmp_path, paper, budgets))
    hyper = {
        (budget, job.task): json.loads(job.spec)["hyper"]
        for budget in ("paper", "small")
        for job in catalog.jobs(budget, "toy_b")
    }
    rates = {"gamma": 0.99, "tau": 0.5}
    assert hyper == {
        ("paper", "walker_run"): {**rates, "size": 9, "lr": 3e-4, "kind": "plain"},
        ("paper", "cheetah_run"): {**rates, "size": 10, "lr": 1.0, "kind": "plain"},
        ("small", "walker_run"): {**rates, "size": 2, "lr": 3e-4, "kind": "fancy"},
        ("small", "cheetah_run"): {**rates, "size": 2, "lr": 1.0, "kind": "fancy"},
    }


def test_a_budget_leaves_alone_what_is_fixed(tmp_path: Path) -> None:
    paper = PAPER.replace("hyper: {size: 8, lr", "fixed: [size]\n    hyper: {size: 8, lr")
    assert spec(tmp_path, paper, budget="small")["hyper"]["size"] == 8


def test_a_budget_leaves_alone_what_an_algorithm_does_not_set(tmp_path: Path) -> None:
    """So that it may reduce what only some algorithms of an agent have, and all others' runs keep their names."""
    budgets = BUDGETS.replace("{size: 2}", "{size: 2, sizes: [1]}")
    other = PAPER.replace("  two:\n", "  three: {like: one, label: Three, hyper: {sizes: [4, 5]}}\n  two:\n")
    assert "sizes" not in spec(tmp_path, other, budgets, "small")["hyper"]
    paper = PAPER.replace("hyper: {size: 8, lr", "hyper: {size: 8, sizes: [4, 5], lr")
    assert spec(tmp_path, paper, budgets)["hyper"]["sizes"] == [4, 5]
    assert spec(tmp_path, paper, budgets, "small")["hyper"]["sizes"] == [1]


def test_a_budget_reduces_the_protocol(tmp_path: Path) -> None:
    budgets = BUDGETS.replace("frames: 100", "frames: 500\n    evaluations: 5\n    eval_episodes: 1")
    training = {"frames": 500, "random_frames": 50, "eval_every": 100, "eval_episodes": 1}
    found = jobs(tmp_path, budgets=budgets, budget="small")
    assert [json.loads(job.spec)["training"] for job in found] == [training, training]
    assert {job.task for job in found} == {"walker_run"}
    assert {job.seed for job in found} == {0}


def test_random_frames_below_the_share_stay(tmp_path: Path) -> None:
    budgets = BUDGETS.replace("frames: 100", "frames: 5_000")
    assert spec(tmp_path, budgets=budgets, budget="small")["training"]["random_frames"] == 100


def test_an_algorithm_may_change_the_protocol_and_its_resources(tmp_path: Path) -> None:
    paper = PAPER.replace("label: One", "label: One\n    training: {random_frames: 7}\n    resources: {mem_mb: 9}")
    first = jobs(tmp_path, paper)[0]
    assert json.loads(first.spec)["training"]["random_frames"] == 7
    assert first.resources == {"gpu": 0, "cpus": 1, "mem_mb": 9, "runtime": 5}


def test_probes_are_part_of_the_spec_only_where_a_figure_asks(tmp_path: Path) -> None:
    paper = PAPER.replace("[two], tasks: both}", "[two], tasks: both, probes: [entropy]}")
    catalog = Catalog.load(write_config(tmp_path, paper))
    assert all(json.loads(job.spec)["probes"] == ["entropy"] for job in catalog.jobs("paper", "toy_b"))
    assert not any("probes" in json.loads(job.spec) for job in catalog.jobs("paper", "toy_a"))


def test_vary_crosses_tasks_with_one_key_of_the_environment(tmp_path: Path) -> None:
    noise = "vary: {noise: {low: {kind: missing, level: 0.01}, high: {kind: gaussian, level: 1}}}"
    paper = PAPER.replace("both: {env: states,", f"both: {{{noise}, env: states,").replace(
        "tasks: [walker_run]}", "share: 1.0}"
    )
    found = jobs(tmp_path, paper)
    assert list(dict.fromkeys(job.task for job in found)) == [
        f"{task}+{noise}" for task in ("walker_run", "cheetah_run") for noise in ("low", "high")
    ]
    assert json.loads(found[2].spec)["env"] == {
        "suite": "dmc",
        "action_repeat": 1,
        "task": "walker_run",
        "noise": {"kind": "gaussian", "level": 1.0},
    }


def test_a_study_has_no_protocol_and_its_own_number_of_seeds(tmp_path: Path) -> None:
    paper = (
        PAPER.replace("agent: second", "study: exact")
        .replace("both: {env: states, names: [walker_run, cheetah_run]}", "both: {env: states, names: [four_modes]}")
        .replace("{suite: dmc, action_repeat: 1}", "{suite: bandit, spacing: 2, std: 0.5}")
        .replace("tasks: [walker_run]}", "share: 1.0}")
    )
    budgets = BUDGETS.replace("toy: {both: [walker_run]}", "{}").replace("seeds: 1", "seeds: 1\n    study_seeds: 2")
    write_config(tmp_path, paper, budgets)
    (tmp_path / "src/relatent/studies").mkdir()
    (tmp_path / "src/relatent/agents/second.py").rename(tmp_path / "src/relatent/studies/exact.py")
    found = Catalog.load(tmp_path).jobs("small", "toy_a")
    assert [(job.algorithm, job.seed) for job in found] == [("one", 0), ("two", 0), ("two", 1)]
    assert json.loads(found[1].spec) == {
        "study": "exact",
        "revision": 1,
        "hyper": {"gamma": 0.99, "size": 8, "tau": 0.005},
        "env": {"suite": "bandit", "task": "four_modes", "spacing": 2.0, "std": 0.5},
        "seed": 0,
    }


def test_a_planned_agent_has_jobs(tmp_path: Path) -> None:
    paper = PAPER.replace("agent: second", "agent: third\n    planned: true").replace(
        "label: Two\n    use: [rates]\n    hyper: {size: 8}", "label: Two"
    )
    catalog = Catalog.load(write_config(tmp_path, paper))
    assert [job.planned for job in catalog.jobs("paper", "toy_a")] == [False] * 4 + [True] * 4
    assert catalog.ready == []


# Properties, on the parsed paper: expansion is a pure function of models.

values = st.fixed_dictionaries(
    {"size": st.integers(1, 64), "lr": st.floats(1e-6, 1.0), "kind": st.sampled_from(["plain", "fancy"])}
)
protocols = st.fixed_dictionaries(
    {
        "frames": st.integers(100, 10**7),
        "random_frames": st.integers(0, 10**5),
        "eval_every": st.integers(1, 10**5),
        "eval_episodes": st.integers(1, 20),
    }
)
seeds = st.lists(st.integers(0, 99), min_size=1, max_size=6, unique=True)
tasks = st.lists(st.sampled_from(DMC_TASKS), min_size=1, max_size=5, unique=True)
budgets = st.builds(
    Budget,
    frames=st.none() | st.integers(100, 10**6),
    seeds=st.none() | st.integers(1, 9),
    evaluations=st.none() | st.integers(1, 50),
    random_share=st.floats(0.001, 0.1),
)


def paper_of(hyper: dict[str, Any], training: dict[str, int], seeds: list[int], tasks: list[str]) -> dict[str, Any]:
    data = yaml.safe_load(PAPER)
    data["algorithms"]["one"]["hyper"] = hyper
    data |= {"training": training, "seeds": seeds}
    data["tasks"]["both"]["names"] = tasks
    return data


def expanded(data: dict[str, Any], budget: Budget | None = None) -> list[Job]:
    from relatent.specs import expand

    budget = budget or Budget()
    return expand.jobs(Paper.model_validate(data), "paper", budget, "a", {}, lambda _, hyper: hyper)


def shuffled(value: Any, random: Any) -> Any:
    """The same mapping with its keys in another order, at every level."""
    if isinstance(value, dict):
        keys = list(value)
        random.shuffle(keys)
        return {key: shuffled(value[key], random) for key in keys}
    return value


papers = st.builds(paper_of, values, protocols, seeds, tasks)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(papers, budgets)
def test_a_run_is_named_by_its_spec_alone(data: dict[str, Any], budget: Budget) -> None:
    found = expanded(data, budget)
    names = set(data["tasks"]["both"]["names"])
    wanted = len(data["seeds"][: budget.seeds])
    assert len(found) == 2 * len(names) * wanted == len({job.run for job in found})
    for job in found:
        assert RUN.fullmatch(job.run)
        assert job.run.endswith(f"/s{job.seed}-{digest(job.spec)}")
        assert canonical(json.loads(job.spec)) == job.spec


@quick
@given(papers, st.randoms(use_true_random=False))
def test_the_order_of_keys_means_nothing(data: dict[str, Any], random: Any) -> None:
    figures = data["figures"]  # the order of figures' algorithms is the order of jobs
    assert expanded({**shuffled(data, random), "figures": figures}) == expanded(data)


@quick
@given(papers, values)
def test_other_values_give_other_runs_of_that_algorithm_only(data: dict[str, Any], other: dict[str, Any]) -> None:
    before = expanded(data)
    changed = json.loads(json.dumps(data))
    changed["algorithms"]["one"]["hyper"] = other
    after = expanded(changed)
    same = {job.run for job in before} & {job.run for job in after}
    expected = {"one", "two"} if other == data["algorithms"]["one"]["hyper"] else {"two"}
    assert {run.split("/")[3] for run in same} == expected


@quick
@given(papers, st.integers(1, 10**6), st.text(min_size=1, max_size=9))
def test_resources_and_labels_never_rename_a_run(data: dict[str, Any], memory: int, label: str) -> None:
    before = [job.run for job in expanded(data)]
    data["resources"]["mem_mb"] = memory
    data["algorithms"]["one"]["label"] = label
    assert [job.run for job in expanded(data)] == before


@quick
@given(papers, budgets)
def test_a_reduced_protocol_is_a_possible_one(data: dict[str, Any], budget: Budget) -> None:
    for job in expanded(data, budget):
        plan = json.loads(job.spec)["training"]
        whole = data["training"]["frames"]
        assert plan["frames"] == min(budget.frames or whole, whole)
        assert 0 <= plan["random_frames"] <= data["training"]["random_frames"]
        if plan["frames"] < whole:
            assert plan["random_frames"] <= plan["frames"] / 10
        if budget.evaluations:
            assert plan["frames"] // plan["eval_every"] >= budget.evaluations


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_canonical_text_is_one_line_and_reads_back(value: Any) -> None:
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text
    assert "\n" not in text


def test_canonical_refuses_what_json_has_no_text_for() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"lr": float("nan")})
