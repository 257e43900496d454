"""What would stop an image from being used is one line. The engines are stand-ins here, and so are GPUs, because the
machines that run these tests have none; tests/containers uses the real engines."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relatent.specs.engine import Container, Engine
from relatent.specs.errors import RelatentError
from relatent.specs.preflight import check_container, check_gpu, check_store, check_torch, runs_on
from tests.specs.test_images import ONE

SIF = "containers/relatent-cpu-111111111111.sif"
REMOTE = f"docker://registry.example/relatent@{ONE}"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with locks and a .sif file, which is the current folder."""
    folder = tmp_path / "clone"
    (folder / "containers").mkdir(parents=True)
    for name in ("requirements.lock", "torch-cpu.lock"):
        (folder / "containers" / name).write_text(name)
    (folder / SIF).touch()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("APPTAINER_CACHEDIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes an `apptainer` of a shell script's lines."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")

    def make(script: str) -> None:
        (tmp_path / "bin/apptainer").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin/apptainer").chmod(0o755)

    return make


def said(image: str | None = ONE, **locks: str) -> str:
    """What a good image answers, as the line of a shell script."""
    good = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("requirements.lock", "torch-cpu.lock")}
    return f"echo '{json.dumps({'image': image, 'locks': good | locks})}'"


def check(root: Path, image: str = SIF, runs: str = "apptainer", arguments: str = "--cleanenv") -> None:
    check_container(root, Container(Engine("apptainer", runs), image), Path(".snakemake/singularity"), arguments)


def refused(root: Path, image: str = SIF, runs: str = "apptainer", arguments: str = "--cleanenv") -> str:
    """The one line."""
    with pytest.raises(RelatentError) as raised:
        check(root, image, runs, arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_good_file_is_used_without_a_word(root: Path, engine: Callable[[str], None]) -> None:
    engine(said())
    check(root)


def test_an_image_in_a_registry_is_fetched_once_to_where_snakemake_looks(
    root: Path, engine: Callable[[str], None]
) -> None:
    engine(f'if [ "$1" = pull ]; then [ ! -e "$3" ] && echo "$4" > "$3"; else {said(None)}; fi')
    check_store(None)
    check(root, REMOTE)
    check(root, REMOTE)
    name = hashlib.md5(REMOTE.encode(), usedforsecurity=False).hexdigest()
    assert (root / f".snakemake/singularity/{name}.simg").read_text() == f"{REMOTE}\n"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (said(f"sha256:{'2' * 64}"), "holds image sha256:222"),
        (said(None), "holds image unknown, not the one in its name; make image"),
        (f"echo '{json.dumps({'image': ONE, 'locks': {}})}'", "carries no lock in /opt/relatent"),
        (f"echo '{json.dumps({'image': ONE, 'locks': {'requirements.lock': ''}})}'", "carries no lock of PyTorch"),
        (said(**{"requirements.lock": "0"}), "built from another requirements.lock than containers/requirements.lock"),
        (said(**{"torch-cpu.lock": "0"}), "built from another torch-cpu.lock"),
        ("echo 'FATAL:   could not open image' >&2; exit 255", "nothing runs in it: could not open image"),
        ("printf '\\033[31mFATAL:\\033[0m   no root\\n\\n' >&2; exit 255", "nothing runs in it: no root"),
        ("echo 'exec /usr/bin/python: exec format error' >&2; exit 1", "for another processor"),
        (
            "echo \"FATAL: the image's architecture (arm64) could not run on the host's (amd64)\" >&2; exit 1",
            "for another",
        ),
        ("echo hello", "nothing runs in it: hello"),
        ("exit 3", "nothing runs in it: exit status 3"),
    ],
)
def test_what_the_image_says_decides(root: Path, engine: Callable[[str], None], script: str, says: str) -> None:
    engine(script)
    assert says in refused(root)


def test_a_file_that_is_not_there(root: Path) -> None:
    (root / SIF).unlink()
    assert refused(root) == f"{SIF}: no such file; make image makes it, or copy it here"


def test_each_engine_has_its_own_form_of_image(root: Path) -> None:
    assert "is for Apptainer; podman wants container=docker://sha256:ID" in refused(root, runs="podman")
    assert "apptainer has no store to find this id in" in refused(root, f"docker://{ONE}")


