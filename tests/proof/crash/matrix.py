"""The matrix: every row with every fault, in parallel on one deployed stack."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.proof.crash import tree
from tests.proof.crash.cell import Cell, NotFired
from tests.proof.crash.faults import Fault
from tests.proof.crash.rows import ROWS, Row, Turn
from tests.proof.crash.stage import Stage

_TRIES = 3
JOBS = Path(__file__).with_name("jobs.py")
OPTIONS = {
    "SubmitRatePerMinute": "6000",
    "SubmitBurst": "1000",
    "MaxLiveJobsPerOwner": "1000",
    "MaxBacklog": "100000",
    "MaxWaitsPerOwner": "50",
    "EventBusName": "default",
}
"""Limits and the event bus are on, so that their calls are made. The limits are so high that they reject no submit or wait."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a cell."""

    row: Row
    fault: Fault
    fired: int
    life: str
    seconds: float
    failure: str | None


Cells = Sequence[tuple[Row, Fault]]

ALL: Cells = tuple((row, fault) for row in ROWS for fault in Fault)
_FAULTS = tuple(Fault)
SHARE: Cells = tuple((row, _FAULTS[i % len(_FAULTS)]) for i, row in enumerate(ROWS))
"""The share of `make test`: each row with one fault, so that each fault is in every seventh row. `make soak` has all."""


def side_by_side(cells: Cells) -> Cells:
    """Return the cells that hold for workers with several messages: a process that ends takes the jobs of other cells with it."""
    return [(row, fault) for row, fault in cells if not fault.kills and not row.ends_process]


def run(folder: Path, cells: Cells, *, batch: int = 1) -> list[Outcome]:
    """Build, deploy, and run each cell in its own thread: most of the time they wait for leases to end."""
    plan = folder / "plan"
    plan.mkdir(parents=True)
    copy = tree.make(folder / "tree", jobs={"crash": JOBS})
    tree.add_crashpoints(copy)
    parameters = {**OPTIONS, "WorkerBatchSize": str(batch)}
    # A sweep with a fault waits for the SDK's tries; the other sweepers continue.
    with Stage(copy, folder / "stage", env={"CRASHPOINTS": str(plan)}, sweepers=3, parameters=parameters) as stage:
        _keep_expired_records(stage)
        places = [_Place(stage, plan, row, fault, _users(row, fault)) for row, fault in cells]
        turns = [[place for place in places if place.row.turn is turn] for turn in Turn]
        return [outcome for together in turns if together for outcome in _in_parallel(together)]


def _keep_expired_records(stage: Stage) -> None:
    """Disable TTL. AWS takes hours to delete an item; the emulator a minute, which may be between a deletion and its repeat."""
    off = {"AttributeName": "recordExpiresAt", "Enabled": False}
    stage.client("dynamodb").update_time_to_live(TableName=stage.outputs.table_name, TimeToLiveSpecification=off)


def _in_parallel(places: Sequence[_Place]) -> list[Outcome]:
    with ThreadPoolExecutor(len(places)) as pool:
        return list(pool.map(_outcome, places))


@dataclass(frozen=True)
class _Place:
    """A cell of the table."""

    stage: Stage
    plan: Path
    row: Row
    fault: Fault
    users: Sequence[str]
    """One for each try: where only the owner names the calls of a cell, a fault left over would take the next try's."""

    def cell(self, tried: int) -> Cell:
        """Return a new cell with its own job."""
        row = self.row
        cell = Cell(
            self.stage, self.stage.caller(self.users[tried]), self.plan, self.fault, row.site, row.purpose, row.job_type
        )
        cell.note = cell.note.ljust(row.input_size, ".")
        return cell


def _users(row: Row, fault: Fault) -> Sequence[str]:
    # A list shows all jobs of its owner, and its queries name only the owner.
    return [f"{row.name} {fault} {i}".replace(" ", "-") for i in range(_TRIES)] if row.own_user else ["alice"] * _TRIES


def _outcome(place: _Place) -> Outcome:
    """Return the outcome of the first job that had its fault."""
    for tried in range(_TRIES - 1):
        try:
            return _run(place, tried)
        except NotFired:
            continue
    try:
        return _run(place, _TRIES - 1)
    except NotFired as error:
        return Outcome(place.row, place.fault, 0, "", 0, str(error))


def _run(place: _Place, tried: int) -> Outcome:
    began, failure, cell = time.monotonic(), None, place.cell(tried)
    try:
        place.row.run(cell)
    except NotFired:
        raise
    except AssertionError as error:
        failure = str(error)
    except Exception:  # noqa: BLE001 - a cell that breaks is a cell that is not right
        failure = traceback.format_exc()
    fired = cell.armed.fired() if cell.armed else 0
    return Outcome(place.row, place.fault, fired, str(cell.life()), time.monotonic() - began, failure)
