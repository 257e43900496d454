"""Settings that Snakemake is given by --config or a profile."""

import re
from collections.abc import Iterable

from relatent.specs.errors import RelatentError

SETTINGS = ("container", "device", "runs_per_gpu", "seeds_per_job", "variant")


def check_settings(names: Iterable[str]) -> None:
    """Raises RelatentError for a name that nothing reads."""
    for name in names:
        if name not in SETTINGS:
            raise RelatentError(f"--config: unknown setting {name!r}, expected one of {', '.join(SETTINGS)}")


def whole_number(name: str, value: object, meaning: str) -> int:
    """A setting's value. Raises RelatentError for anything but a whole number from 1."""
    if not re.fullmatch(r"[1-9][0-9]{0,3}", str(value)):
        raise RelatentError(f"{name}: found {value!r}, expected {meaning}, a whole number from 1")
    return int(str(value))
