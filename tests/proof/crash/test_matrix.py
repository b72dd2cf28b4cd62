"""A share of the matrix, end to end on the deployed stack. `python -m tests.proof.crash` runs all of it and prints it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.proof.crash import matrix
from tests.proof.crash.faults import Fault
from tests.proof.crash.matrix import Outcome
from tests.proof.crash.rows import Row


@pytest.fixture(scope="session")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[Row, Fault], Outcome]:
    """Run all cells in parallel once."""
    found = matrix.run(tmp_path_factory.mktemp("crash"), matrix.SHARE)
    return {(outcome.row, outcome.fault): outcome for outcome in found}


@pytest.mark.parametrize(("row", "fault"), matrix.SHARE, ids=lambda part: part.name if isinstance(part, Row) else str(part))
def test_job_has_its_required_outcome(row: Row, fault: Fault, outcomes: Mapping[tuple[Row, Fault], Outcome]) -> None:
    outcome = outcomes[row, fault]
    assert outcome.failure is None, f"{outcome.failure}\n{outcome.life}"
    assert outcome.fired > 0
