"""What `relatent train` does once it knows which runs: choose a device, then train one run or a pack of them."""

from pathlib import Path
from typing import Any

import torch

from relatent.cluster.turn import wait_for_turn
from relatent.specs.errors import RelatentError
from relatent.training.acceleration import Acceleration
from relatent.training.gpu import claim
from relatent.training.pack import INTERRUPTED, Part, let_go, read_pack, train_apart
from relatent.training.train import Interrupted, train, train_together


def train_run(spec: dict[str, Any], run: Path, gpus: int, compiled: bool, one_of_many: bool) -> int:
    """One run; returns the exit status."""
    try:
        wait_for_turn(run)
        train(spec, run, how=acceleration(gpus, compiled), one_of_many=one_of_many)
    except Interrupted:
        return INTERRUPTED
    return 0


def train_pack(path: Path, at_once: int, gpus: int, compiled: bool) -> int:
    """All runs of a pack, sharing a GPU or each a CPU; returns the exit status."""
    parts = read_pack(path)
    if gpus:
        code = together(parts, acceleration(gpus, compiled))
    else:
        code = train_apart(parts, at_once, ["--compile"] if compiled else [])
    if code == 0:
        let_go(parts)
    return code


def together(parts: list[Part], how: Acceleration) -> int:
    """All runs in this process."""
    try:
        for part in parts:
            wait_for_turn(part.run)
        train_together([part.spec for part in parts], [part.run for part in parts], how=how)
    except Interrupted:
        return INTERRUPTED
    return 0


def acceleration(gpus: int, compiled: bool) -> Acceleration:
    """How to compute updates with so many GPUs, 0 or 1, of which one is claimed here.

    Raises RelatentError where there is no GPU, or where PyTorch cannot use it.
    """
    if not gpus:
        return Acceleration(compiled=compiled)
    device = claim(gpus)
    if device is None:
        raise RelatentError("a GPU is asked for and this machine has none that it may use; see `relatent doctor`")
    if not torch.cuda.is_available():
        raise RelatentError(
            f"a GPU is asked for, {device}, and PyTorch {torch.__version__} cannot use it: "
            "it needs a build with CUDA and a driver that is new enough"
        )
    return Acceleration("cuda", compiled, graph=True)
