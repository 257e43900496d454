"""What is wrong with an image is one clear line, before any training."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Place, podman, snakemake

TARGET = "paper_figures/smoke/smac_fig7.pdf"


def refusal(root: Path, place: Place) -> str:
    """The one line that Snakemake ends with; nothing was trained."""
    done = snakemake(root, place, TARGET)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (root / "runs").exists()
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "error:" in line]
    return line.removeprefix("error: ")


def given(place: Place, image: str) -> Place:
    """The same place with another image."""
    return Place(place.name, (*place.arguments[:-1], f"container={image}"), place.variables)


@pytest.fixture
def other(tmp_path: Path, in_podman: Place) -> Iterator[Callable[..., Place]]:
    """Makes an image of a Dockerfile's lines and gives it to podman; it is removed in the end."""
    made = []

    def make(*lines: str) -> Place:
        (tmp_path / "image").mkdir(exist_ok=True)
        (tmp_path / "image/Dockerfile").write_text("".join(f"{line}\n" for line in lines))
        made.append(podman("build", "--quiet", tmp_path / "image"))
        return given(in_podman, f"docker://sha256:{made[-1]}")

    yield make
    for image in made:
        podman("image", "rm", "--force", image)


def test_an_image_without_a_lock(clone: Path, image: str, other: Callable[..., Place]) -> None:
    place = other(f"FROM {image.removeprefix('sha256:')}", "RUN rm /opt/relatent/*")
    assert "carries no lock in /opt/relatent" in refusal(clone, place)


def test_an_image_with_other_packages_than_the_clone(clone: Path, in_podman: Place) -> None:
    with (clone / "containers/requirements.lock").open("a") as lock:
        lock.write("# another\n")
    assert "built from another requirements.lock" in refusal(clone, in_podman)


def test_an_image_for_another_processor(clone: Path, tmp_path: Path, other: Callable[..., Place]) -> None:
    (tmp_path / "image").mkdir()
    arm = 183
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, arm, 1) + bytes(200)
    (tmp_path / "image/python").write_bytes(header)
    (tmp_path / "image/python").chmod(0o755)
    place = other("FROM scratch", "COPY python /bin/python", "ENV PATH=/bin")
    assert "for another processor" in refusal(clone, place)


def test_an_id_that_no_image_has(clone: Path, in_podman: Place) -> None:
    place = given(in_podman, f"docker://sha256:{'1' * 64}")
    assert "not in the store of podman; make image builds it" in refusal(clone, place)


def test_a_file_that_holds_another_image_than_its_name_says(clone: Path, sif: Path, in_apptainer: Place) -> None:
    name = "containers/relatent-cpu-000000000000.sif"
    (clone / name).symlink_to(sif)
    assert "not the one in its name" in refusal(clone, given(in_apptainer, name))


def test_a_file_that_is_no_image(clone: Path, in_apptainer: Place) -> None:
    name = "containers/relatent-cpu-000000000000.sif"
    (clone / name).write_text("docker://something\n")
    assert "nothing runs in it" in refusal(clone, given(in_apptainer, name))


def test_a_place_for_images_that_cannot_be_written(clone: Path, in_podman: Place) -> None:
    (clone / "cache").write_text("a file\n")
    place = Place("podman", (*in_podman.arguments, "--apptainer-prefix", "cache/images"), in_podman.variables)
    assert "images cannot be kept there" in refusal(clone, place)
