"""Building blocks that two agents or more share."""
