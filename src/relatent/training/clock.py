"""Where a run's wall time goes."""

import time
from collections import defaultdict


class PhaseClock:
    """Charges the time since the last call to the phase named there; one clock reading a switch."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._phase, self._since = "setup", time.perf_counter()

    def add(self, seconds: dict[str, float]) -> None:
        """Count what earlier processes of the same run spent."""
        for phase, spent in seconds.items():
            self.seconds[phase] += spent

    def enter(self, phase: str) -> None:
        """Leave the current phase and begin another."""
        now = time.perf_counter()
        self.seconds[self._phase] += now - self._since
        self._phase, self._since = phase, now
