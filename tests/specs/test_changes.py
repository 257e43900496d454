"""What the README says about changes of the configuration works as it is written there."""

import re
import shutil
from pathlib import Path

import pytest

from relatent.specs.catalog import Catalog
from relatent.specs.errors import SpecError

ROOT = Path(__file__).parents[2]


def with_ablation(root: Path, line: str) -> Catalog:
    """The real configuration with an algorithm more, which SMAC's Figure 4 shows too."""
    shutil.copytree(ROOT / "config", root / "config")
    (root / "src").symlink_to(ROOT / "src")
    path = root / "config/papers/smac.yaml"
    text = path.read_text()
    for old, new in (
        ("\nalgorithms:\n", f"\nalgorithms:\n  {line}\n"),
        (
            "{algorithms: [td3, sac, smac], tasks: eight_states}",
            "{algorithms: [td3, sac, smac, my_ablation], tasks: eight_states}",
        ),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)
    return Catalog.load(root)


def line_of_readme() -> str:
    (line,) = re.findall(r"`(my_ablation: .*?)`", (ROOT / "README.md").read_text())
    return line


def test_the_readmes_ablation_is_a_line_more_of_the_figure_at_every_budget(tmp_path: Path) -> None:
    catalog = with_ablation(tmp_path, line_of_readme())
    for budget in catalog.budgets:
        jobs = [job for job in catalog.jobs(budget, "smac_fig4") if job.algorithm == "my_ablation"]
        assert jobs
        assert all('"particles":64' in job.spec for job in jobs)


def test_without_what_it_fixes_the_message_says_what_to_add(tmp_path: Path) -> None:
    line = re.sub(r", fixed: .*?\]", "", line_of_readme())
    with pytest.raises(SpecError) as refused:
        with_ablation(tmp_path, line)
    assert re.fullmatch(
        r"config/papers/smac\.yaml:\d+: figures\.fig4\.data\.algorithms: smac and my_ablation are the same at budget "
        r"smoke, which replaces particles by 2 for both: add `fixed: \[particles\]` to algorithms\.my_ablation",
        str(refused.value),
    )
