"""What the papers are about: pure functions on tensors, each with a closed form to test against."""
