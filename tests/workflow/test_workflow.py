"""The Snakefile as people call it: profiles, targets, mistakes, and a figure that is really made."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from relatent.specs.settings import check_settings
from tests.specs.toy import PAPER, ROOT
from tests.workflow.conftest import TARGETS, Project

YAML = "config/papers/toy.yaml"
PROFILES = sorted(path.parent.name for path in (ROOT / "workflow/profiles").glob("*/profile.yaml"))


def profile(name: str) -> dict[str, object]:
    return yaml.safe_load((ROOT / f"workflow/profiles/{name}/profile.yaml").read_text())


def test_links_at_the_root_make_profiles_found() -> None:
    assert str((ROOT / "slurm").readlink()) == "workflow/profiles/slurm"
    assert str((ROOT / "profiles").readlink()) == "workflow/profiles"
    assert PROFILES == ["ci", "container", "container-gpu", "default", "local", "slurm"]


def test_the_default_profile_holds_only_what_never_differs() -> None:
    # It overrides every other profile, so an executor, cores or a deployment method in it would win everywhere.
    keys = set(profile("default"))
    assert keys == {"rerun-triggers", "rerun-incomplete", "nolock", "keep-going", "scheduler", "show-failed-logs"}
    assert profile("default")["rerun-triggers"] == ["mtime", "input"]


@pytest.mark.parametrize("name", [name for name in PROFILES if name != "default"])
def test_no_profile_repeats_a_key_that_the_default_would_override(name: str) -> None:
    assert not set(profile(name)) & set(profile("default"))


def test_retries_stand_in_the_profile_and_not_in_a_rule() -> None:
    # A rule's retries are honoured at every nesting level of a Slurm job.
    assert profile("slurm")["retries"] == 2
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert "retries:" not in rules
    assert "group:" not in rules


@pytest.mark.parametrize("name", [name for name in PROFILES if name not in ("default", "slurm")])
def test_every_profile_plans_in_a_fresh_clone(
    name: str, fresh: Callable[[], Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Snakemake asks for the container's version even in a dry run.
    stub = tmp_path / "bin/apptainer"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\necho apptainer version 1.3.0\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(stub.parent), prepend=":")
    assert fresh().plan("--profile", f"profiles/{name}", "--", *TARGETS) == (8, 2)


def test_the_slurm_command_plans_table_1_in_a_fresh_clone(tmp_path: Path) -> None:
    """The user's own command, on the real files."""
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("Snakefile", "workflow", "config", "src", "slurm", "profiles"):
        (clone / name).symlink_to(ROOT / name)
    answer = Project(clone).snakemake("--profile", "slurm", "-n", "paper_figures/smac_table1.pdf")
    assert answer.code == 0, answer.text
    assert answer.jobs("train") == 120
    assert answer.jobs("publish") == 1
    assert "gpu=1" in answer.text
    assert "slurm_extra=--signal=TERM@120" in answer.text


def test_planned_agents_are_refused_in_one_line_before_any_job(fresh: Callable[[], Project]) -> None:
    project = fresh()
    agent = "agent: second\n    label: Two\n    use: [rates]\n    hyper: {size: 8}"
    project.edit(YAML, agent, "agent: third\n    label: Three\n    planned: true")
    assert project.plan() == (8, 2)
    answer = project.snakemake("-c1", "--", *TARGETS)
    assert answer.code == 1
    (line,) = [line for line in answer.text.splitlines() if line.startswith("error:")]
    assert line == "error: 4 of the runs cannot be trained yet, their agents are planned only: two"
    assert "Traceback" not in answer.text
    assert not (project.root / "runs").exists()
    assert project.plan("--", "all") == (0, 0)


def test_a_mistake_in_yaml_is_one_line_of_snakemake(fresh: Callable[[], Project]) -> None:
    project = fresh()
    (project.root / YAML).write_text(PAPER.replace("lr: 3.0e-4", "lr: 3e-4"))
    answer = project.snakemake("-n", "--", *TARGETS)
    assert answer.code == 1
    said = [line for line in answer.text.splitlines() if "workflow specific profile" not in line]
    assert said == [
        "error: config/papers/toy.yaml:18: algorithms.one.hyper.lr: expected a number, got the text '3e-4': "
        "YAML 1.1 wants a point, write 3.0e-4"
    ]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("paper_figures/small/toy_aa.pdf", "unknown figure 'toy_aa', did you mean 'toy_a'?"),
        ("paper_figures/smal/toy_a.pdf", "unknown budget 'smal', did you mean 'small'?"),
        ("paper_figures/small/toy_a.png", "unknown extension 'png', expected one of csv, json, pdf, svg"),
        ("paper_figures/toy_c.svg", "unknown figure 'toy_c', did you mean 'toy_b'?"),
    ],
)
def test_a_target_that_no_figure_has_is_one_line(target: str, says: str, fresh: Callable[[], Project]) -> None:
    answer = fresh().snakemake("-n", "--", target)
    assert answer.code == 1
    said = [line for line in answer.text.splitlines() if "workflow specific profile" not in line]
    assert said == [f"error: {target}: {says}"]


def test_every_setting_of_a_profile_is_known() -> None:
    check_settings(name for profile_name in PROFILES for name in profile(profile_name).get("config", {}))


def test_a_figure_at_a_small_budget_is_made_with_all_its_files(project: Project) -> None:
    answer = project.snakemake("-c2", "--", "paper_figures/small/toy_a.pdf")
    assert answer.code == 0, answer.text
    assert re.search(r"^paper_figures/small/toy_a\.pdf: (\d+ \w|no claims)", answer.text, re.MULTILINE), answer.text
    figures = project.root / "paper_figures/small"
    assert sorted(path.name for path in figures.iterdir()) == [f"toy_a.{s}" for s in ("csv", "json", "pdf", "svg")]
    runs = (project.root / "results/small/toy_a.runs").read_text().split()
    assert [run.rsplit("/", 2)[1] for run in runs] == ["walker_run", "walker_run"]
    for run in runs:
        assert (project.root / run / "train.log").exists()


def test_the_published_figure_is_a_copy_of_the_paper_budget(built: Path) -> None:
    for suffix in (".pdf", ".svg", ".csv", ".json"):
        published = built / f"paper_figures/toy_a{suffix}"
        assert published.read_bytes() == (built / f"paper_figures/paper/toy_a{suffix}").read_bytes()


def test_the_report_lists_figures_by_paper_with_their_verdicts(project: Project) -> None:
    answer = project.snakemake("--report", "report.html", "--", *TARGETS)
    assert answer.code == 0, answer.text
    text = (project.root / "report.html").read_text()
    assert "A toy paper" in text
    assert "1 supported" in text
    assert "Both. Both algorithms, at the paper budget." in text
