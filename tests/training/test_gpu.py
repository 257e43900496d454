"""Which GPUs there are, which of them a run may use, and what is said where it may use none."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relatent.envs import gl
from relatent.specs.errors import RelatentError
from relatent.training import egl, gpu

from .gpus import DIVIDED, PART_1, PART_2, TWO_GPUS, WHOLE, A, B, C, Computer, nvidia_smi


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [
        (None, [A, B, C]),
        ("0", [A]),
        ("2,0", [C, A]),
        (" 1 , 2 ", [B, C]),
        (f"{C},1", [C, B]),
        ("GPU-bbbb", [B]),  # CUDA takes a beginning that is one GPU's alone
        ("GPU-", []),
        ("1,-1,0", [B]),  # and ignores what follows a name that it does not know
        ("1,9,0", [B]),
        ("", []),
    ],
)
def test_it_chooses_among_what_cuda_would_show(
    restriction: str | None, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(nvidia_smi(tmp_path / "bin", "\n".join(WHOLE))), prepend=":")
    assert gpu.visible(gpu.installed(), restriction) == expected


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [(None, [PART_1, PART_2, B]), (PART_2, [PART_2]), ("1", [B]), ("0", [PART_1]), (f"{PART_1},{B}", [PART_1, B])],
)
def test_the_parts_of_a_divided_gpu_are_devices(
    restriction: str | None, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(nvidia_smi(tmp_path / "bin", DIVIDED)), prepend=":")
    assert gpu.visible(gpu.installed(), restriction) == expected


def test_the_folder_is_open_to_all_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        inside = gpu.open_folder(tmp_path / "slots")
        os.close(gpu.shared_file("GPU-a.0", inside))
        os.close(inside)
        assert (tmp_path / "slots").stat().st_mode & 0o7777 == 0o1777
        assert (tmp_path / "slots/GPU-a.0").stat().st_mode & 0o7777 == 0o444
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(mask)


def a_file(slots: Path) -> None:
    slots.write_text("")


def a_link(slots: Path) -> None:
    slots.symlink_to("/tmp")


@pytest.mark.parametrize("obstacle", [a_file, a_link])
def test_a_folder_that_is_none_is_one_line(
    obstacle: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(nvidia_smi(tmp_path / "bin", TWO_GPUS)), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    obstacle(tmp_path / "slots")
    with pytest.raises(
        RelatentError, match=rf"^{tmp_path}/slots: no locks for GPUs can be kept there: .*1777"
    ) as error:
        gpu.claim(1, tmp_path / "slots")
    assert "\n" not in str(error.value)


def test_a_driver_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nInstall it."
    monkeypatch.setenv("PATH", str(nvidia_smi(tmp_path / "bin", text, 9)), prepend=":")
    with pytest.raises(RelatentError, match=r"^nvidia-smi -L: the NVIDIA driver does not answer: .*Install it\.$"):
        gpu.claim(1, tmp_path / "slots")


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "", "01"])
def test_a_setting_that_is_no_count_is_one_line(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(nvidia_smi(tmp_path / "bin", TWO_GPUS)), prepend=":")
    monkeypatch.setenv("RELATENT_RUNS_PER_GPU", value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(RelatentError, match=rf"^RELATENT_RUNS_PER_GPU: found '{value}', expected"):
        gpu.claim(1, tmp_path / "slots")


def test_more_than_one_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RelatentError, match=r"^resources: gpu: found 2, expected 0 or 1"):
        gpu.claim(2, tmp_path)


@pytest.mark.parametrize(
    ("cuda", "index"), [([], None), ([None], None), ([0], 0), ([1, 0, None], 1), ([None, 0], 1), ([2, 1], None)]
)
def test_mujoco_draws_on_the_first_gpu_that_cuda_shows(
    cuda: list[int | None], index: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egl, "cuda_devices", lambda: cuda)
    assert egl.egl_index() == index


def test_a_rendered_run_on_a_gpu_still_finds_an_opengl(tmp_path: Path) -> None:
    """With whatever EGL this machine has: Mesa's knows no CUDA, and MuJoCo must not be sent to a device beyond it."""
    if gl.choose() != "egl":
        pytest.skip("no EGL on this machine")
    here = Computer(tmp_path / "slots", nvidia_smi(tmp_path / "bin", TWO_GPUS))
    code = (
        "from pathlib import Path; from relatent.training import gpu; gpu.claim(1, Path(__import__('sys').argv[1]))\n"
        "from dm_control import suite\n"
        "print(suite.load('cartpole', 'balance').physics.render(16, 16, camera_id=0).shape)"
    )
    environment = here.environment(MUJOCO_GL="egl", CUDA_VISIBLE_DEVICES=1)
    command = [sys.executable, "-c", code, str(here.slots)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines()[-1:] == ["(16, 16, 3)"], done.stderr
