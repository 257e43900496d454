"""The real configuration: what it promises to figures, to trained runs and to people."""

import json
from dataclasses import MISSING, fields
from importlib import import_module
from typing import get_args

import jsonschema
import pandas as pd
import pytest
import yaml

from relatent.agents import AGENTS
from relatent.figures.drawing import read_drawing
from relatent.figures.reference import band, read_reference, rows_for
from relatent.specs.catalog import Catalog
from relatent.specs.figure import Kind
from relatent.specs.hyper import hyper_fields, modules
from relatent.specs.schema import FOLDER, schemas
from relatent.specs.tasks import DMC_TASKS
from tests.specs.toy import ROOT

FIGURES = [
    *("alm_table1", "alm_fig3", "alm_fig3time", "alm_fig4", "alm_fig5a", "alm_fig5b", "alm_fig5c", "alm_fig7"),
    *("alm_fig8", "alm_fig9", "alm_fig10a", "alm_fig10b", "alm_fig10c", "alm_fig11", "alm_fig12", "alm_fig13"),
    *("alm_fig14", "alm_fig15", "alm_fig16", "alm_fig17", "alm_fig18", "alm_fig19", "alm_fig20", "alm_table5"),
    *("alm_aswritten", "alm_bounds", "alm_fig6", "alm_classifierodds"),
    *("inference_e1", "inference_e2", "inference_e3", "inference_e4", "inference_e5", "inference_e6", "inference_e7"),
    *("rpg_fig1b", "rpg_fig5", "rpg_fig5narrow", "rpg_fig5paper", "rpg_fig8a", "rpg_fig8b", "rpg_fig8c", "rpg_fig8d"),
    *("rpg_fig8e", "rpg_fig6"),
    *("rpg_fig6paper", "rpg_fig7", "rpg_fig9", "rpg_fig10", "rpg_fig11", "rpg_fig12", "rpg_fig13", "rpg_fig2"),
    *("rpg_fig4", "rpg_fig4ablations", "rpg_corner", "rpg_table2"),
    *("smac_fig3", "smac_fig4", "smac_fig5a", "smac_fig5b", "smac_fig7", "smac_fig9", "smac_fig10", "smac_fig11"),
    *("smac_beta", "smac_entropy", "smac_table1", "smac_fig6", "smac_fig12"),
    *("smac_efficiency", "smac_slaccurves", "smac_corner"),
]
LEFT_OUT = [
    "alm_fig5b",
    "alm_fig5c",
    "alm_fig8",
    "alm_fig9",
    "alm_fig10a",
    "alm_fig10b",
    "alm_fig10c",
    "alm_fig11",
    "alm_fig12",
    "alm_fig13",
    "alm_fig14",
    "alm_fig15",
    "alm_fig16",
    "alm_fig18",
    "alm_fig19",
    "alm_table5",
    "alm_aswritten",
    "rpg_fig5narrow",
    "rpg_fig5paper",
    "rpg_fig8a",
    "rpg_fig8b",
    "rpg_fig8c",
    "rpg_fig8d",
    "rpg_fig8e",
    "rpg_fig6paper",
    "rpg_fig7",
    "rpg_fig9",
    "rpg_fig12",
    "smac_fig4",
    "smac_fig5a",
    "smac_fig5b",
    "smac_fig9",
    "smac_fig10",
    "smac_beta",
    "smac_fig12",
    "smac_efficiency",
    "smac_slaccurves",
    "smac_corner",
]
"""Ready figures that need no other code than those before them: CI does not draw them, but builds their algorithms."""
BUDGETS = ["smoke", "demo", "laptop", "paper"]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(ROOT)


def test_figures_and_budgets(catalog: Catalog) -> None:
    assert list(catalog.figures) == FIGURES
    assert list(catalog.budgets) == BUDGETS
    assert catalog.ready == FIGURES


