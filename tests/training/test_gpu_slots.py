"""Real processes that share GPUs."""

import fcntl
import json
import os
import random
import re
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from relatent.training import gpu

from .gpus import RUN, TWO_GPUS, WHOLE, A, B, Computer, device, nvidia_smi, said

# Says when it had which slot, as the kernel knows it: by the file that is open.
RACER = """
import os, random, sys, time
from contextlib import suppress
from pathlib import Path
from relatent.training import gpu

def slot():
    for number in range(64):
        with suppress(OSError):
            file = Path(os.readlink(f"/proc/self/fd/{number}"))
            if file.name.startswith("GPU-"):
                return file.name

gpu.PAUSE = 0.01
gpu.claim(1, Path(sys.argv[1]))
print("had", slot(), time.monotonic(), flush=True)
time.sleep(random.Random(int(sys.argv[2])).uniform(0.0, 0.2))
print("left", slot(), time.monotonic(), flush=True)
"""


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Callable[..., Computer]]:
    """Makes a computer by what its nvidia-smi says."""
    made: list[Computer] = []

    def make(says: str = TWO_GPUS, code: int = 0) -> Computer:
        made.append(Computer(tmp_path / "slots", nvidia_smi(tmp_path / "bin", says, code)))
        return made[-1]

    yield make
    for run in (run for computer in made for run in computer.runs):
        run.kill()
        run.communicate()


def test_four_runs_side_by_side_spread_over_two_gpus(computer: Callable[..., Computer]) -> None:
    here = computer()
    runs = [here.start(RELATENT_RUNS_PER_GPU=2) for _ in range(4)]
    assert Counter(map(device, runs)) == {A: 2, B: 2}


def test_a_run_goes_where_fewest_are(computer: Callable[..., Computer]) -> None:
    here = computer()
    first, second, third = (here.start(RELATENT_RUNS_PER_GPU=3, CUDA_VISIBLE_DEVICES=n) for n in (1, 1, 0))
    assert [device(run) for run in (first, second, third)] == [B, B, A]
    runs = [here.start(RELATENT_RUNS_PER_GPU=3) for _ in range(2)]
    assert [device(run) for run in runs] == [A, A]  # of equals, the first


@pytest.mark.parametrize("end", ["kill", "terminate", "leave"])
def test_a_slot_is_free_when_its_process_has_ended_and_not_before(computer: Callable[..., Computer], end: str) -> None:
    here = computer(WHOLE[0])
    first = here.start()
    assert device(first) == A
    second = here.start()
    assert said(second) == f"waiting for a GPU: all slots are taken (runs_per_gpu: 1) of {A}"
    time.sleep(0.5)  # ten more looks
    assert first.poll() is None
    assert second.poll() is None
    if end == "leave":
        first.communicate()
    else:
        getattr(first, end)()
    assert device(second) == A  # and no second line about waiting came before it


def test_a_program_that_a_run_started_does_not_keep_its_slot(computer: Callable[..., Computer], tmp_path: Path) -> None:
    here = computer(WHOLE[0])
    left = tmp_path / "left"
    code = RUN.replace(
        "sys.stdin.read()",
        f"import subprocess; p = subprocess.Popen(['sleep', '60']); "
        f"Path({str(left)!r}).write_text(str(p.pid)); os.kill(os.getpid(), 9)",
    )
    command = [sys.executable, "-c", code, "1", str(here.slots)]
    subprocess.run(command, env=here.environment(), stdout=subprocess.DEVNULL, check=False, timeout=60)
    child = int(left.read_text())
    try:
        os.kill(child, 0)
        assert device(here.start()) == A
    finally:
        os.kill(child, 9)


def test_a_setting_made_smaller_counts_the_runs_that_are_there(computer: Callable[..., Computer]) -> None:
    here = computer(WHOLE[0])
    first, second = (here.start(RELATENT_RUNS_PER_GPU=2) for _ in range(2))
    assert [device(first), device(second)] == [A, A]
    third = here.start(RELATENT_RUNS_PER_GPU=1)
    assert "waiting" in said(third)
    first.kill()
    time.sleep(0.5)
    assert third.poll() is None
    second.kill()
    assert device(third) == A


def test_in_a_slurm_job_it_never_waits(computer: Callable[..., Computer]) -> None:
    here = computer()
    runs = [here.start(SLURM_JOB_ID=7, CUDA_VISIBLE_DEVICES="0,1") for _ in range(5)]
    assert sorted(Counter(map(device, runs)).values()) == [2, 3]


