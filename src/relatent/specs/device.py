"""Where agents train: as their paper's file says, or all on CPUs or GPUs by `--config device=cuda`.

It is no part of a spec: the same run, with other rounding. Manifests say which it was.
"""

from collections.abc import Mapping
from dataclasses import replace

from relatent.specs.errors import RelatentError, unknown
from relatent.specs.expand import Job

SETTING = "device"  # in Snakemake's config
GPUS = {"auto": None, "cpu": 0, "cuda": 1}


def choose_device(config: Mapping[str, object]) -> str:
    """The setting, `auto` where there is none. Raises RelatentError for a word that it does not know."""
    value = str(config.get(SETTING, "auto"))
    if value not in GPUS:
        raise RelatentError(unknown(SETTING, value, GPUS))
    return value


def on_device(job: Job, device: str) -> Job:
    """The job with the GPUs that the setting gives it; a study has no use for any."""
    gpus = GPUS[device]
    if gpus is None or '"study":' in job.spec:
        return job
    return replace(job, resources={**job.resources, "gpu": gpus})
