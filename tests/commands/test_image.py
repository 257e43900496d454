"""Is what was built what is pinned?"""

import subprocess
import sys
from pathlib import Path

import pytest

from relatent.commands.image import compare, current, described, renew
from relatent.specs.errors import RelatentError
from relatent.specs.images import read_pins

ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone whose cpu image is pinned."""
    folder = tmp_path / "clone"
    (folder / "config/papers").mkdir(parents=True)
    (folder / "containers").mkdir()
    for name in ("Dockerfile", "mkbase.sh", "requirements.lock", "torch-cpu.lock", "torch-cuda.lock"):
        (folder / "containers" / name).write_text(name)
    packages = listed(tmp_path, "git 1\nlibegl1 2\n")
    renew(folder, "cpu", described(folder, "cpu", ONE, "debian", packages), packages)
    return folder


def listed(folder: Path, text: str) -> Path:
    path = folder / "packages"
    path.write_text(text)
    return path


def answer(root: Path, image: str = ONE, base: str = "debian", packages: str = "git 1\nlibegl1 2\n") -> list[str]:
    """What is said of a build."""
    file = listed(root, packages)
    return compare(root, "cpu", described(root, "cpu", image, base, file), file)


def test_the_same_build_is_the_pinned_one(root: Path) -> None:
    assert answer(root) == []
    assert current(root, "cpu") == ONE


def test_the_same_packages_must_give_the_same_id(root: Path) -> None:
    (said,) = answer(root, image=TWO)
    assert said.startswith(f"built {TWO}, pinned {ONE}")
    assert "not reproducible" in said


def test_packages_that_moved_are_shown(root: Path) -> None:
    said = answer(root, image=TWO, packages="git 1\nlibegl1 3\n")
    assert [line for line in said if line[0] in "+-" and line[1] not in "+-"] == ["-libegl1 2", "+libegl1 3"]
    assert said[-1].endswith("make image-pin renews the pin")


def test_another_base_is_named(root: Path) -> None:
    (said,) = answer(root, image=TWO, base="python:3.11")
    assert said.endswith("BASE_IMAGE=debian")


def test_a_changed_lock_makes_the_pin_stale(root: Path) -> None:
    (root / "containers/requirements.lock").write_text("another")
    (said,) = answer(root)
    assert "locks changed" in said
    with pytest.raises(RelatentError, match="another Dockerfile or other locks; make image-pin"):
        current(root, "cpu")


def test_without_a_pin(root: Path) -> None:
    with pytest.raises(RelatentError, match="no pinned cuda image"):
        current(root, "cuda")


def test_to_renew_replaces_the_pin_and_its_list_and_leaves_the_others(root: Path) -> None:
    packages = listed(root, "git 2\n")
    renew(root, "cuda", described(root, "cuda", TWO.removeprefix("sha256:"), "debian", packages), packages)
    assert {variant: pin.id for variant, pin in read_pins(root).items()} == {"cpu": ONE, "cuda": TWO}
    assert (root / "containers/apt-versions-cuda.txt").read_text() == "git 2\n"
    assert (root / "containers/apt-versions-cpu.txt").read_text() == "git 1\nlibegl1 2\n"


def test_the_command_ends_in_one_line(root: Path) -> None:
    build = ["compare", "cpu", "--id", TWO, "--base", "debian", "--packages", str(listed(root, "git 1\nlibegl1 2\n"))]
    command = [sys.executable, "-m", "relatent.commands.image", *build]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: built sha256:222")
    assert done.stderr.count("\n") == 1
