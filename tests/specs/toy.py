"""A small project: the real specs, Snakefile and rules around one paper of 2 algorithms, 2 tasks and 2 seeds.

Its `python -m relatent` is a stand-in that writes in milliseconds what the real stages write.
"""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BUDGETS = """\
budgets:
  small:
    frames: 100
    seeds: 1
    hyper:
      first: {size: 2}
    tasks:
      toy: {both: [walker_run]}
  paper: {}
"""

PAPER = """\
paper: toy
title: A toy paper
source: {arxiv: "0000.00000"}
training: {frames: 1_000, random_frames: 100, eval_every: 100, eval_episodes: 2}
seeds: [0, 1]
resources: {gpu: 0, cpus: 1, mem_mb: 100, runtime: 5}
envs:
  states: {suite: dmc, action_repeat: 1}
tasks:
  both: {env: states, names: [walker_run, cheetah_run]}
shared:
  rates: {gamma: 0.99, tau: 0.005}
algorithms:
  one:
    agent: first
    label: One
    use: [rates]
    hyper: {size: 8, lr: 3.0e-4, kind: plain}
  two:
    agent: second
    label: Two
    use: [rates]
    hyper: {size: 8}
figures:
  a:
    kind: learning_curve
    title: Both
    caption: Both algorithms
    data: {algorithms: [one, two], tasks: both}
    reference: {file: config/reference/toy.csv}
    claims:
      - id: better
        says: One is better.
        where: Sec. 1
        from: small
        test: {kind: better, algorithm: one, than: two, tasks: [walker_run]}
  b:
    kind: learning_curve
    title: The second
    caption: One algorithm
    data: {algorithms: [two], tasks: both}
"""

FIRST = '''\
"""A toy agent."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Hyper:
    size: int
    """How large."""
    lr: float
    """How fast."""
    gamma: float
    """Discount."""
    tau: float
    """Average."""
    kind: Literal["plain", "fancy"]
    """Which."""
    sizes: tuple[int, ...] = ()
    """More sizes."""
    layers: int = 2
    bold: bool = False
'''

SECOND = '''\
"""Another toy agent."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hyper:
    size: int
    """How wide."""
    gamma: float
    """Discount."""
    tau: float
    """Average."""
    batch: int = 32
'''

STAND_IN = '''\
"""Writes what the stages write, and fails where they would."""

import argparse
import json
import sys
from pathlib import Path

stages = argparse.ArgumentParser().add_subparsers(dest="stage", required=True)
train = stages.add_parser("train")
train.add_argument("--spec")
train.add_argument("--run", type=Path)
train.add_argument("--pack", type=Path)
train.add_argument("--gpus", type=int, required=True)
train.add_argument("--at-once", type=int)
gather = stages.add_parser("gather")
gather.add_argument("runs", type=Path)
gather.add_argument("out", type=Path)
check = stages.add_parser("check")
check.add_argument("data", type=Path)
check.add_argument("out", type=Path)
check.add_argument("--drawing", type=Path, required=True)
draw = stages.add_parser("draw")
draw.add_argument("data", type=Path)
draw.add_argument("out", type=Path)
draw.add_argument("--check", type=Path, required=True)
draw.add_argument("--drawing", type=Path, required=True)
parsers = {"train": train, "gather": gather, "check": check, "draw": draw}
given = parsers[sys.argv[1]].parse_args(sys.argv[2:])
if sys.argv[1] == "train":
    both = [{"run": given.run, "spec": given.spec}] if given.spec else json.loads(given.pack.read_text())
    for one in both:
        for name in ("probes.npz", "manifest.json", "returns.csv"):
            Path(one["run"], name).write_text(json.dumps(one["spec"]) if given.pack else one["spec"])
elif sys.argv[1] == "gather":
    runs = given.runs.read_text().split()
    given.out.write_text("".join(Path(run, "returns.csv").read_text() for run in runs))
elif sys.argv[1] == "check":
    assert given.data.exists() and given.drawing.exists()
    given.out.write_text('{"claims": [{"verdict": "supported"}]}')
else:
    assert given.data.exists() and given.drawing.exists() and given.check.exists()
    for suffix in (".pdf", ".svg", ".csv", ".json"):
        given.out.with_suffix(suffix).write_text("<svg/>")
'''


IMAGES = """\
images:
  cpu: {id: "sha256:ID", base: debian, packages: "sha256:ID", recipe: "sha256:ID"}
  cuda: {id: "sha256:ID", base: debian, packages: "sha256:ID", recipe: "sha256:ID"}
""".replace("ID", 64 * "0")


def write_config(root: Path, paper: str = PAPER, budgets: str = BUDGETS) -> Path:
    """The part that `Catalog.load` reads."""
    files = {
        "config/papers/toy.yaml": paper,
        "config/budgets.yaml": budgets,
        "config/reference/toy.csv": "task,algorithm,mean,std,seeds,source\n",
        "src/relatent/agents/__init__.py": "",
        "src/relatent/agents/first.py": FIRST,
        "src/relatent/agents/second.py": SECOND,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def write_project(root: Path) -> Path:
    """All that Snakemake needs."""
    write_config(root)
    package = root / "src/relatent"
    for name in ("__init__.py", "cluster", "specs"):
        copy = shutil.copytree if (ROOT / "src/relatent" / name).is_dir() else shutil.copy2
        copy(ROOT / "src/relatent" / name, package / name)
    (package / "__main__.py").write_text(STAND_IN)
    shutil.copy2(ROOT / "Snakefile", root)
    shutil.copytree(ROOT / "workflow", root / "workflow")
    (root / "containers").mkdir()
    (root / "containers/images.yaml").write_text(IMAGES)
    for name in ("slurm", "profiles"):
        shutil.copy2(ROOT / name, root / name, follow_symlinks=False)
    return root