def test_what_ci_draws_needs_all_code(catalog: Catalog) -> None:
    drawn, ready = (set().union(*map(catalog.shown, names)) for names in (catalog.covering, catalog.ready))
    assert drawn == ready
    assert {kind for part, kind in drawn if part == "kind"} == set(get_args(Kind))
    files = {path.stem for path in (ROOT / "src/relatent/agents").glob("[a-z]*.py")}
    assert {agent for part, agent in drawn if part == "agent"} == files
    assert [name for name in catalog.ready if name not in catalog.covering] == LEFT_OUT


def test_table_1_has_120_runs(catalog: Catalog) -> None:
    jobs = catalog.jobs("paper", "smac_table1")
    assert len(jobs) == 120
    assert all(not job.planned and job.resources["gpu"] == 1 for job in jobs)
    assert all(job.resources["gpu"] == 0 for job in catalog.jobs("smoke", "smac_table1"))  # CI has none


def test_runs_that_were_trained_keep_their_names(catalog: Catalog) -> None:
    """SAC's evaluation curves at the laptop budget are committed under these."""
    runs = {run.split("/", 3)[3] for run in catalog.runs("laptop", "smac_fig4")}
    assert {
        "sac/ball_in_cup_catch/s0-54f3bc1a2728",
        "sac/ball_in_cup_catch/s1-b033cba2dfd5",
        "sac/cartpole_swingup/s0-7cbb0ad9c935",
        "sac/cartpole_swingup/s1-833ace302a94",
        "sac/reacher_easy/s0-7974e468e471",
        "sac/reacher_easy/s1-a33f08ddcbfc",
    } <= runs


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_can_be_drawn_at_every_budget(catalog: Catalog, figure: str, budget: str) -> None:
    drawing = read_drawing(catalog.drawing(budget, figure))
    jobs = catalog.jobs(budget, figure)
    assert [run.run for run in drawing.runs] == catalog.runs(budget, figure)
    assert {job.task for job in jobs} == set(drawing.data.tasks)
    assert {job.algorithm for job in jobs} == set(drawing.data.algorithms) == set(drawing.labels)
    assert len({job.seed for job in jobs}) == drawing.seeds_wanted
    assert bool(drawing.budget.reduced) == (budget != "paper") or catalog.figures[figure].figure.kind in (
        "bandit",
        "estimators",
        "multimodal_bandit",
        "gradient_directions",
        "identities",
        "latent_bounds",
        "log_rewards",
        "classifier_odds",
        "panels",
    )


@pytest.mark.parametrize("budget", BUDGETS)
def test_every_protocol_can_be_trained(catalog: Catalog, budget: str) -> None:
    for figure in catalog.ready:
        for job in catalog.jobs(budget, figure):
            spec = json.loads(job.spec)
            if "agent" not in spec:
                continue
            plan, hyper = spec["training"], spec["hyper"]
            assert spec["agent"] in AGENTS
            assert hyper["batch"] <= hyper["update_after"] < plan["frames"]
            assert plan["random_frames"] < plan["frames"]
            assert plan["frames"] % plan["eval_every"] == 0
            # TD3 learns once the random frames are over; the others as soon as a batch is there.
            assert hyper["update_after"] == (plan["random_frames"] if spec["agent"] == "td3" else hyper["update_after"])


CHEAP = {
    "cartpole_swingup",
    "finger_spin",
    "corner",
    "two_blocks",
    "four_modes",
    "linear_gaussian",
    "two_peaks",
    "small_models",
}
CHEAP |= {"small_processes", "shifted_rewards", "gaussian_pairs"}
CHEAP |= {"linear_agents", "small_pomdps", "distracted_point", "uneven_plane", "noisy_line"}
CHEAP |= {"gap_maze", "ant_push", "cheetah_back", "half_cheetah", "one_block_pixels"}


def test_smoke_is_one_cheap_run_an_algorithm(catalog: Catalog) -> None:
    for figure in catalog.ready:
        jobs = catalog.jobs("smoke", figure)
        variants = {job.task.partition("+")[2] for job in jobs}  # of one task, as noise
        assert len(jobs) == len({job.algorithm for job in jobs}) * len(variants)
        assert {job.task.partition("+")[0] for job in jobs} <= CHEAP


