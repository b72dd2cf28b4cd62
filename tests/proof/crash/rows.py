"""The matrix's rows: each AWS call of the library for each thing that it is used for, and what must come of each fault."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from asyncjobs.jobtypes.decorator import GENERIC
from tests.proof.crash import crashpoints, faults
from tests.proof.crash.cell import ACCEPTED, CONFLICT, FAILED, NO_CONTENT, NOT_FOUND, OK, PATIENCE, UNAVAILABLE, Cell, NotFired
from tests.proof.crash.faults import Fault

Attempts = Callable[[Fault], int]

_PUT = "dynamodb_jobs.DynamoStore.add_if_absent:PutItem"
_NAME = "dynamodb_jobs.DynamoStore.reserve_dedupe_key:PutItem"
_CLAIM = "dynamodb_jobs.DynamoStore._claim:UpdateItem"
_SWAP = "dynamodb_jobs.DynamoStore.swap_if_unchanged:UpdateItem"
_GET = "dynamodb_jobs.DynamoStore.get:GetItem"
_REMOVE = "dynamodb_jobs.DynamoStore.remove_if_unchanged:DeleteItem"
_DELETE_ALL = "s3.S3Objects.delete_all:DeleteObjects"
_LIST = "dynamodb_jobs.DynamoStore.list_by_owner:Query"
_BATCH_GET = "dynamodb_jobs.DynamoStore._batch_get:BatchGetItem"
_DUE = "dynamodb_jobs.DynamoStore.due:Query"
_TOKEN = "dynamodb_jobs.DynamoStore._take_token:UpdateItem"
_COUNT_LIVE = "dynamodb_jobs.DynamoStore.count_live:Query"
_LOCK_OWNER = "dynamodb_jobs.DynamoStore.lock_owner:GetItem"
_LOCK = "dynamodb_jobs.DynamoStore.lock_if_unchanged:UpdateItem"
_WAITING = "dynamodb_jobs.DynamoStore.waiting:Query"
_BACKLOG = "sqs.SqsQueue.backlog:GetQueueAttributes"
_SEND = "sqs.SqsQueue.send:SendMessage"
_SEND_ALL = "sqs.SqsQueue.send_all:SendMessageBatch"
_RETURN = "sqs.SqsQueue.return_after:ChangeMessageVisibility"
_PUT_INPUT = "s3.S3Objects.put_input:PutObject"
_OPEN = "s3.S3Objects._open:GetObject"
_PUT_RESULT = "s3._S3ResultWriter._finish:PutObject"
_CREATE = "s3._S3ResultWriter._upload_part:CreateMultipartUpload"
_PART = "s3._S3ResultWriter._upload_part:UploadPart"
_COMPLETE = "s3._S3ResultWriter._finish:CompleteMultipartUpload"
_ABORT = "s3._S3ResultWriter.discard:AbortMultipartUpload"


def _second_if(*faults: Fault) -> Attempts:
    return lambda fault: 2 if fault in faults else 1


def _always(attempts: int) -> Attempts:
    return lambda _: attempts


_ONE = _always(1)
_KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
_GIVES_UP = (Fault.FAILS, Fault.ALL_LOST, Fault.THROTTLED_5)


@dataclass(frozen=True)
class Row:
    """A call for a purpose. `act` makes it happen; `attempts` says how many attempts the job then needs."""

    name: str
    site: str
    purpose: str
    act: Callable[[Row, Cell], None]
    job_type: str = "crash.returns"
    attempts: Attempts = _ONE
    status: str = "COMPLETED"
    error: str | None = None
    input_size: int = 0
    own_user: bool = False
    needs_calm: bool = False
    """Two of its requests must meet within seconds: it runs when the crowd of the others is gone."""

    def run(self, cell: Cell) -> None:
        self.act(self, cell)

    def ends(self, cell: Cell) -> None:
        cell.ends(self.status, attempts=self.attempts(cell.fault), error=self.error)


# ── What happens in them ───────────────────────────────────────────────────────────────────────────


def creates(row: Row, cell: Cell) -> None:
    """The submit's answer tells the truth: 503 and nothing there, or 202; where it got lost, the job is done all the same."""
    cell.arm(cell.caller.owner if row.own_user else None)
    cell.answers_as_faulted(cell.submit(), otherwise=202)
    if cell.fault.is_applied and row.site == _PUT:
        # Nobody asks again: the record alone makes it run.
        cell.is_finished()
    elif cell.fault.kills or cell.fault.gives_up:
        cell.is_absent()
        cell.is_accepted(replayed=False)
    row.ends(cell)


