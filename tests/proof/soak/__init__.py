"""The soak: many jobs while everything fails that may, and then the sums of what was promised and what became of it."""

import tests.proof.crash  # noqa: F401 - it puts the layers on the path of `python -m tests.proof.soak`
