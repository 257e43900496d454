"""What Snakemake's plugin for Slurm does wrong when it is asked to; docs/slurm.md says what happens then."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from relatent.cluster.leftovers import PREFIX
from tests.specs.toy import ROOT

PROFILES = sorted(path for path in (ROOT / "workflow/profiles").iterdir() if path.is_dir())
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]


def settings(profile: Path) -> dict[str, Any]:
    return yaml.safe_load((profile / "profile.yaml").read_text())


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.name)
def test_a_profile_is_one_file(profile: Path) -> None:
    # Of several, the order of the directory decides.
    assert [path.name for path in profile.iterdir()] == ["profile.yaml"]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.name)
@pytest.mark.parametrize(
    "key",
    [
        "slurm-array-jobs",  # all get the first one's resources, and good results are deleted
        "slurm-requeue",  # two parties would retry one failure
        "group-components",  # one after the other in the time of one
        "groups",
    ],
)
def test_no_profile_asks_for_what_loses_jobs(profile: Path, key: str) -> None:
    assert key not in settings(profile)


@pytest.mark.parametrize("key", ["executor", "cores", "jobs", "software-deployment-method", "resources", "retries"])
def test_the_default_profile_overrides_no_other(key: str) -> None:
    assert key not in settings(ROOT / "workflow/profiles/default")


def test_a_job_that_was_given_up_removes_nothing() -> None:
    assert settings(ROOT / "workflow/profiles/slurm")["keep-incomplete"] is True


def test_jobs_are_looked_for_with_patience() -> None:
    slurm = settings(ROOT / "workflow/profiles/slurm")
    assert slurm["slurm-status-command"] == "squeue"  # sacct's word for a cancelled job is not understood
    assert slurm["slurm-status-attempts"] / slurm["max-status-checks-per-second"] >= 500  # seconds without controller
    assert slurm["default-resources"]["slurm_extra"] == "'--signal=TERM@120'"  # for packs of runs too
    assert slurm["slurm-jobname-prefix"] + "_" == PREFIX


@pytest.mark.parametrize("keyword", ["retries", "group", "resource_scopes"])
def test_no_rule_has(keyword: str) -> None:
    # A rule's retries are honoured at every level of nesting, inside of the job that has just failed too.
    for path in RULES:
        assert not re.search(rf"^\s*{keyword}\s*:", path.read_text(), re.MULTILINE), path


def test_no_rule_knows_a_cluster() -> None:
    for path in RULES:
        assert not re.search(r"slurm_(partition|account|extra)|\bqos\b|\bconstraint\b", path.read_text()), path


def test_the_lock_is_the_kernels() -> None:
    assert settings(ROOT / "workflow/profiles/default")["nolock"] is True
