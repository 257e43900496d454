"""How many runs may share a GPU: a setting of a computer, given to Snakemake and passed on to each run."""

import re
from collections.abc import Mapping

from relatent.specs.errors import RelatentError

SETTING = "runs_per_gpu"  # in Snakemake's config
VARIABLE = "RELATENT_RUNS_PER_GPU"  # in a run's environment


def runs_per_gpu(settings: Mapping[str, object], name: str) -> int:
    """The entry `name`, 1 where there is none. Raises RelatentError for anything but a whole number from 1."""
    value = settings.get(name, 1)
    if not re.fullmatch(r"[1-9][0-9]{0,3}", str(value)):
        raise RelatentError(f"{name}: found {value!r}, expected how many runs may share a GPU, a whole number from 1")
    return int(str(value))
