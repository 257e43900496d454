"""What the larger commands of `relatent` do; cli.py says how they are called."""
