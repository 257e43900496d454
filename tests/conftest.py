"""Settings that libraries read when they are imported."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # parallelism is processes
os.environ.setdefault("MUJOCO_GL", "egl")  # quadruped_escape needs an OpenGL context even for states
