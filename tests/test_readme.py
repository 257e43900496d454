"""The README says what is so."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci/run").read_text()
NOT_IN_CI = {
    "make demo": "takes longer than CI has",
    "snakemake -c2 smoke": "CI draws smoke_cover, the part of it that needs all code",
    "snakemake --profile slurm paper_figures/smac_fig4.pdf": "needs a cluster",
}


def commands() -> list[str]:
    """Every command in the README's indented blocks, without what is said about it."""
    lines = re.findall(r"^    ((?:make|snakemake|relatent) .+)$", README, flags=re.MULTILINE)
    return [re.split(r"\s{2,}", line)[0] for line in lines]


def test_ci_runs_every_command() -> None:
    assert len(commands()) > 8
    lines = [line.replace("make --no-print-directory", "make") for line in CI.splitlines()]
    run = [re.sub(r"^(step|suite \S+) ", "", line) for line in lines]
    assert [command for command in commands() if command not in run and command not in NOT_IN_CI] == []


def test_rule_graph_is_the_workflow() -> None:
    target = "paper_figures/smac_fig4.pdf"
    command = [sys.executable, "-m", "snakemake", "-n", "--rulegraph", "mermaid-js", "--", target]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout
    name = dict(re.findall(r"(id\d+)\[(\w+)\]", made))
    edges = {(name[one], name[other]) for one, other in re.findall(r"(id\d+) --> (id\d+)", made)}
    shown = re.search(r"```mermaid\n(.*?)```", README, flags=re.DOTALL)
    assert shown is not None
    assert len(edges) >= 5
    assert set(re.findall(r"(\w+) --> (\w+)", shown.group(1))) == edges


def test_every_linked_file_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_what_is_said_to_be_trained_is_committed() -> None:
    rows = [line.split("|") for line in README.splitlines() if line.startswith("| ") and "docs/" in line]
    named = {column: {name for row in rows for name in re.findall(r"`(\w+)`", row[column])} for column in (2, 3)}
    folders = {2: ROOT / "paper_figures", 3: ROOT / "paper_figures/laptop"}
    tracked = subprocess.run(["git", "ls-files", "paper_figures"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in tracked.stdout.splitlines()]
    for column, folder in folders.items():
        assert named[column] == {file.stem for file in files if file.parent == folder and file.suffix == ".pdf"}
