"""Every algorithm of every paper learns from random transitions, with the values of its smallest budget.

CI draws a figure of each agent, environment, probe, kind and arm of a study through the workflow; an agent's algorithm
that differs from those by its values alone is built here.
"""

import json
from pathlib import Path

import pytest
import torch

from relatent.agents import make_agent
from relatent.commands.cost import begun, synthetic_replay
from relatent.commands.plan import environment_sizes
from relatent.specs.canonical import canonical
from relatent.specs.catalog import Catalog
from relatent.specs.expand import Job

CATALOG = Catalog.load(Path(__file__).parents[2])
JOBS = {
    (CATALOG.figures[figure].paper, job.algorithm): job
    for figure in CATALOG.figures
    for job in CATALOG.jobs("smoke", figure)
    if "training" in json.loads(job.spec)
}
UPDATES = 4


@pytest.mark.parametrize("job", JOBS.values(), ids=lambda job: job.algorithm)
def test_it_learns(job: Job) -> None:
    spec = json.loads(job.spec)
    shape = environment_sizes(canonical(spec["env"]))
    assert shape is not None
    torch.manual_seed(0)
    learner = make_agent(spec["agent"], begun(spec["hyper"]), *shape)
    replay, stream = synthetic_replay(learner, *shape, 500), torch.Generator().manual_seed(0)
    before = {name: value.clone() for name, value in learner.named_parameters()}
    for _ in range(UPDATES):
        metrics = learner.update(replay, stream)
        assert all(torch.as_tensor(value).isfinite().all() for value in metrics.values())
    assert metrics
    assert any(not torch.equal(value, before[name]) for name, value in learner.named_parameters())
