import sys
from pathlib import Path

import pytest
from rich.console import Console

from relatent.commands import doctor
from relatent.commands.doctor import MISSING, OK, PROBLEM, Check
from relatent.specs.images import Pin, write_pins


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.usefixtures("programs")
def test_missing_optional_programs_are_named_with_what_they_are_for(tmp_path: Path) -> None:
    for check in (doctor.containers(tmp_path), doctor.gpu(), doctor.tool("Slurm", ["sbatch"], "cluster", "go there")):
        assert check.state == MISSING
        assert check.advice


def test_the_pinned_image(programs: Path, tmp_path: Path) -> None:
    digest = f"sha256:{'1' * 64}"
    write_pins(tmp_path, {"cpu": Pin(id=digest, base="debian", packages=digest, recipe=digest)})
    install(programs, "podman", f'[ "$1" != image ] && echo podman version 4.3.1 || [ "$3" = {digest} ]')
    assert doctor.containers(tmp_path).found == "podman version 4.3.1, with the pinned image"
    install(programs, "podman", '[ "$1" != image ] && echo podman version 4.3.1')
    assert doctor.containers(tmp_path).found == "podman version 4.3.1, without the pinned image"
    install(programs, "apptainer", "echo apptainer version 1.4.5")
    assert doctor.containers(tmp_path).advice == "make image, to run inside it"
    (tmp_path / "containers/relatent-cpu-111111111111.sif").touch()
    assert doctor.containers(tmp_path).found == "apptainer version 1.4.5, with the pinned image"
    install(programs, "apptainer", "echo broken >&2; exit 1")
    assert doctor.containers(tmp_path) == Check(
        "containers", MISSING, "broken", "apptainer is installed but does not work"
    )


def test_programs_that_work(programs: Path) -> None:
    install(programs, "sbatch", "echo slurm 22.05")
    install(programs, "nvidia-smi", "echo NVIDIA H200, 143771 MiB")
    assert doctor.tool("Slurm", ["sbatch", "--version"], "", "").found == "slurm 22.05"
    assert doctor.gpu().state == OK


def test_a_driver_that_does_not_answer(programs: Path) -> None:
    install(programs, "nvidia-smi", "echo 'Failed to initialize NVML' >&2; exit 9")
    check = doctor.gpu()
    assert (check.state, check.found) == (MISSING, "Failed to initialize NVML")


def test_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "requirements.lock"
    path.write_text("numpy==2.3.5 \\\n    --hash=sha256:00\n    # via x\ntyper==0.1\n")
    assert doctor.locked_versions(path) == {"numpy": "2.3.5", "typer": "0.1"}
    monkeypatch.setattr(doctor, "version", {"numpy": "2.3.5", "typer": "0.1"}.get)
    assert doctor.lock(path) == Check("locked packages", OK, "all 2 as locked")
    monkeypatch.setattr(doctor, "version", {"numpy": "2.4.0"}.get)
    check = doctor.lock(path)
    assert (check.state, check.found) == (PROBLEM, "2 of 2 differ: numpy 2.4.0, typer none")
    assert doctor.lock(tmp_path / "none").state == PROBLEM


def test_python_other_than_the_locked_one_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    assert doctor.python().state == PROBLEM


def test_full_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK_GIB", 10**9)
    assert doctor.disk(tmp_path).state == PROBLEM


def test_opengl_falls_back_to_software_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "run", lambda _, **env: (env["MUJOCO_GL"] == "osmesa", "no EGL"))
    assert doctor.opengl() == Check("OpenGL", OK, "MUJOCO_GL=osmesa")
    monkeypatch.setattr(doctor, "run", lambda *_, **__: (False, "no EGL"))
    check = doctor.opengl()
    assert (check.state, check.found) == (MISSING, "no EGL")
    assert "quadruped_escape" in check.advice


@pytest.mark.parametrize(("states", "usable"), [((OK, MISSING), True), ((OK, PROBLEM), False)])
def test_only_problems_stop_training(states: tuple[str, ...], usable: bool) -> None:
    console = Console(width=100, record=True)
    assert doctor.report(iter([Check(state, state, "found", "advice") for state in states]), console) is usable
    assert "advice" in console.export_text()
