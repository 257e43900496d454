"""Pins of images, and what the rules are told to use."""

from pathlib import Path

import pytest

from relatent.commands.image import current
from relatent.specs.errors import RelatentError
from relatent.specs.images import (
    VARIANTS,
    Pin,
    chosen_image,
    image_digest,
    pinned_digests,
    read_pins,
    recipe_digest,
    write_pins,
)

ROOT = Path(__file__).resolve().parents[2]
ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
PIN = Pin(id=ONE, base="debian", packages=TWO, recipe=TWO)


def test_pins_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_pins(tmp_path) == {}
    pins = {"cuda": PIN, "cpu": PIN.model_copy(update={"registry": TWO, "base": f"python@{ONE}"})}
    write_pins(tmp_path, pins)
    assert read_pins(tmp_path) == pins
    assert pinned_digests(tmp_path) == {ONE, TWO}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("images:\n  cpu: {id: abc}\n", "containers/images.yaml:2: images.cpu.id: "),
        ("images:\n  gpu: {id: ONE, base: debian, packages: ONE, recipe: ONE}\n", "unknown variant 'gpu'"),
        ("images:\n  cpu: {id: ONE, base: debian, packages: ONE}\n", "images.cpu.recipe: this key is missing"),
    ],
)
def test_a_mistake_in_the_pins_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers/images.yaml").write_text(text.replace("ONE", f'"{ONE}"'))
    with pytest.raises(RelatentError) as raised:
        read_pins(tmp_path)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("image", "digest"),
    [
        (f"docker://registry.example/relatent@{ONE}", ONE),
        (f"docker://registry.example:5000/a/b:tag@{ONE}", ONE),
        (f"docker://{ONE}", ONE),
        ("containers/relatent-cpu-0123456789ab.sif", "0123456789ab"),
        ("/scratch/relatent-cuda-0123456789ab.sif", "0123456789ab"),
        ("docker://python:3.11", None),
        ("docker://python@sha256:0123", None),
        ("relatent.sif", None),
        ("relatent-cpu-latest.sif", None),
        ("docker://sha256:0123", None),
    ],
)
def test_what_is_pinned(tmp_path: Path, image: str, digest: str | None) -> None:
    assert image_digest(image) == digest
    if digest:
        assert chosen_image(tmp_path, image, "cpu", shim=False) == image
    else:
        with pytest.raises(RelatentError, match="not pinned, expected"):
            chosen_image(tmp_path, image, "cpu", shim=False)


def test_the_pinned_image_is_a_file_for_apptainer_and_an_id_for_the_shim(tmp_path: Path) -> None:
    write_pins(tmp_path, {"cpu": PIN})
    assert chosen_image(tmp_path, None, "cpu", shim=False) == "containers/relatent-cpu-111111111111.sif"
    assert chosen_image(tmp_path, None, "cpu", shim=True) == f"docker://{ONE}"
    with pytest.raises(RelatentError, match=r"no pinned cuda image.*make image-pin VARIANT=cuda"):
        chosen_image(tmp_path, None, "cuda", shim=True)
    with pytest.raises(RelatentError, match="unknown variant 'gpu'"):
        chosen_image(tmp_path, None, "gpu", shim=True)


@pytest.mark.parametrize("name", ["Dockerfile", "mkbase.sh", "requirements.lock", "torch-cpu.lock"])
def test_the_recipe_is_every_file_that_the_image_is_built_from(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "containers"
    folder.mkdir()
    for file in ("Dockerfile", "mkbase.sh", "requirements.lock", "torch-cpu.lock", "torch-cuda.lock"):
        (folder / file).write_text(file)
    before = [recipe_digest(tmp_path, variant) for variant in VARIANTS]
    (folder / name).write_text("another")
    after = [recipe_digest(tmp_path, variant) for variant in VARIANTS]
    assert after[0] != before[0]
    assert (after[1] == before[1]) is (name == "torch-cpu.lock")


@pytest.mark.parametrize("variant", read_pins(ROOT))
def test_the_committed_pins_are_of_the_committed_recipe(variant: str) -> None:
    """Where this fails, `make image-pin` builds the image anew and pins it."""
    assert current(ROOT, variant) == read_pins(ROOT)[variant].id


def test_the_locks_of_pytorch_agree_with_the_lock_of_everything_else() -> None:
    def versions(name: str) -> dict[str, str]:
        lines = (ROOT / "containers" / name).read_text().splitlines()
        return dict(line.split()[0].split("==") for line in lines if "==" in line and not line.startswith((" ", "#")))

    everything = versions("requirements.lock")
    for variant, torch in (("cpu", "2.13.0+cpu"), ("cuda", "2.13.0")):
        locked = versions(f"torch-{variant}.lock")
        assert locked["torch"] == torch
        shared = locked.keys() & everything.keys()
        assert {name: locked[name] for name in shared} == {name: everything[name] for name in shared}
