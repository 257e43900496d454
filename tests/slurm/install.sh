#!/usr/bin/env bash
# Slurm's programs for tests/slurm. Says in one line why they cannot be had, and then ends with status 1.
set -euo pipefail
PATH=$PATH:/usr/sbin

installed() {
    command -v slurmctld slurmd munged sbatch srun >/dev/null
}

if ! installed && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null 2>&1 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends \
        slurmctld slurmd slurm-client munge >/dev/null 2>&1 || true
fi
installed || { echo "tests/slurm: skipped, Slurm is not installed here; on Debian as root: apt-get install slurmctld slurmd slurm-client munge"; exit 1; }
