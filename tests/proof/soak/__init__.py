"""The soak: many jobs under every possible fault, and then a comparison of promises and outcomes."""

import tests.proof.crash  # noqa: F401 - it puts the layers on the path of `python -m tests.proof.soak`
