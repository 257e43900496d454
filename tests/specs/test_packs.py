"""What is packed with what."""

import json
from pathlib import Path

import pytest

from relatent.specs.device import on_device
from relatent.specs.expand import Job
from relatent.specs.packs import OUTPUTS, make_packs, read_packs, write_packs

RESOURCES = {"gpu": 0, "cpus": 1, "mem_mb": 100, "runtime": 5}


def job(seed: int, task: str = "walk", size: int = 8, planned: bool = False, kind: str = "agent") -> Job:
    spec = json.dumps({kind: "first", "hyper": {"size": size}, "env": {"task": task}, "seed": seed})
    run = f"runs/paper/toy/one/{task}/s{seed}-{size:012d}"
    return Job(run, spec, "paper", "toy", "one", task, seed, RESOURCES, planned)


def seeds(packs: list) -> list[list[int]]:
    return [[one.seed for one in pack.jobs] for pack in packs]


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [
        (5, 1, []),
        (5, 2, [[0, 1], [2, 3]]),  # the fifth has nothing to be packed with
        (5, 3, [[0, 1, 2], [3, 4]]),
        (5, 5, [[0, 1, 2, 3, 4]]),
        (5, 9, [[0, 1, 2, 3, 4]]),
        (1, 5, []),
    ],
)
def test_sizes(count: int, size: int, expected: list[list[int]], tmp_path: Path) -> None:
    assert seeds(make_packs([job(seed) for seed in range(count)], size, tmp_path)) == expected


def test_what_is_packed_differs_in_its_seed_only(tmp_path: Path) -> None:
    jobs = [job(seed, task, size) for task in ("walk", "run") for size in (8, 16) for seed in (0, 1)]
    packs = make_packs([*jobs, *jobs], 9, tmp_path)  # a run that two figures show is one run
    assert seeds(packs) == [[0, 1]] * 4
    assert len({pack.name for pack in packs}) == 4
    assert all(pack.name.isidentifier() for pack in packs)
    assert make_packs([job(0, planned=True), job(1, planned=True)], 2, tmp_path) == []


def test_finished_runs_are_left_out(tmp_path: Path) -> None:
    jobs = [job(seed) for seed in range(4)]
    (tmp_path / jobs[1].run).mkdir(parents=True)
    (tmp_path / jobs[1].run / "returns.csv").write_text("done")
    assert seeds(make_packs(jobs, 9, tmp_path)) == [[0, 2, 3]]


def test_resources(tmp_path: Path) -> None:
    (pack,) = make_packs([job(seed) for seed in range(3)], 3, tmp_path)
    assert [pack.resource(name) for name in RESOURCES] == [0, 3, 300, 5]
    (pack,) = make_packs([on_device(job(seed), "cuda") for seed in range(3)], 3, tmp_path)
    assert [pack.resource(name) for name in RESOURCES] == [1, 3, 300, 5]
    assert on_device(job(0, kind="study"), "cuda").resources["gpu"] == 0
    assert on_device(job(0), "auto") == job(0)
    assert len(pack.outputs) == 3 * len(OUTPUTS)


def test_a_job_finds_its_pack_again_whatever_was_finished_since(tmp_path: Path) -> None:
    jobs = {one.run: one for one in map(job, range(3))}
    packs = make_packs(jobs.values(), 3, tmp_path)
    write_packs(packs, tmp_path)
    for one in jobs.values():
        (tmp_path / one.run).mkdir(parents=True)
        (tmp_path / one.run / "returns.csv").write_text("done")
    assert make_packs(jobs.values(), 3, tmp_path) == []
    assert read_packs(tmp_path, jobs) == packs
    jobs.popitem()
    assert read_packs(tmp_path, jobs) == []  # a run that nobody asks for any more