def begins_at_once(row: Row, cell: Cell) -> None:
    """The record and its first attempt are one write: it is there with a lease, or nothing is. A lost answer runs it, too."""
    cell.arm()
    answer = cell.submit()
    if cell.fault.is_applied:
        cell.had_its_time()
    cell.answers_as_faulted(answer, otherwise=OK)
    if not cell.fault.is_applied:
        cell.is_absent()
        cell.is_accepted(replayed=False)
        cell.had_its_time()
    row.ends(cell)


def runs_at_once(row: Row, cell: Cell) -> None:
    """The fault meets the submit function at work. It is accepted, so the answer says how it stands; or there is none."""
    cell.arm()
    answer = cell.submit()
    cell.had_its_time()
    if cell.fault.kills:
        cell.answers_as_faulted(answer)
    elif row.status == "FAILED":
        assert (answer.status_code, answer.json()["code"]) == (FAILED, "JOB_FAILED"), answer.text
    else:
        assert answer.status_code == (OK if row.attempts(cell.fault) == 1 else ACCEPTED), answer.text
    row.ends(cell)


def is_named(row: Row, cell: Cell) -> None:
    """The same input again is the same job, whether or not the first submit was told so."""
    cell.key = None
    cell.arm(cell.caller.owner)
    first = cell.submit()
    cell.answers_as_faulted(first, otherwise=ACCEPTED)
    again = cell.submit()
    assert again.status_code in {OK, ACCEPTED}, again.text
    cell.known_as = again.json()["asyncJobId"]
    if first.status_code == ACCEPTED:
        assert first.json()["asyncJobId"] == cell.known_as
    row.ends(cell)


def follows(row: Row, cell: Cell) -> None:
    """The lock names a job that is over, which a submit has to read."""
    cell.stage.history.wait(cell.submit_rival(row.job_type) or "", lambda life: life.is_over, seconds=PATIENCE)
    creates(row, cell)


def is_locked(row: Row, cell: Cell) -> None:
    """Once the record stands, the job is accepted, whatever becomes of its lock: then it waits for it."""
    cell.arm(cell.caller.owner)
    answer = cell.submit()
    if cell.fault.kills:
        cell.answers_as_faulted(answer)
    else:
        assert answer.status_code == ACCEPTED, answer.text
    row.ends(cell)


def is_rolled_back(_row: Row, cell: Cell) -> None:
    """Another job is accepted while the record of this one is on its way. Refused, it is over; else it waits, and is done."""
    cell.delay_put(1.5)
    cell.arm()
    with ThreadPoolExecutor(1) as pool:
        submit = pool.submit(cell.submit)
        time.sleep(0.4)
        rival = cell.submit_rival("crash.is_long_alone")
        answer = submit.result()
    if not cell.has_met_its_fault():
        # One of the two was too late to meet the other. What runs must not be in the way of the next try.
        cell.stage.history.wait(rival or cell.job_id, lambda life: life.is_over, seconds=PATIENCE)
        raise NotFired("the two submits did not meet")
    cell.answers_as_faulted(answer, otherwise=CONFLICT)
    if cell.fault.is_applied:
        cell.ends("CANCELLED", attempts=0, error="JOB_CREATION_FAILED")
    else:
        cell.ends("COMPLETED", attempts=1)


def is_next(row: Row, cell: Cell) -> None:
    """It waits for another job's lock, and the fault meets who would wake it."""
    cell.submit_rival(row.job_type)
    cell.arm(cell.caller.owner)
    cell.is_accepted(replayed=False)
    row.ends(cell)


def is_waited_for(row: Row, cell: Cell) -> None:
    """A submit that cannot see how its job comes along says at least that it is accepted."""
    cell.headers["prefer"] = "wait=15"
    cell.arm()
    answer = cell.submit()
    if cell.fault.kills:
        cell.answers_as_faulted(answer)
    else:
        assert answer.status_code in {OK, ACCEPTED}, answer.text
    cell.headers.clear()
    row.ends(cell)


def sends(row: Row, cell: Cell) -> None:
    """Once the record stands, the job is accepted, whatever becomes of its message."""
    cell.arm()
    answer = cell.submit()
    if cell.fault.kills:
        cell.answers_as_faulted(answer)
    else:
        assert answer.status_code == 202, answer.text
    row.ends(cell)


