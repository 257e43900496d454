"""YAML -> checked models -> one canonical spec per run. Imports neither torch nor anything above it."""
