"""The matrix as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.proof.crash.faults import Fault
from tests.proof.crash.matrix import Outcome


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return a table with a row for each call: the job's attempts, and its status unless it completed."""
    right = sum(outcome.failure is None for outcome in outcomes)
    columns = [fault for fault in Fault if any(outcome.fault is fault for outcome in outcomes)]
    rows = list(dict.fromkeys(outcome.row for outcome in outcomes))
    cells = {(outcome.row, outcome.fault): _shown(outcome) for outcome in outcomes}
    lines = [
        f"{right} of {len(outcomes)} cells right.",
        "",
        *_line(["AWS call", "in", *columns]),
        *_line(["---"] * (len(columns) + 2)),
    ]
    for row in rows:
        site = row.site.partition(".")[2]
        lines += _line([row.name, f"`{site}`", *(cells.get((row, fault), "") for fault in columns)])
    return "\n".join(lines)


def _shown(outcome: Outcome) -> str:
    if outcome.failure is not None:
        return "**wrong**"
    last = outcome.life.rpartition(" -> ")[2].partition(" ")[0]
    status, _, attempt = last.partition("/")
    attempts = "not run" if attempt == "0" else f"attempt {attempt}"
    return attempts if status == "COMPLETED" else f"{attempts}, {status}"


def _line(cells: Iterable[str]) -> list[str]:
    return [f"| {' | '.join(cells)} |"]