def test_a_run_without_a_gpu_takes_no_slot_and_changes_nothing(computer: Callable[..., Computer]) -> None:
    here = computer()
    run = here.start(0, CUDA_VISIBLE_DEVICES="0,1", RELATENT_RUNS_PER_GPU=0)
    assert json.loads(said(run)) == [None, "0,1", None, False]
    assert not here.slots.exists()


@pytest.mark.parametrize("restriction", ["", "-1", "NoDevFiles", "7"])
def test_where_no_gpu_may_be_used_nothing_is_changed(computer: Callable[..., Computer], restriction: str) -> None:
    here = computer()
    assert json.loads(said(here.start(CUDA_VISIBLE_DEVICES=restriction))) == [None, restriction, None, False]
    assert not here.slots.exists()


def test_a_computer_without_gpus_is_left_alone(computer: Callable[..., Computer]) -> None:
    here = computer("No devices found.", 6)
    assert json.loads(said(here.start())) == [None, None, None, False]
    (here.tools / "nvidia-smi").unlink()
    assert json.loads(said(here.start())) == [None, None, None, False]


def test_one_index_that_is_two_gpus_is_two_devices(computer: Callable[..., Computer], tmp_path: Path) -> None:
    """Two Slurm jobs, each of which sees another GPU as its 0."""
    here = computer(WHOLE[0])
    assert device(here.start(CUDA_VISIBLE_DEVICES=0)) == A
    here.tools = nvidia_smi(tmp_path / "other", f"GPU 0: NVIDIA H200 (UUID: {B})")
    assert device(here.start(CUDA_VISIBLE_DEVICES=0)) == B


def test_no_slot_is_ever_held_twice_when_thirty_race_and_some_are_killed(computer: Callable[..., Computer]) -> None:
    here = computer()
    environment = here.environment(RELATENT_RUNS_PER_GPU=3)
    for seed in range(30):
        command = [sys.executable, "-c", RACER, str(here.slots), str(seed)]
        run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        here.runs.append(run)
    killed = {}
    for seed in random.Random(0).sample(range(30), 6):
        said(here.runs[seed])  # it waits, or it has a slot
        killed[seed] = time.monotonic()
        here.runs[seed].kill()
    held: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for seed, run in enumerate(here.runs):
        out, error = run.communicate(timeout=120)
        assert seed in killed or run.returncode == 0, error
        moments = {
            name: (slot, float(moment)) for name, slot, moment in re.findall(r"^(had|left) (\S+) (\S+)$", out, re.M)
        }
        if "had" in moments:
            slot, begin = moments["had"]
            held[slot].append((begin, moments.get("left", (slot, max(begin, killed.get(seed, 0.0))))[1]))
    assert set(held) == {f"{uuid}.{slot}" for uuid in (A, B) for slot in range(3)}
    assert sum(map(len, held.values())) >= 24
    for slot, times in held.items():
        for (_, end), (begin, _) in pairwise(sorted(times)):
            assert end <= begin, slot


def test_one_run_chooses_at_a_time(computer: Callable[..., Computer]) -> None:
    here = computer()
    inside = gpu.open_folder(here.slots)
    with gpu.choosing(inside):
        run = here.start()
        assert not select.select([run.stdout], [], [], 2.0)[0]
        assert [path.name for path in here.slots.iterdir()] == ["choosing"]
    assert device(run) == A
    os.close(inside)


def test_two_users_share_the_slots() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be two users")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders are closed to others
        Path(name).chmod(0o755)
        here = Computer(Path(name) / "slots", nvidia_smi(Path(name) / "bin", TWO_GPUS))
        (Path(name) / "slots").mkdir()
        (Path(name) / "slots").chmod(0o1777)
        users = {0: "os.umask(0o077)", 65534: "os.setgid(65534); os.setuid(65534)"}
        try:
            found = []
            for user in (0, 65534, 0, 65534):
                code = RUN.replace("gpu.PAUSE = 0.05", users[user])
                command = [sys.executable, "-c", code, "1", str(here.slots)]
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
                here.runs.append(
                    subprocess.Popen(command, env=here.environment(RELATENT_RUNS_PER_GPU=2), text=True, **pipes)
                )
                found.append(device(here.runs[-1]))
            assert found == [A, B, A, B]
            assert {path.stat().st_uid for path in here.slots.iterdir()} == {0, 65534}
        finally:
            for run in here.runs:
                run.kill()
                run.communicate()


def test_a_cleaner_of_old_files_finds_the_folder_locked(computer: Callable[..., Computer]) -> None:
    """systemd-tmpfiles passes over a folder that it cannot lock."""
    here = computer()
    run = here.start()
    device(run)
    folder = os.open(here.slots, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    run.kill()
    run.wait()
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(folder)
