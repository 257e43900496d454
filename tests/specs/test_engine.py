"""Which engine runs images, and what jobs in it are told."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from relatent.specs.engine import Engine, choose_container, find_engine, passed_on
from relatent.specs.errors import RelatentError
from tests.specs.test_images import ONE, PIN, write_pins

ENGINE_SH = Path(__file__).resolve().parents[2] / "containers/engine.sh"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts programs on an otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CONTAINER_ENGINE", raising=False)

    def program(name: str, script: str = "") -> Path:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
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
    install: Callable[..., Path],
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


# What docker's client does where its server is not there.
NO_SERVER = "echo 'Cannot connect to the Docker daemon' >&2; exit 1"


@pytest.mark.parametrize(
    ("installed", "wish", "engine"),
    [
        ({"docker": ""}, None, "docker"),
        ({"docker": NO_SERVER}, None, None),
        ({"docker": NO_SERVER, "podman": ""}, None, "podman"),
        ({"docker": NO_SERVER, "podman": ""}, "docker", None),
        ({"docker": "", "podman": ""}, "docker", "docker"),
        ({"podman": ""}, "docker", None),
        ({}, None, None),
    ],
)
def test_docker_without_its_server_is_no_engine(
    root: Path,
    install: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    installed: dict[str, str],
    wish: str | None,
    engine: str | None,
) -> None:
    """The scripts in containers/ and Snakemake's side choose alike."""
    for name in ("bash", "dirname", "readlink", "sed", "timeout"):
        install(name, f'exec {shutil.which(name, path="/usr/bin:/bin")} "$@"')
    for name, script in installed.items():
        install(name, script)
    if wish:
        monkeypatch.setenv("CONTAINER_ENGINE", wish)
    try:
        found = find_engine(root).runs
    except RelatentError:
        found = None
    said = subprocess.run(["bash", "-c", f"source {ENGINE_SH}; engine"], capture_output=True, text=True, check=False)
    assert (found, Path(said.stdout.strip()).name or None) == (engine, engine)


def test_an_engine_may_be_named_by_its_path(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tmp_path / "my programs/podman"
    engine.parent.mkdir()
    engine.write_text("#!/bin/sh\n")
    engine.chmod(0o755)
    monkeypatch.setenv("CONTAINER_ENGINE", str(engine))
    said = subprocess.run(["bash", "-c", f"source {ENGINE_SH}; engine"], capture_output=True, text=True, check=True)
    assert (find_engine(root).runs, said.stdout.strip()) == ("podman", str(engine))


def test_the_line_names_the_server(root: Path, install: Callable[..., Path]) -> None:
    install("docker", NO_SERVER)
    with pytest.raises(RelatentError, match="podman or docker: the server of docker does not answer"):
        find_engine(root)


def test_the_shim_is_not_taken_for_apptainer(
    root: Path, install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("podman")
    monkeypatch.setenv("PATH", str(root / "containers/shim"), prepend=":")
    assert find_engine(root).runs == "podman"


@pytest.mark.usefixtures("install")
def test_without_any_engine(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RelatentError, match="needs apptainer, podman or docker"):
        find_engine(root)
    monkeypatch.setenv("CONTAINER_ENGINE", "podman")
    with pytest.raises(RelatentError, match="needs CONTAINER_ENGINE=podman: not on PATH"):
        find_engine(root)


def test_with_podman_snakemake_finds_the_shim(
    root: Path, install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
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
