"""Settings that libraries read when they are imported."""

import os

import relatent.envs  # noqa: F401  chooses an OpenGL before a test imports dm_control

os.environ.setdefault("OMP_NUM_THREADS", "1")  # parallelism is processes
