"""Settings that Snakemake is given by --config or a profile."""

import re

from relatent.specs.errors import RelatentError


def whole_number(name: str, value: object, meaning: str) -> int:
    """A setting's value. Raises RelatentError for anything but a whole number from 1."""
    if not re.fullmatch(r"[1-9][0-9]{0,3}", str(value)):
        raise RelatentError(f"{name}: found {value!r}, expected {meaning}, a whole number from 1")
    return int(str(value))
