"""How many runs may share a GPU: a setting of a computer, given to Snakemake and passed on to each run."""

from collections.abc import Mapping

from relatent.specs.settings import whole_number

SETTING = "runs_per_gpu"  # in Snakemake's config
VARIABLE = "RELATENT_RUNS_PER_GPU"  # in a run's environment


def runs_per_gpu(settings: Mapping[str, object], name: str) -> int:
    """The entry `name`, 1 where there is none. Raises RelatentError for anything but a whole number from 1."""
    return whole_number(name, settings.get(name, 1), "how many runs may share a GPU")
