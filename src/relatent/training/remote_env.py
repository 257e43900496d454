"""An environment in a process of its own, so that the environments of several runs are stepped at once."""

import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import gymnasium
import numpy as np

from relatent.envs import make
from relatent.specs.errors import RelatentError


def serve(env_spec: dict[str, Any], connection: Connection) -> None:
    """What the other process does: answer calls until the connection closes."""
    os.environ["OMP_NUM_THREADS"] = "1"
    env = make(env_spec)
    connection.send((env.observation_space, env.action_space))
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            method, arguments = connection.recv()
            try:
                connection.send((getattr(env, method)(**arguments), None))
            except RelatentError as error:
                connection.send((None, str(error)))


class RemoteEnv(gymnasium.Env):
    """`make(env_spec)` elsewhere. `meanwhile` is called while it computes; a call that fails there fails here."""

    def __init__(self, env_spec: dict[str, Any], meanwhile: Callable[[], None]) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy what CUDA and OpenGL hold
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(env_spec, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.meanwhile = meanwhile
        self.observation_space, self.action_space = self._received()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        return self._call("reset", seed=seed, options=options)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        return self._call("step", action=action)

    def render(self) -> np.ndarray:
        return self._call("render")

    def close(self) -> None:
        self.connection.close()
        self.process.join()

    def _call(self, method: str, **arguments: Any) -> Any:
        self.connection.send((method, arguments))
        self.meanwhile()
        answer, error = self._received()
        if error is not None:
            raise RelatentError(error)
        return answer

    def _received(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            raise RelatentError("the process of an environment has ended before its run") from None
