"""Snakemake on a real Slurm cluster of one machine: `make test-slurm`."""
