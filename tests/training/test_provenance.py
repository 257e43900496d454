import hashlib
import subprocess
from pathlib import Path

import pytest

from relatent.specs.engine import IMAGE_VARIABLE
from relatent.training import provenance


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A git repository with one committed source file."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/agent.py").write_text("width = 1\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        git(tmp_path, *command)
    return tmp_path


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(
        ["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_clean_clone_has_its_commit(clone: Path) -> None:
    assert provenance.source(clone) == {"commit": git(clone, "rev-parse", "HEAD"), "dirty": False}


@pytest.mark.parametrize(
    ("path", "dirty"),
    [("src/agent.py", True), ("src/new.py", True), ("config/papers/a.yaml", True), ("README.md", False)],
)
def test_dirty_means_what_can_decide_results(clone: Path, path: str, dirty: bool) -> None:
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text("changed\n")
    assert provenance.source(clone)["dirty"] is dirty


def test_a_repository_without_commits_is_dirty(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert provenance.source(tmp_path) == {"commit": None, "dirty": True}


def test_outside_a_clone_both_are_null(tmp_path: Path) -> None:
    assert provenance.source(tmp_path) == {"commit": None, "dirty": None}


def test_a_folder_within_another_repository_is_no_clone(clone: Path) -> None:
    """A virtual environment inside somebody's repository must not claim that repository's commit."""
    assert provenance.source(clone / "src") == {"commit": None, "dirty": None}


def test_without_git_both_are_null(clone: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert provenance.source(clone) == {"commit": None, "dirty": None}


def test_file_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"lock")
    assert provenance.file_digest(tmp_path / "a") == hashlib.sha256(b"lock").hexdigest()
    assert provenance.file_digest(tmp_path / "none") is None


def test_image_is_what_the_image_says_itself_or_its_starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(IMAGE_VARIABLE, raising=False)
    monkeypatch.setattr(provenance, "IMAGE_FILE", tmp_path / "relatent-image")
    assert provenance.image() is None
    monkeypatch.setenv(IMAGE_VARIABLE, "sha256:def")
    assert provenance.image() == "sha256:def"
    (tmp_path / "relatent-image").write_text("sha256:abc\n")
    assert provenance.image() == "sha256:abc"


@pytest.mark.parametrize(("device", "gpus"), [("cpu", []), ("cuda:1", ["card 1"])])
def test_a_run_names_the_gpu_that_it_used_and_no_other(
    device: str, gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a computer with two, which a run on the CPU sees as well."""
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {torch.device(device).index}")
    provenance.hardware.cache_clear()
    assert provenance.hardware(device)["gpus"] == gpus
    provenance.hardware.cache_clear()


def test_manifest_of_a_run_is_complete_and_names_no_host() -> None:
    import json
    import platform

    manifest = provenance.run_manifest({"seed": 0}, Path("runs/a"), {"update": 1.23456}, resumes=2, frames=10)
    assert manifest["phase_seconds"] == {"update": 1.235}
    assert manifest["started"] <= manifest["finished"]
    assert set(manifest) == {
        "spec", "run", "frames", "resumes", "started", "finished", "phase_seconds", "commit", "dirty",
        "lock_sha256", "image", "software", "hardware",
    }  # fmt: skip
    assert manifest["software"]["torch"]
    assert manifest["hardware"]["cores"] >= 1
    assert platform.node() not in json.dumps(manifest)
