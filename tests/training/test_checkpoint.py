"""A damaged checkpoint is noticed and the one before it is used; a full disk costs nothing already saved."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from relatent.specs.errors import RelatentError
from relatent.training.checkpoint import Checkpoint
from relatent.training.replay import Replay

from .specs import filled


class Part:
    """Something with state."""

    def __init__(self, value: float) -> None:
        self.value = torch.full((1_000,), value)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.value = state["value"]


def save_three(folder: Path) -> Replay:
    """Checkpoints at frames 4, 9 and 12, of which the last two are kept."""
    replay = filled(100, [4])
    part = Part(1.0)
    checkpoint = Checkpoint(folder, {"part": part}, replay, 0.0)
    assert checkpoint.save({"frames": 4})
    grow(replay, 5)
    part.value += 1
    assert checkpoint.save({"frames": 9})
    grow(replay, 3)
    part.value += 1
    assert checkpoint.save({"frames": 12})
    return replay


def grow(replay: Replay, length: int) -> None:
    for step in range(length):
        value = np.full(2, replay.rows, np.float32)
        replay.add(value, np.zeros(1), float(replay.rows), value + 1, False, step == length - 1)


def load(folder: Path, capacity: int = 100) -> tuple[dict | None, float, Replay]:
    part, replay = Part(0.0), Replay(capacity, 2, 1)
    position = Checkpoint(folder, {"part": part}, replay, 0.0).load()
    return position, float(part.value[0]), replay


def test_the_newest_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    replay = save_three(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("state-*.json")) == [
        "state-000000000009.json",
        "state-000000000012.json",
    ]
    position, value, restored = load(tmp_path)
    assert (position, value, len(restored)) == ({"frames": 12}, 3.0, 12)
    assert np.array_equal(restored.table[: restored.rows], replay.table[: replay.rows])


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))


DAMAGE = {
    "state truncated": lambda f: (f / "state-000000000012.pt").write_bytes(b"PK"),
    "one bit of the state flipped": lambda f: flip(f / "state-000000000012.pt", 700),
    "state missing": lambda f: (f / "state-000000000012.pt").unlink(),
    "sentinel half written": lambda f: (f / "state-000000000012.json").write_text('{"position": {"fra'),
    "sentinel without checksum": lambda f: (f / "state-000000000012.json").write_text('{"position": {"frames": 12}}'),
    "replay truncated": lambda f: (f / "replay.f32").write_bytes((f / "replay.f32").read_bytes()[:-10]),
    "last replay row flipped": lambda f: flip(f / "replay.f32", -1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_detected_and_the_previous_checkpoint_is_used(damage: str, tmp_path: Path, capsys) -> None:
    save_three(tmp_path)
    DAMAGE[damage](tmp_path)
    position, value, restored = load(tmp_path)
    assert (position, value, len(restored)) == ({"frames": 9}, 2.0, 9)
    assert "state-000000000012 is damaged" in capsys.readouterr().err


def test_after_falling_back_the_next_checkpoint_is_whole(tmp_path: Path) -> None:
    save_three(tmp_path)
    flip(tmp_path / "replay.f32", -1)
    part, replay = Part(0.0), Replay(100, 2, 1)
    checkpoint = Checkpoint(tmp_path, {"part": part}, replay, 0.0)
    assert checkpoint.load() == {"frames": 9}
    grow(replay, 7)
    assert checkpoint.save({"frames": 16})
    position, _, restored = load(tmp_path)
    assert position == {"frames": 16}
    assert np.array_equal(restored.table[: restored.rows], replay.table[: replay.rows])


def test_with_both_damaged_training_starts_anew(tmp_path: Path, capsys) -> None:
    save_three(tmp_path)
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(b"")
    assert load(tmp_path)[0] is None
    first, second = capsys.readouterr().err.splitlines()
    assert "state-000000000012 is damaged" in first
    assert first.endswith("; trying the one before")
    assert "state-000000000009 is damaged" in second
    assert second.endswith("; none is left, so training starts again from frame 0")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting a small tmpfs needs root: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_keeps_what_was_saved_and_says_so(small_disk: Path, capsys) -> None:
    folder = small_disk / "checkpoint"
    replay, part = filled(100_000, [10]), Part(1.0)
    checkpoint = Checkpoint(folder, {"part": part}, replay, 0.0)
    assert checkpoint.save({"frames": 10})
    grow(replay, 20_000)  # half a megabyte
    assert not checkpoint.save({"frames": 20_010})
    message = capsys.readouterr().err
    assert "frame 20010 not saved" in message
    assert "No space left" in message
    assert "the one at frame 10 is kept" in message
    assert load(folder)[0] == {"frames": 10}
    # Space comes back: the same process saves again, and the whole replay is there.
    roomy = small_disk.parent / "roomy"
    shutil.copytree(folder, roomy)
    checkpoint.folder, checkpoint.replay_file = roomy, roomy / "replay.f32"
    assert checkpoint.save({"frames": 20_010})
    position, _, restored = load(roomy, capacity=100_000)
    assert (position, len(restored)) == ({"frames": 20_010}, 20_010)
    assert np.array_equal(restored.table[: restored.rows], replay.table[: replay.rows])


def test_a_checkpoint_of_another_spec_is_refused(tmp_path: Path) -> None:
    replay = filled(100, [4])
    Checkpoint(tmp_path, {"part": Part(1.0)}, replay, 0.0, "aaa").save({"frames": 4})
    with pytest.raises(RelatentError, match="belongs to another spec, aaa instead of bbb"):
        Checkpoint(tmp_path, {"part": Part(1.0)}, replay, 0.0, "bbb").load()


def test_removed_with_everything_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    replay = save_three(folder)
    Checkpoint(folder, {}, replay, 0.0).remove()
    assert not folder.exists()


def test_the_sentinel_names_what_it_vouches_for(tmp_path: Path) -> None:
    replay = save_three(tmp_path)
    sentinel = json.loads((tmp_path / "state-000000000012.json").read_text())
    assert set(sentinel) == {"spec", "position", "sha256", "replay_rows", "replay_crc32"}
    assert sentinel["replay_rows"] == replay.rows


def test_a_checkpoint_of_code_with_other_parts_is_refused(tmp_path: Path) -> None:
    replay = filled(100, [4])
    Checkpoint(tmp_path, {"part": torch.nn.Linear(2, 1)}, replay, 0.0).save({"frames": 4})
    renamed = Checkpoint(tmp_path, {"part": torch.nn.Sequential(torch.nn.Linear(2, 1))}, filled(100, []), 0.0)
    with pytest.raises(RelatentError, match=r'other parts in this code .*Missing key.* "0.weight".*remove the folder'):
        renamed.load()
    with pytest.raises(RelatentError, match=r"other parts in this code \('world'\)"):
        Checkpoint(tmp_path, {"world": torch.nn.Linear(2, 1)}, filled(100, []), 0.0).load()
