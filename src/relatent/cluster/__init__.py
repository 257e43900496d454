"""What one call of Snakemake owes the others, and a Slurm cluster."""