def asks_the_queue(row: Row, cell: Cell) -> None:
    """A queue that does not tell how long it is keeps nobody out. Each process asks every few seconds; until then, again."""
    cell.arm(cell.caller.owner)
    deadline = time.monotonic() + PATIENCE
    while not (answer := cell.submit()).is_server_error and not cell.has_met_its_fault() and time.monotonic() < deadline:
        time.sleep(0.5)
    if cell.fault.kills:
        cell.answers_as_faulted(answer)
        cell.is_accepted()
    else:
        assert answer.is_success, answer.text
    row.ends(cell)


def is_repeated_too_often(row: Row, cell: Cell) -> None:
    """Whoever submits more often than one may still learns of the job that was accepted before."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.use_up_rate()
    cell.arm()
    cell.answers_as_faulted(cell.submit())
    row.ends(cell)


def runs(row: Row, cell: Cell) -> None:
    """The fault meets the worker or the sweeper on its way."""
    cell.arm()
    cell.is_accepted(replayed=False)
    row.ends(cell)


def is_found_by_a_sweep(row: Row, cell: Cell) -> None:
    """The job's message is lost, and the fault meets who looks for such jobs."""
    cell.arm(crashpoints.ANYTHING if row.site == _DUE else None)
    cell.lose_message()
    cell.is_accepted(replayed=False)
    row.ends(cell)


def reads_upload(row: Row, cell: Cell) -> None:
    cell.upload()
    runs(row, cell)


def cancels(row: Row, cell: Cell) -> None:
    """A cancel whose answer was no 200 is repeated, and then is one."""
    cell.fields["delaySeconds"] = 600
    cell.is_accepted(replayed=False)
    cell.arm()
    cell.answers_as_faulted(cell.caller.cancel(cell.job_id))
    again = cell.caller.cancel(cell.job_id)
    assert (again.status_code, again.json()["status"]) == (OK, "CANCELLED"), again.text
    row.ends(cell)


def is_retried(row: Row, cell: Cell) -> None:
    """A retry tells the truth; after one that got no answer, the job goes on, or may be retried again."""
    cell.is_cancelled()
    cell.arm()
    cell.answers_as_faulted(cell.caller.retry(cell.job_id), otherwise=ACCEPTED)
    if not cell.goes_on():
        again = cell.caller.retry(cell.job_id)
        assert again.status_code == ACCEPTED, again.text
    cell.has_begun_anew()
    row.ends(cell)


def is_deleted(_row: Row, cell: Cell) -> None:
    """A deletion whose answer got lost is repeated; then the job is gone, with its bytes, and its key is free."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.arm()
    cell.answers_as_faulted(cell.caller.delete(cell.job_id), otherwise=NO_CONTENT)
    again = cell.caller.delete(cell.job_id)
    assert again.status_code in {NO_CONTENT, NOT_FOUND}, again.text
    cell.is_gone()


def is_reported(row: Row, cell: Cell) -> None:
    """A report whose answer was no 200 is repeated, and then is one, whether or not it had been recorded."""
    cell.is_accepted(replayed=False)
    report = {"status": "FAILED", "error": {"code": "HOPELESS", "message": "It is in vain."}}
    cell.arm()
    cell.answers_as_faulted(cell.caller.report(cell.job_id, **report))
    again = cell.caller.report(cell.job_id, **report)
    assert (again.status_code, again.json()["status"]) == (OK, "FAILED"), again.text
    row.ends(cell)


def is_looked_at(row: Row, cell: Cell) -> None:
    """A query that fails changes nothing, and works when it is repeated."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.arm()
    cell.answers_as_faulted(cell.caller.job(cell.job_id))
    row.ends(cell)


def is_listed(row: Row, cell: Cell) -> None:
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.arm(cell.caller.owner)
    cell.answers_as_faulted(cell.caller.jobs())
    again = cell.caller.jobs()
    assert again.status_code != UNAVAILABLE, again.text
    assert cell.job_id in [job["asyncJobId"] for job in again.json()["jobs"]], again.text
    row.ends(cell)


# ── Which there are ────────────────────────────────────────────────────────────────────────────────

_UPLOADS = _second_if(*_GIVES_UP, *_KILLS)


def _DOWNLOADS(fault: Fault) -> int:  # noqa: N802 - one of the rows' constants
    """A body is read after the SDK's tries are over, so that each lost one is a lost attempt."""
    return {Fault.THROTTLED: 1, Fault.ALL_LOST: 1 + faults.LOST_BODIES}.get(fault, 2)


_END = "swap_if_unchanged < Executor._swap_persistently"

