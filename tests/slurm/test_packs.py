"""Several seeds in one job: it is interrupted like any other, and every seed continues."""

from collections.abc import Callable

from tests.slurm.clone import Clone
from tests.slurm.cluster import Cluster

TARGET = "results/paper/trial_curve.parquet"


def test_a_cancelled_pack_goes_on_with_every_seed(
    clone: Clone, cluster: Cluster, host: Callable[..., dict[str, bytes]]
) -> None:
    clone.add_trial(seeds="[0, 1]")
    call = clone.slurm("--config", "seeds_per_job=2", "--", TARGET)
    cluster.until(lambda: saved(clone) == 2 or call.process.poll() is not None, 300, "a checkpoint of each seed")
    assert call.process.poll() is None, call.text
    (job,) = call.submitted()
    cluster.ask("scancel", job)
    cluster.until(lambda: clone.log().count("stopped by SIGTERM") == 2, 60, "the trainers are not told")
    call.wait()
    assert len(call.submitted()) == 2
    assert clone.results() == host(TARGET, trial=True)
    assert not list((clone.root / "runs").rglob(".finished"))
    clone.assert_nothing_left()


def saved(clone: Clone) -> int:
    """Runs that have a checkpoint."""
    return len({path.parent for path in (clone.root / "runs").rglob("checkpoint/state-*.json")})
