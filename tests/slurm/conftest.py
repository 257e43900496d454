"""One cluster a pytest worker; what the host computes, computed once for all of them."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slurm.clone import Clone, copy_repository
from tests.slurm.cluster import Cluster, missing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, which no test judges."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"measured: {name}: {value}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, beside all others."""
    items.sort(key=lambda item: "hundreds_of_runs" not in item.name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    lacking = missing()
    if lacking:
        pytest.skip(f"Slurm is not installed here: no {', '.join(lacking)}; see tests/slurm/install.sh")
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture
def clone(cluster: Cluster, tmp_path: Path) -> Iterator[Clone]:
    """A fresh clone, from which no job is left behind."""
    yield Clone(copy_repository(tmp_path / "clone"), cluster)
    cluster.ask("scancel", "--me")


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], dict[str, bytes]]:
    """The results that a target gives on this computer without any cluster, shared by all workers."""
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "host"

    def results(target: str, trial: bool) -> dict[str, bytes]:
        root = shared / target.replace("/", "-")
        root.mkdir(parents=True, exist_ok=True)
        with (root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            clone = Clone(root / "clone")
            if not (root / "done").exists():
                shutil.rmtree(clone.root, ignore_errors=True)
                copy_repository(clone.root)
                if trial:
                    clone.add_trial(seeds="[0, 1]")
                clone.snakemake("-c2", target).wait()
                (root / "done").touch()
            return clone.results()

    return results


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Say a number at the end of the suite."""

    def say(name: str, value: str) -> None:
        request.node.user_properties.append((name, value))

    return say
