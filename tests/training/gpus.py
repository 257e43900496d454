"""A computer with GPUs that only a stand-in of nvidia-smi knows."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

A, B, C = "GPU-aaaa1111-0000", "GPU-bbbb2222-0000", "GPU-cccc3333-0000"
PART_1, PART_2 = "MIG-dddd4444-0000", "MIG-eeee5555-0000"

WHOLE = [f"GPU {index}: NVIDIA H200 (UUID: {uuid})" for index, uuid in enumerate((A, B, C))]
TWO_GPUS = "\n".join(WHOLE[:2])
DIVIDED = "\n".join(
    [
        f"GPU 0: NVIDIA A100-SXM4-40GB (UUID: {A})",
        f"  MIG 3g.20gb     Device  0: (UUID: {PART_1})",
        f"  MIG 3g.20gb     Device  1: (UUID: {PART_2})",
        f"GPU 1: NVIDIA A100-SXM4-40GB (UUID: {B})",
    ]
)

RUN = """
import json, os, sys
from pathlib import Path
from relatent.training import gpu
gpu.PAUSE = 0.05
device = gpu.claim(int(sys.argv[1]), Path(sys.argv[2]))
names = ("CUDA_VISIBLE_DEVICES", "MUJOCO_EGL_DEVICE_ID")
print(json.dumps([device, *map(os.environ.get, names), "torch" in sys.modules]), flush=True)
sys.stdin.read()
"""

HIDDEN = {"CUDA_VISIBLE_DEVICES", "MUJOCO_EGL_DEVICE_ID", "MUJOCO_GL", "SLURM_JOB_ID", "RELATENT_RUNS_PER_GPU"}


def nvidia_smi(folder: Path, says: str, code: int = 0) -> Path:
    """A folder for PATH with an nvidia-smi that says this when asked for its list."""
    folder.mkdir(parents=True)
    program = folder / "nvidia-smi"
    program.write_text(f'#!/bin/sh\n[ "$1" = -L ] || exit 9\ncat <<"END"\n{says}\nEND\nexit {code}\n')
    program.chmod(0o755)
    return folder


@dataclass
class Computer:
    """Where runs are started side by side."""

    slots: Path
    tools: Path
    runs: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self, **variables: object) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if name not in HIDDEN}
        return {**clean, "PATH": f"{self.tools}:{os.environ['PATH']}", **{k: str(v) for k, v in variables.items()}}

    def start(self, gpus: int = 1, **variables: object) -> subprocess.Popen[str]:
        """A run that asks for so many GPUs. It lives until its stdin is closed."""
        run = subprocess.Popen(
            [sys.executable, "-c", RUN, str(gpus), str(self.slots)],
            env=self.environment(**variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.runs.append(run)
        return run


def said(run: subprocess.Popen[str]) -> str:
    """Its next line; its error if there is none."""
    assert run.stdout is not None
    assert run.stderr is not None
    return run.stdout.readline().strip() or run.stderr.read()


def device(run: subprocess.Popen[str]) -> str | None:
    """The GPU that a run has, which is what CUDA may see."""
    claimed, visible, _, torch = json.loads(said(run))
    assert claimed == visible
    assert not torch
    return claimed
