"""The crash matrix: each AWS call of the library with each fault, on the deployed stack."""

import sys
from pathlib import Path

# `python -m tests.proof.crash` does not have pytest's pythonpath.
for layer in ("jobs", "asyncjobs"):
    folder = str(Path(__file__).parents[3] / "layers" / layer)
    if folder not in sys.path:
        sys.path.insert(0, folder)
