"""Which targets are refused, and which are left to Snakemake."""

from pathlib import Path

import pytest

from relatent.specs.catalog import Catalog
from relatent.specs.errors import RelatentError
from relatent.specs.settings import SETTINGS, check_settings
from relatent.specs.targets import check_targets
from tests.specs.toy import write_config


@pytest.mark.parametrize(
    "target",
    [
        "all",
        "smoke",
        "paper_figures/toy_a.pdf",
        "paper_figures/small/toy_a.svg",
        "paper_figures/paper/toy_b.json",
        "paper_figures/small/runs/toy/one/walker_run/s0-000000000000/returns.csv",
        "results/small/toy_a.parquet",
        "runs/small/toy/one/walker_run/s0-000000000000/returns.csv",
    ],
)
def test_a_target_that_may_be_made_is_let_pass(target: str, tmp_path: Path) -> None:
    check_targets(Catalog.load(write_config(tmp_path)), [target])


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("paper_figures/small/toy_d.pdf", "unknown figure 'toy_d', did you mean 'toy_b'?"),
        ("paper_figures/small/nothing.pdf", "unknown figure 'nothing', expected one of toy_a, toy_b"),
        ("paper_figures/smoll/toy_a.pdf", "unknown budget 'smoll', did you mean 'small'?"),
        ("paper_figures/toy_a.pfd", "unknown extension 'pfd', did you mean 'pdf'?"),
        ("paper_figures/toy_a", "unknown extension '', expected one of csv, json, pdf, svg"),
    ],
)
def test_a_target_that_no_figure_has_is_refused(target: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(RelatentError) as refused:
        check_targets(Catalog.load(write_config(tmp_path)), ["smoke", target])
    assert str(refused.value) == f"{target}: {says}"


def test_a_file_that_is_there_is_let_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog.load(write_config(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "paper_figures/small").mkdir(parents=True)
    (tmp_path / "paper_figures/small/toy_d.pdf").touch()
    check_targets(catalog, ["paper_figures/small/toy_d.pdf"])


def test_a_setting_that_nothing_reads_is_refused() -> None:
    check_settings(SETTINGS)
    with pytest.raises(
        RelatentError, match=r"unknown setting 'seed_per_job', expected one of .*seeds_per_job, variant"
    ):
        check_settings(["device", "seed_per_job"])