def test_what_the_paper_does_not_state_is_said(catalog: Catalog) -> None:
    origin = " ".join(catalog.drawing("paper", "smac_fig4")["origin"])
    assert "Figure 4's eight tasks" in origin
    assert "latent size and K, the same on every task" in origin
    assert catalog.drawing("paper", "smac_fig4")["budget"]["reduced"] == []


def test_what_a_budget_replaces_is_said(catalog: Catalog) -> None:
    reduced = catalog.drawing("laptop", "smac_fig4")["budget"]["reduced"]
    assert reduced[:3] == [
        "frames 1,000,000 -> 100,000",
        "seeds 5 -> 2",
        "tasks 8 -> ball_in_cup_catch, cartpole_swingup, reacher_easy",
    ]
    assert "width 400 -> 256 (TD3, SAC)" in reduced
    assert "particles 16 -> 8 (SMAC)" in reduced


def test_a_claims_tasks_are_those_that_the_budget_has(catalog: Catalog) -> None:
    def tasks(budget: str) -> list[str]:
        claims = {claim["id"]: claim for claim in catalog.drawing(budget, "smac_fig4")["claims"]}
        return claims["sac_in_band_1m"]["test"]["tasks"]

    assert tasks("laptop") == ["reacher_easy"]
    assert tasks("paper") == ["cartpole_swingup_sparse", "reacher_easy", "walker_run"]


def test_every_sentence_of_the_paper_is_judged_somewhere(catalog: Catalog) -> None:
    for name, entry in catalog.figures.items():
        ids = [claim.id for claim in entry.figure.claims]
        assert len(ids) == len(set(ids))
        assert ids or name in ("smac_entropy", "rpg_fig10", "rpg_fig12")  # the paper says nothing of the last two


def test_table_1_is_there_in_full() -> None:
    table = read_reference(ROOT / "config/reference/smac_table1.csv")
    assert len(table) == 24
    catalog = Catalog.load(ROOT)
    wanted = {(job.task, job.algorithm) for job in catalog.jobs("paper", "smac_table1")}
    assert set(zip(table["task"], table["algorithm"], strict=True)) == wanted
    cell = table[(table["task"] == "hopper_stand+missing_large") & (table["algorithm"] == "smac_pixels")].iloc[0]
    assert (cell["mean"], cell["std"], cell["seeds"]) == (866, 61, 5)
    assert table["mean"].sum() == 20_190


def test_public_sac_numbers_give_bands() -> None:
    table = read_reference(ROOT / "config/reference/dmc_sac_states.csv")
    assert len(table) == 199
    assert set(table["task"]) <= set(DMC_TASKS)
    assert table["source"].nunique() == 3
    assert not table.duplicated(["task", "source", "frames"]).any()
    assert (table["std"].isna() == (table["seeds"] == 1)).all()
    assert pd.Series(table["frames"].unique()).tolist() == [100_000, 500_000, 1_000_000]
    # cartpole_swingup at 100k: 829 of one seed, 835 +- 10, 853 +- 9
    assert band(rows_for(table, "sac", "cartpole_swingup", 100_000)) == (815, 871)


def test_the_list_of_tasks_is_dm_controls() -> None:
    from dm_control import suite

    assert [f"{domain}_{task}" for domain, task in suite.ALL_TASKS] == list(DMC_TASKS)


@pytest.mark.parametrize("name", ["paper.schema.json", "budgets.schema.json"])
def test_the_committed_schema_is_the_models(name: str) -> None:
    assert (ROOT / FOLDER / name).read_text() == schemas(ROOT)[name], "run `python -m relatent.specs.schema`"


CONFIGURATION = {
    **{f"config/papers/{path.name}": "paper" for path in sorted((ROOT / "config/papers").glob("*.yaml"))},
    "config/budgets.yaml": "budgets",
}


@pytest.mark.parametrize("file", CONFIGURATION)
def test_the_configuration_passes_the_schema_that_it_names(file: str) -> None:
    path = ROOT / file
    first = path.read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / named).resolve() == (ROOT / FOLDER / f"{CONFIGURATION[file]}.schema.json").resolve()
    schema = json.loads((path.parent / named).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)


