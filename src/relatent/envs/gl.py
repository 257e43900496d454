"""Which OpenGL MuJoCo is told to use. Only rendering and quadruped_escape, which uploads its terrain, need any."""

import ctypes
import os

# Without a display, EGL serves a GPU and software alike; OSMesa is software only.
LIBRARIES = {"egl": ("libEGL.so.1", "libOpenGL.so.0"), "osmesa": ("libOSMesa.so.8",)}

NEEDED = (
    "needs an OpenGL context and this machine has none: install libegl1, libopengl0 and libegl-mesa0 "
    "(Debian's names), or libosmesa6"
)


def choose() -> str | None:
    """Set MUJOCO_GL, unless it is set, to a library that is installed; leave it unset where there is none, so that
    tasks that need no OpenGL still run. To be called before MuJoCo or dm_control is imported.

    dm_control is told to render in the thread that asks for it: the one of its own has ended when OpenGL is freed at a
    process's end, which prints exceptions."""
    os.environ.setdefault("DISABLE_RENDER_THREAD_OFFLOADING", "1")
    if "MUJOCO_GL" not in os.environ:
        for name, libraries in LIBRARIES.items():
            if all(_installed(library) for library in libraries):
                os.environ["MUJOCO_GL"] = name
                break
    return os.environ.get("MUJOCO_GL")


def _installed(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
