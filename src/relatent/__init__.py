"""Latent-variable reinforcement learning, reproduced: one YAML file per paper, one command per figure."""