def open_mappings(node: object, at: str = "$") -> list[str]:
    """Where a schema would take any key."""
    found = []
    if isinstance(node, dict):
        if node.get("type") == "object" and node.get("additionalProperties") is not False:
            found.append(at)
        for key, value in node.items():
            found += open_mappings(value, f"{at}.{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            found += open_mappings(value, f"{at}.{number}")
    return found


@pytest.mark.parametrize("name", ["paper.schema.json", "budgets.schema.json"])
def test_the_schema_is_closed_at_every_level(name: str) -> None:
    assert open_mappings(json.loads((ROOT / FOLDER / name).read_text())) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("seeds: [0, 1, 2, 3, 4]", "seeds: [0, 0]"), ("width: 400", "widht: 400"), ("actor_lr: 3.0e-4", "actor_lr: 3e-4")],
)
def test_the_schema_refuses_what_the_models_refuse(old: str, new: str) -> None:
    text = (ROOT / "config/papers/smac.yaml").read_text()
    assert old in text
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text.replace(old, new)), json.loads(schemas(ROOT)["paper.schema.json"]))


@pytest.mark.parametrize("paper", ["alm", "rpg", "smac"])
def test_every_hyperparameter_says_where_it_comes_from(catalog: Catalog, paper: str) -> None:
    """A comment on its line, on a line that it lies within, or right above such a line."""
    used = {entry.agent or entry.study for entry in catalog.papers[paper].algorithms.values()}
    known = {name for module, path in modules(ROOT).items() if module in used for name in hyper_fields(path)}
    text = (ROOT / f"config/papers/{paper}.yaml").read_text()
    around: list[tuple[int, bool]] = []  # indentation of the lines that this one lies within, and whether they say it
    above, seen = "", 0
    for line in text[text.index("\nshared:") : text.index("\nfigures:")].splitlines():
        depth, key = len(line) - len(line.lstrip()), line.strip().partition(":")[0]
        if line.strip() and not line.strip().startswith("#"):
            around = [one for one in around if one[0] < depth]
            said = "#" in line or above.strip().startswith("#")
            if key in known and depth > 2:  # not an entry that has a hyperparameter's name
                seen += 1
                assert said or any(says for _, says in around), line
            around.append((depth, said))
        above = line
    assert seen > 30


def test_every_reference_number_stands_where_ours_are_evaluated(catalog: Catalog) -> None:
    """Else it would never be compared, at the paper's budget neither."""
    compared = 0
    for figure in catalog.figures:
        drawing = read_drawing(catalog.drawing("paper", figure))
        wanted = drawing.reference
        if wanted is None or wanted.curves:
            continue
        table = read_reference(ROOT / wanted.file)
        plans = {(job.algorithm, job.task): json.loads(job.spec)["training"] for job in catalog.jobs("paper", figure)}
        for (algorithm, task), plan in plans.items():
            rows = rows_for(table, algorithm, task, wanted.frames)
            of_rows = rows["frames"].dropna() if "frames" in rows.columns else []
            for frames in [wanted.ours_at] if wanted.ours_at and len(rows) else of_rows:
                compared += 1
                assert frames % plan["eval_every"] == 0, f"{figure}: {algorithm} on {task} at {frames}"
                assert frames <= plan["frames"], f"{figure}: {algorithm} on {task} at {frames}"
    assert compared > 50


def test_table_1_is_trained_as_in_the_official_code(catalog: Catalog) -> None:
    """Ten random episodes of 1,000 frames, then 100 evaluations in a million."""
    for job in catalog.jobs("paper", "smac_table1"):
        training = json.loads(job.spec)["training"]
        assert training == {"frames": 1_000_000, "random_frames": 10_000, "eval_every": 10_000, "eval_episodes": 5}


def test_every_default_is_in_the_range_of_its_name() -> None:
    """So that a paper's file may say what holds without it."""
    checked = 0
    for path in modules(ROOT).values():
        declared = hyper_fields(path)
        module = import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
        for field in fields(module.Hyper):
            if field.default is not MISSING:
                declared[field.name].check_range(field.default)
                checked += 1
    assert checked >= 5
