"""Which engine runs images, and what jobs in it are told."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from relatent.specs.engine import Engine, choose_container, find_engine, passed_on
from relatent.specs.errors import RelatentError
from tests.specs.test_images import ONE, PIN, write_pins


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts programs on an otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CONTAINER_ENGINE", raising=False)

    def program(name: str) -> Path:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
        return folder / name

    return program


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone with the shim and a pinned image."""
    folder = tmp_path / "clone"
    (folder / "containers/shim").mkdir(parents=True)
    (folder / "containers/shim/apptainer").write_text("#!/bin/sh\n")
    (folder / "containers/shim/apptainer").chmod(0o755)
    write_pins(folder, {"cpu": PIN})
    return folder


@pytest.mark.parametrize(
    ("installed", "wish", "engine"),
    [
        (["apptainer", "podman"], None, Engine("apptainer", "apptainer")),
        (["singularity", "docker"], None, Engine("singularity", "singularity")),
        (["podman", "docker"], None, Engine("apptainer", "podman")),
        (["docker"], None, Engine("apptainer", "docker")),
        (["apptainer", "podman", "docker"], "docker", Engine("apptainer", "docker")),
    ],
)
def test_apptainer_comes_first_unless_another_is_wished_for(
    root: Path,
    install: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    installed: list[str],
    wish: str | None,
    engine: Engine,
) -> None:
    for name in installed:
        install(name)
    if wish:
        monkeypatch.setenv("CONTAINER_ENGINE", wish)
    assert find_engine(root) == engine


def test_the_shim_is_not_taken_for_apptainer(
    root: Path, install: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("podman")
    monkeypatch.setenv("PATH", str(root / "containers/shim"), prepend=":")
    assert find_engine(root).runs == "podman"


@pytest.mark.usefixtures("install")
def test_without_any_engine(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RelatentError, match="needs apptainer, podman or docker"):
        find_engine(root)
    monkeypatch.setenv("CONTAINER_ENGINE", "podman")
    with pytest.raises(RelatentError, match="needs CONTAINER_ENGINE=podman, which is not on PATH"):
        find_engine(root)


def test_with_podman_snakemake_finds_the_shim(
    root: Path, install: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("podman")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    container = choose_container(root, {})
    assert (container.engine.command, container.image) == ("apptainer", f"docker://{ONE}")
    assert os.environ["PATH"].split(":")[0] == str(root / "containers/shim")


@pytest.mark.parametrize(
    ("runs", "image", "inside"),
    [
        ("apptainer", "relatent-cpu-111111111111.sif", {"APPTAINERENV_MUJOCO_GL": "osmesa"}),
        ("singularity", "relatent-cpu-111111111111.sif", {"SINGULARITYENV_MUJOCO_GL": "osmesa"}),
        (
            "apptainer",
            f"docker://registry.example/relatent@{ONE}",
            {"APPTAINERENV_MUJOCO_GL": "osmesa", "APPTAINERENV_RELATENT_IMAGE": ONE},
        ),
        ("podman", f"docker://{ONE}", {"APPTAINERENV_MUJOCO_GL": "osmesa"}),
    ],
)
def test_what_cleanenv_would_keep_from_a_run_is_passed_on(runs: str, image: str, inside: dict[str, str]) -> None:
    assert passed_on(Engine("apptainer", runs), image, {"MUJOCO_GL": "osmesa", "PIP_INDEX_URL": "x"}) == inside