ROWS = (
    Row("submit asks the queue how long it is", _BACKLOG, "backlog < Backlog.waiting", asks_the_queue, own_user=True),
    Row("submit counts the owner's live jobs", _COUNT_LIVE, "count_live < Admission.admit", creates, own_user=True),
    Row("submit takes a token", _TOKEN, "take_token_if_any < Admission._take_token", creates, own_user=True),
    Row(
        "submit without a token reads the job",
        _GET,
        "get < SubmitPipeline._replay_or_refuse",
        is_repeated_too_often,
        own_user=True,
    ),
    Row("submit keeps a large input", _PUT_INPUT, "put_input < SubmitPipeline._store_input", creates, input_size=3000),
    Row(
        "submit names the job",
        _NAME,
        "reserve_dedupe_key < SubmitPipeline._reserve",
        is_named,
        "crash.returns_once",
        own_user=True,
    ),
    Row("submit creates the record", _PUT, "add_if_absent < SubmitPipeline._put", creates),
    Row(
        "whoever wants a lock reads it",
        _LOCK_OWNER,
        "lock_owner < Locks._lock_owners",
        creates,
        "crash.is_alone",
        own_user=True,
    ),
    Row("whoever wants a lock reads its holder", _GET, "get < Locks._look", follows, "crash.is_alone", own_user=True),
    Row("submit takes the lock", _LOCK, "lock_if_unchanged < Locks.take", is_locked, "crash.is_alone", own_user=True),
    Row(
        "submit rolls the job back",
        _SWAP,
        "swap_if_unchanged < SubmitPipeline._rolled_back > CANCELLED",
        is_rolled_back,
        "crash.is_alone",
        own_user=True,
        needs_calm=True,
    ),
    Row(
        "the worker asks who waits",
        _WAITING,
        "waiting < Locks._claimable",
        is_next,
        "crash.takes_turns",
        own_user=True,
        needs_calm=True,
    ),
    Row(
        "the worker reads who waits",
        _GET,
        "get < Locks._claimable",
        is_next,
        "crash.takes_turns",
        own_user=True,
        needs_calm=True,
    ),
    Row(
        "the worker wakes who waits",
        _SEND_ALL,
        "send_all < Locks.wake",
        is_next,
        "crash.takes_turns",
        own_user=True,
        needs_calm=True,
    ),
    Row("submit waits for the job", _GET, "get < Commands._read", is_waited_for),
    Row("submit sends the message", _SEND, "send < Sender.send", sends),
    Row("cancel reads the job", _GET, "get < Commands.cancel", cancels, status="CANCELLED", attempts=_always(0)),
    Row(
        "cancel ends the job",
        _SWAP,
        "swap_if_unchanged < Commands.cancel > CANCELLED",
        cancels,
        status="CANCELLED",
        attempts=_always(0),
    ),
    Row("retry reads the job", _GET, "get < Commands.retry", is_retried),
    Row("retry begins a generation", _SWAP, "swap_if_unchanged < Commands.retry > PENDING", is_retried),
    Row("delete reads the job", _GET, "get < Commands.delete", is_deleted, "crash.returns_much", input_size=3000),
    Row(
        "delete has it expire", _SWAP, "swap_if_unchanged < Commands.delete", is_deleted, "crash.returns_much", input_size=3000
    ),
    Row(
        "delete takes the bytes",
        _DELETE_ALL,
        "delete_all < Commands._remove",
        is_deleted,
        "crash.returns_much",
        input_size=3000,
    ),
    Row("delete takes the record", _REMOVE, "remove_if_unchanged < Commands._remove", is_deleted, "crash.returns_much"),
    Row(
        "a report reads the job",
        _GET,
        "get < Reports._read",
        is_reported,
        GENERIC,
        _always(0),
        status="FAILED",
        error="HOPELESS",
    ),
    Row(
        "a report ends the job",
        _SWAP,
        "swap_if_unchanged < Reports._record > FAILED",
        is_reported,
        GENERIC,
        _always(0),
        status="FAILED",
        error="HOPELESS",
    ),
    Row("a query reads the job", _GET, "get < Queries.job", is_looked_at),
    Row("a query lists an owner's keys", _LIST, "list_by_owner < Queries.jobs", is_listed, own_user=True),
    Row("a query reads the listed jobs", _BATCH_GET, "list_by_owner < Queries.jobs", is_listed, own_user=True),
    Row(
        "the worker claims",
        _CLAIM,
        "claim_if_claimable < Executor._claim",
        runs,
        # On one lease: after a sweep, a job on short leases would be claimed by the other call.
        "crash.returns_soon",
        attempts=_second_if(Fault.KILLED_AFTER),
    ),
    Row(
        "the worker claims and moves the due time",
        _CLAIM,
        "claim_if_claimable < Executor._claim > move_due",
        is_found_by_a_sweep,
        attempts=_second_if(Fault.KILLED_AFTER),
    ),
    Row(
        "the attempt reads its large input",
        _OPEN,
        "get_input < Attempt._input",
        runs,
        attempts=_DOWNLOADS,
        input_size=3000,
    ),
    Row(
        "the attempt reads an upload",
        _OPEN,
        "open_upload < Attempt.open_input",
        reads_upload,
        "crash.reads_upload",
        _DOWNLOADS,
    ),
    Row(
        "the heartbeat reports",
        _SWAP,
        "swap_if_unchanged < Heartbeat.beat",
        runs,
        "crash.reports",
        _second_if(*_KILLS),
    ),
    Row("a large result is put", _PUT_RESULT, "__exit__ < Attempt._succeeded", runs, "crash.returns_much", _UPLOADS),
    Row("a streamed result begins", _CREATE, "write < Attempt.run", runs, "crash.streams", _UPLOADS),
    Row("a streamed result's part", _PART, "write < Attempt.run", runs, "crash.streams", _UPLOADS),
    Row("a streamed result's last part", _PART, "close < Attempt._succeeded", runs, "crash.streams", _UPLOADS),
    Row("a streamed result ends", _COMPLETE, "close < Attempt._succeeded", runs, "crash.streams", _UPLOADS),
    Row("a streamed result is given up", _ABORT, "discard < Attempt.errored", runs, "crash.streams_in_vain", _always(2)),
    Row("the attempt completes the job", _SWAP, f"{_END} > COMPLETED", runs, attempts=_second_if(Fault.KILLED_BEFORE)),
    Row(
        "the attempt fails the job",
        _SWAP,
        f"{_END} > FAILED",
        runs,
        "crash.gives_up",
        _second_if(Fault.KILLED_BEFORE),
        "FAILED",
        "HOPELESS",
    ),
    Row("the attempt releases the job", _SWAP, f"{_END} > PENDING", runs, "crash.retries", _always(2)),
    Row("the worker returns the message", _RETURN, "return_after < BatchWorker._return", runs, "crash.retries", _always(2)),
    Row("the sweeper asks what is due", _DUE, "due < Sweeper.sweep", is_found_by_a_sweep),
    Row("the sweeper reads a due job", _GET, "get < Sweeper._look_after", is_found_by_a_sweep),
    Row("the sweeper moves a due job on", _SWAP, "swap_if_unchanged < Sweeper._look_after", is_found_by_a_sweep),
    Row("the sweeper sends due jobs", _SEND_ALL, "send_all < Sweeper._send", is_found_by_a_sweep),
    Row(
        "the sweeper ends a lost job",
        _SWAP,
        "swap_if_unchanged < Sweeper._look_after > FAILED",
        runs,
        "crash.dies",
        status="FAILED",
        error="WORKER_LOST",
    ),
    Row(
        "submit creates and claims a quick job",
        _PUT,
        "add_if_absent < SubmitPipeline._put > at once",
        begins_at_once,
        "crash.is_quick",
        _second_if(Fault.ALL_LOST, Fault.KILLED_AFTER),
    ),
    Row(
        "a quick job's heartbeat reports",
        _SWAP,
        "swap_if_unchanged < Heartbeat.beat > at once",
        runs_at_once,
        "crash.is_quick_and_reports",
        _second_if(*_KILLS),
    ),
    Row(
        "a quick job's large result is put",
        _PUT_RESULT,
        "__exit__ < Attempt._succeeded > at once",
        runs_at_once,
        "crash.is_quick_and_much",
        _UPLOADS,
    ),
    Row(
        "submit completes a quick job",
        _SWAP,
        f"{_END} > COMPLETED > at once",
        runs_at_once,
        "crash.is_quick",
        _second_if(Fault.KILLED_BEFORE),
    ),
    Row(
        "submit fails a quick job",
        _SWAP,
        f"{_END} > FAILED > at once",
        runs_at_once,
        "crash.gives_up_quickly",
        _second_if(Fault.KILLED_BEFORE),
        "FAILED",
        "HOPELESS",
    ),
    Row(
        "submit releases a quick job",
        _SWAP,
        f"{_END} > PENDING > at once",
        runs_at_once,
        "crash.is_quick_later",
        _always(2),
    ),
    Row(
        "submit hands a quick job over",
        _SEND,
        "send < Sender.send > handed over",
        runs_at_once,
        "crash.is_quick_later",
        _always(2),
    ),
)