def test_a_registry_that_does_not_have_it(root: Path, engine: Callable[[str], None]) -> None:
    engine("echo 'INFO: looking' >&2; echo 'FATAL:   manifest unknown' >&2; exit 255")
    assert refused(root, REMOTE) == f"{REMOTE}: cannot be fetched: manifest unknown"


def test_places_for_images_that_cannot_be_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "file").touch()
    with pytest.raises(RelatentError, match="file/images: images cannot be kept there: Not a directory"):
        check_store(root / "file/images")
    monkeypatch.setenv("APPTAINER_CACHEDIR", str(root / "file/cache"))
    assert "Not a directory; give another by APPTAINER_CACHEDIR" in refused(root, REMOTE)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root folder of a machine with a GPU, its driver's library, and a description of it for podman."""
    top = tmp_path / "machine"
    (top / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
    (top / "etc/cdi").mkdir(parents=True)
    (top / "etc/cdi/nvidia.yaml").touch()
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin/ldconfig").write_text("#!/bin/sh\necho 'libcuda.so.1 (libc6,x86-64) => /usr/lib/libcuda.so.1'\n")
    (tmp_path / "sbin/ldconfig").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "sbin"), prepend=":")
    return top


def test_a_gpu(machine: Path, tmp_path: Path) -> None:
    podman, apptainer = Engine("apptainer", "podman"), Engine("apptainer", "apptainer")
    check_gpu(podman, machine)
    shutil.rmtree(machine / "etc/cdi")
    check_gpu(apptainer, machine)
    with pytest.raises(RelatentError, match="podman cannot give it: nvidia-ctk cdi generate"):
        check_gpu(podman, machine)
    (tmp_path / "sbin/ldconfig").write_text("#!/bin/sh\necho 'libc.so.6 (libc6,x86-64) => /usr/lib/libc.so.6'\n")
    with pytest.raises(RelatentError, match=r"library libcuda.so.1 is not installed"):
        check_gpu(apptainer, machine)
    shutil.rmtree(machine / "proc")
    with pytest.raises(RelatentError, match="this machine has none, or no NVIDIA driver"):
        check_gpu(apptainer, machine)


def test_a_gpu_is_asked_for_by_nv_only(root: Path, engine: Callable[[str], None]) -> None:
    engine(said())
    if not Path("/proc/driver/nvidia").exists():
        assert "this machine has none" in refused(root, arguments="--nv --cleanenv")
    check(root, arguments="--cleanenv")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            {"cuda": None, "devices": [], "built_for": []},
            "its PyTorch is for the CPU; use --profile profiles/container-gpu",
        ),
        (
            {"cuda": "13.0", "devices": [], "built_for": ["sm_90"]},
            "finds none; is the driver recent enough for CUDA 13.0?",
        ),
        (
            {"cuda": "13.0", "devices": ["sm_90", "sm_70"], "built_for": ["sm_80", "sm_90"]},
            "this machine's GPU is sm_70",
        ),
    ],
)
def test_an_image_that_cannot_use_the_gpu(answer: dict[str, Any], says: str) -> None:
    with pytest.raises(RelatentError) as raised:
        check_torch(SIF, answer)
    assert says in str(raised.value)


def test_an_image_that_can(root: Path) -> None:
    del root
    check_torch(SIF, {"cuda": "13.0", "devices": ["sm_90", "sm_86"], "built_for": ["sm_80", "sm_90"]})


@pytest.mark.parametrize(
    ("built", "device", "works"),
    [
        ("sm_80", "sm_80", True),
        ("sm_80", "sm_86", True),
        ("sm_86", "sm_80", False),
        ("sm_80", "sm_90", False),
        ("sm_90a", "sm_90", True),
        ("sm_120", "sm_120", True),
        ("sm_120", "sm_90", False),
        ("compute_90", "sm_120", True),
        ("compute_120", "sm_90", False),
    ],
)
def test_which_gpu_runs_what_was_built_for_another(built: str, device: str, works: bool) -> None:
    assert runs_on(built, device) is works
