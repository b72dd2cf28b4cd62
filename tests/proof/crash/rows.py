"""The rows of the matrix: each AWS call of the library for each purpose, and the required outcome of each fault."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from asyncjobs.jobtypes.decorator import GENERIC
from tests.proof.crash import crashpoints, faults
from tests.proof.crash.cell import (
    ACCEPTED,
    CONFLICT,
    CREATED,
    FAILED,
    LONGEST_WAIT,
    NO_CONTENT,
    NOT_FOUND,
    OK,
    ROLLED_BACK,
    UNAUTHORIZED,
    UNAVAILABLE,
    Cell,
    NotFired,
)
from tests.proof.crash.faults import Fault
from tests.support.receiver import receiving

Attempts = Callable[[Fault], int]

_PUT = "dynamodb_jobs.DynamoStore.add_if_absent:PutItem"
_NAME = "dynamodb_jobs.DynamoStore.reserve_dedupe_key:PutItem"
_CLAIM = "dynamodb_jobs.DynamoStore._claim:UpdateItem"
_SWAP = "dynamodb_jobs.DynamoStore.swap_if_unchanged:UpdateItem"
_GET = "dynamodb_jobs.DynamoStore.get:GetItem"
_REMOVE = "dynamodb_jobs.DynamoStore.remove_if_unchanged:DeleteItem"
_DELETE_ALL = "s3.S3Objects.delete_all:DeleteObjects"
_LIST = "dynamodb_jobs.DynamoStore._list_page:Query"
_BATCH_GET = "dynamodb_jobs.DynamoStore._batch_get:BatchGetItem"
_DUE = "dynamodb_jobs.DynamoStore.due:Query"
_TOKEN = "dynamodb_jobs.DynamoStore._take_token:UpdateItem"
_TAKE_SLOT = "dynamodb_jobs.DynamoStore.take_wait_slot:UpdateItem"
_FREE_SLOT = "dynamodb_jobs.DynamoStore.free_wait_slot:UpdateItem"
_COUNT_LIVE = "dynamodb_jobs.DynamoStore.count_live:Query"
_LOCK_OWNER = "dynamodb_jobs.DynamoStore.lock_owner:GetItem"
_LOCK = "dynamodb_jobs.DynamoStore.lock_if_unchanged:UpdateItem"
_WAITING = "dynamodb_jobs.DynamoStore.waiting:Query"
_BACKLOG = "sqs.SqsQueue.backlog:GetQueueAttributes"
_APPEND = "dynamodb_events.DynamoEventLog.append:UpdateItem"
_READ_EVENTS = "dynamodb_events.DynamoEventLog.read:GetItem"
_DELETE_EVENTS = "dynamodb_events.DynamoEventLog.delete:DeleteItem"
_SEND = "sqs.SqsQueue.send:SendMessage"
_SEND_ALL = "sqs.SqsQueue.send_all:SendMessageBatch"
_RETURN = "sqs.SqsQueue.return_after:ChangeMessageVisibility"
_PUT_INPUT = "s3.S3Objects.put_input:PutObject"
_OPEN = "s3.S3Objects._open:GetObject"
_PUT_RESULT = "s3._S3ResultWriter._finish:PutObject"
_KEEP_UPLOAD = "s3.S3Objects.keep_uploads:PutObjectTagging"
_READ_TAG = "s3.S3Objects._is_kept_for:GetObjectTagging"
_DELETE_UPLOAD = "s3.S3Objects.delete_upload:DeleteObject"
_CREATE = "s3._S3ResultWriter._upload_part:CreateMultipartUpload"
_PART = "s3._S3ResultWriter._upload_part:UploadPart"
_COMPLETE = "s3._S3ResultWriter._finish:CompleteMultipartUpload"
_PUT_EVENTS = "eventbridge.EventBridgeBus._publish_batch:PutEvents"
_ABORT = "s3._S3ResultWriter.discard:AbortMultipartUpload"


def _second_if(*faults: Fault) -> Attempts:
    return lambda fault: 2 if fault in faults else 1


def _always(attempts: int) -> Attempts:
    return lambda _: attempts


_ONE = _always(1)
_KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
_GIVES_UP = (Fault.FAILS, Fault.ALL_LOST, Fault.THROTTLED_5)


class Turn(Enum):
    """The rows that run at the same time, one turn after the other."""

    FIRST = auto()
    """They wait for the stream, of which one function reads one change after the other: those of all other rows would be before."""
    SECOND = auto()
    LAST = auto()
    """Something must happen within seconds, such as two requests that overlap."""


@dataclass(frozen=True)
class Row:
    """A call for a purpose. `act` causes it; `attempts` is the number of attempts that the job then needs."""

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
    ends_process: bool = False
    """Its job ends the process of its worker."""
    is_of_the_function: bool = False
    """The submit function itself makes the call, not the process that runs the job."""
    turn: Turn = Turn.SECOND

    def run(self, cell: Cell) -> None:
        self.act(self, cell)

    def ends(self, cell: Cell) -> None:
        cell.ends(self.status, attempts=self.attempts(cell.fault), error=self.error)


# ── Actions ──────────────────────────────────────────────────────────────────────────────────────────


def creates(row: Row, cell: Cell) -> None:
    """Check the submit's answer: 503 without a job, or 202; a job whose answer was lost is completed."""
    cell.arm(cell.caller.owner if row.own_user else None)
    cell.answers_as_faulted(cell.submit(), otherwise=202)
    if cell.fault.is_applied and row.site == _PUT:
        # Without a replay, the record alone makes the job run.
        cell.is_finished()
    elif cell.fault.kills or cell.fault.gives_up:
        cell.is_absent()
        cell.is_accepted(replayed=False)
    row.ends(cell)


def is_delivered(row: Row, cell: Cell) -> None:
    """Check that the end of the job is delivered under one id, whatever happens to the stream's reader."""
    with receiving() as receiver:
        receiver.secrets.append(cell.caller.create_webhook(receiver.url))
        with cell.stage.batches:
            cell.arm(cell.caller.owner)
            cell.is_accepted(replayed=False)
            row.ends(cell)
        cell.is_delivered_once(lambda: receiver.about(cell.job_id))


def starts_immediately(row: Row, cell: Cell) -> None:
    """Check that one write stores the record with its first lease, or nothing. A job whose answer was lost also runs."""
    cell.arm()
    answer = cell.submit()
    if cell.fault.is_applied:
        cell.had_enough_time()
    cell.answers_as_faulted(answer, otherwise=OK)
    if not cell.fault.is_applied:
        cell.is_absent()
        cell.is_accepted(replayed=False)
        cell.had_enough_time()
    row.ends(cell)


def runs_immediately(row: Row, cell: Cell) -> None:
    """Inject the fault into the process that runs the job, or into the submit function after it.

    The job is accepted: the answer has its state, also when its process is killed. Only the function itself may leave no answer.
    """
    cell.arm()
    answer = cell.submit()
    cell.had_enough_time()
    if cell.fault.kills and row.is_of_the_function:
        cell.answers_as_faulted(answer)
    elif row.attempts(cell.fault) > 1:
        assert answer.status_code == ACCEPTED, answer.text
    elif row.status == "FAILED":
        assert (answer.status_code, answer.json()["code"]) == (FAILED, "JOB_FAILED"), answer.text
    else:
        assert answer.status_code == OK, answer.text
    row.ends(cell)


def publishes(row: Row, cell: Cell) -> None:
    """Check that each change of the job's state reaches a rule of the bus, and has one id however often it does."""
    url = cell.follow_on_the_bus()
    cell.arm()
    cell.is_accepted(replayed=False)
    row.ends(cell)
    cell.has_published(url, ("created", "started", "completed"))


def is_deduplicated(row: Row, cell: Cell) -> None:
    """Check that the same input is the same job, whether or not the first submit got an answer."""
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
    """Submit while the lock names an ended job, which the submit must read."""
    cell.stage.history.wait(cell.submit_rival(row.job_type) or "", lambda life: life.is_over, seconds=LONGEST_WAIT)
    creates(row, cell)


def is_locked(row: Row, cell: Cell) -> None:
    """Check that a stored job is accepted whatever happens to its lock; it then waits for the lock."""
    cell.arm(cell.caller.owner)
    answer = cell.submit()
    if cell.fault.kills:
        cell.answers_as_faulted(answer)
    else:
        assert answer.status_code == ACCEPTED, answer.text
    row.ends(cell)


def is_rolled_back(_row: Row, cell: Cell) -> None:
    """Submit another job while the put of this one is delayed. If rejected, this one has ended; otherwise it waits and completes."""
    cell.arm()
    with cell.delayed_submit(1.5) as submit:
        rival = cell.submit_rival("crash.is_long_alone")
        answer = submit.result()
    if not cell.has_met_its_fault():
        # The two submits did not overlap. A running job must not disturb the next try.
        cell.stage.history.wait(rival or cell.job_id, lambda life: life.is_over, seconds=LONGEST_WAIT)
        raise NotFired("the two submits did not overlap")
    cell.answers_as_faulted(answer, otherwise=CONFLICT)
    if cell.fault.is_applied:
        cell.ends("CANCELLED", attempts=0, error=ROLLED_BACK)
    else:
        cell.ends("COMPLETED", attempts=1)


def is_woken(row: Row, cell: Cell) -> None:
    """Inject the fault into the wake of a job that waits for the lock of another one."""
    cell.submit_rival(row.job_type)
    cell.arm(cell.caller.owner)
    cell.is_accepted(replayed=False)
    row.ends(cell)


def is_submitted_with_a_wait(row: Row, cell: Cell) -> None:
    """Check that a submit with a wait that cannot read its job, or take or free a slot, still answers that it is accepted."""
    cell.headers["prefer"] = "wait=15"
    cell.arm(cell.caller.owner if row.own_user else None)
    answer = cell.submit()
    if not cell.has_met_its_fault():
        raise NotFired("the job took longer than the wait, whose slot then is free by itself")
    if cell.fault.kills:
        cell.answers_as_faulted(answer)
    else:
        assert answer.status_code in {OK, ACCEPTED}, answer.text
    cell.headers.clear()
    row.ends(cell)


def sends(row: Row, cell: Cell) -> None:
    """Check that a stored job is accepted whatever happens to its message."""
    cell.arm()
    answer = cell.submit()
    if cell.fault.kills:
        cell.answers_as_faulted(answer)
    else:
        assert answer.status_code == 202, answer.text
    row.ends(cell)


def reads_the_queue_length(row: Row, cell: Cell) -> None:
    """Check that an unavailable queue length rejects no submit. Each process reads it every few seconds: submit until then."""
    cell.arm(cell.caller.owner)
    deadline = time.monotonic() + LONGEST_WAIT
    while not (answer := cell.submit()).is_server_error and not cell.has_met_its_fault() and time.monotonic() < deadline:
        time.sleep(0.5)
    if cell.fault.kills:
        cell.answers_as_faulted(answer)
        cell.is_accepted()
    else:
        assert answer.is_success, answer.text
    row.ends(cell)


def is_replayed_beyond_the_rate(row: Row, cell: Cell) -> None:
    """Check that a replay beyond the rate returns the accepted job."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.use_up_rate()
    cell.arm()
    cell.answers_as_faulted(cell.submit())
    row.ends(cell)


def runs(row: Row, cell: Cell) -> None:
    """Inject the fault into the worker or the sweeper."""
    cell.arm()
    cell.is_accepted(replayed=False)
    row.ends(cell)


def is_claimed_before_a_sweep(row: Row, cell: Cell) -> None:
    """Inject the fault into the claim by the job's first message: after a sweep, a claim by that one may be too late."""
    cell.arm()
    cell.is_accepted(replayed=False)
    if cell.fault is Fault.KILLED_AFTER and sum(int(state["attempt"]) == 0 for state in cell.is_finished().states) > 1:
        raise NotFired("a sweep came before the worker")
    row.ends(cell)


def is_found_by_a_sweep(row: Row, cell: Cell) -> None:
    """Lose the job's message, and inject the fault into the sweep that finds the job."""
    cell.arm(crashpoints.ANYTHING if row.site == _DUE else None)
    cell.lose_message()
    cell.is_accepted(replayed=False)
    row.ends(cell)


def reads_upload(row: Row, cell: Cell) -> None:
    cell.upload()
    runs(row, cell)


def keeps_upload(row: Row, cell: Cell) -> None:
    """Check that a job is accepted only if its upload is kept."""
    cell.upload(by_link=True)
    creates(row, cell)


def is_overtaken(row: Row, cell: Cell) -> None:
    """Send the request twice while one put is delayed: it then finds the other's job, and its copy of the input is deleted."""
    cell.arm(cell.caller.owner if row.own_user else None)
    with cell.delayed_submit(3) as first:
        answers = [cell.submit(), first.result()]
    if not cell.has_met_its_fault():
        raise NotFired("the two submits did not overlap")
    assert sum(answer.is_success for answer in answers) == (1 if cell.fault.kills else 2), [each.text for each in answers]
    row.ends(cell)


def is_overtaken_with_its_upload(row: Row, cell: Cell) -> None:
    cell.upload(by_link=True)
    is_overtaken(row, cell)


def is_deleted_after_its_input_is_read(_row: Row, cell: Cell) -> None:
    """Check that a deletion whose read of the input fails, also while its body is read, is completed by the next one."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.arm()
    first = cell.caller.delete(cell.job_id)
    if cell.fault in {Fault.LOST, Fault.ALL_LOST}:
        assert first.status_code == UNAVAILABLE, first.text
    else:
        cell.answers_as_faulted(first, otherwise=NO_CONTENT)
    answers = [cell.caller.delete(cell.job_id) for _ in range(faults.LOST_BODIES)]
    assert answers[-1].status_code in {NO_CONTENT, NOT_FOUND}, answers[-1].text
    cell.is_deleted_completely()


def is_deleted_with_its_upload(row: Row, cell: Cell) -> None:
    cell.upload(by_link=True)
    is_deleted(row, cell)


def upload_is_deleted(row: Row, cell: Cell) -> None:
    """Check that after a repeated deletion the upload is missing."""
    cell.upload(by_link=True)
    cell.arm(cell.caller.owner)
    cell.answers_as_faulted(cell.caller.delete_upload(cell.note), otherwise=NO_CONTENT)
    again = cell.caller.delete_upload(cell.note)
    assert again.status_code == NO_CONTENT, again.text
    cell.is_accepted(replayed=False)
    row.ends(cell)


def cancels(row: Row, cell: Cell) -> None:
    """Check that a repeated cancel is 200."""
    cell.fields["delaySeconds"] = 600
    cell.is_accepted(replayed=False)
    cell.arm()
    cell.answers_as_faulted(cell.caller.cancel(cell.job_id))
    again = cell.caller.cancel(cell.job_id)
    assert (again.status_code, again.json()["status"]) == (OK, "CANCELLED"), again.text
    row.ends(cell)


def is_retried(row: Row, cell: Cell) -> None:
    """Check the retry's answer; after one without an answer, the job is retried or may be retried again."""
    cell.is_cancelled()
    cell.arm()
    cell.answers_as_faulted(cell.caller.retry(cell.job_id), otherwise=ACCEPTED)
    if not cell.is_retried_already():
        again = cell.caller.retry(cell.job_id)
        assert again.status_code == ACCEPTED, again.text
    cell.has_second_generation()
    row.ends(cell)


def is_deleted(row: Row, cell: Cell) -> None:
    """Check that after a repeated delete the job and its bytes are deleted and its key is free."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.arm(cell.caller.owner if row.own_user else None)
    cell.answers_as_faulted(cell.caller.delete(cell.job_id), otherwise=NO_CONTENT)
    again = cell.caller.delete(cell.job_id)
    assert again.status_code in {NO_CONTENT, NOT_FOUND}, again.text
    cell.is_deleted_completely()


def is_reported(row: Row, cell: Cell) -> None:
    """Check that a repeated report is 200, whether or not the first one was recorded."""
    cell.is_accepted(replayed=False)
    report = {"status": "FAILED", "error": {"code": "HOPELESS", "message": "It cannot succeed."}}
    cell.arm()
    cell.answers_as_faulted(cell.caller.report(cell.job_id, **report))
    again = cell.caller.report(cell.job_id, **report)
    assert (again.status_code, again.json()["status"]) == (OK, "FAILED"), again.text
    row.ends(cell)


def is_issued(row: Row, cell: Cell) -> None:
    """Check that a repeated request issues a valid worker token, whether or not the first one did."""
    cell.is_accepted(replayed=False)
    report = {"status": "FAILED", "error": {"code": "HOPELESS", "message": "It cannot succeed."}}
    cell.arm()
    first = cell.caller.issue_worker_token(cell.job_id)
    cell.answers_as_faulted(first)
    again = cell.caller.issue_worker_token(cell.job_id)
    assert again.status_code == OK, again.text
    if first.status_code == OK:
        replaced = cell.caller.report_as_worker(cell.job_id, first.json()["workerToken"], **report)
        assert replaced.status_code == UNAUTHORIZED, replaced.text
    reported = cell.caller.report_as_worker(cell.job_id, again.json()["workerToken"], **report)
    assert (reported.status_code, reported.json()["status"]) == (OK, "FAILED"), reported.text
    row.ends(cell)


def is_read(row: Row, cell: Cell) -> None:
    """Check that a failed query changes nothing and succeeds when it is repeated."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.arm()
    cell.answers_as_faulted(cell.caller.job(cell.job_id))
    row.ends(cell)


def has_a_ticket(row: Row, cell: Cell) -> None:
    """Check that a ticket is issued, or is not, and that the next one opens the job."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.arm()
    cell.answers_as_faulted(cell.caller.issue_ticket(cell.job_id), otherwise=CREATED)
    ticket = cell.caller.issue_ticket(cell.job_id).json()["ticket"]
    assert cell.caller.job_by_ticket(cell.job_id, ticket).status_code == OK
    row.ends(cell)


def is_watched(row: Row, cell: Cell) -> None:
    """Check that a watch, or a ping, is answered or is not, and that the next one shows the job's state."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    seq = cell.caller.job(cell.job_id).json()["seq"]
    with cell.caller.connection(cell.job_id) as connection:

        def receive() -> dict[str, Any]:
            while True:
                # The gateway answers for a function that was killed, and not in JSON.
                text = str(connection.recv(timeout=120))
                found: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
                # The stream may be late: then the job's last changes follow the answer to a watch.
                if found.get("type") != "changes":
                    return found

        def send(**message: Any) -> dict[str, Any]:
            connection.send(json.dumps(message))
            return receive()

        def watching() -> dict[str, Any]:
            """Watch, and return the answer. The gateway's answers for a killed function may still come before it."""
            answer = send(**watch)
            while answer.get("type") != "watching":
                assert cell.fault.kills, answer
                answer = receive()
            return answer

        watch = {"action": "watch", "asyncJobId": cell.job_id}
        message = {"action": "ping"} if "ping" in row.purpose else watch
        if message is not watch:
            assert send(**watch)["type"] == "watching"
        cell.arm()
        answer = send(**message)
        if cell.fault.kills:
            assert answer.get("type") not in ("watching", "pong"), answer
        elif cell.fault.gives_up:
            assert answer["problem"]["code"] == "UNAVAILABLE", answer
        else:
            assert answer["type"] == ("watching" if message is watch else "pong"), answer
        assert watching()["snapshot"]["seq"] == seq
        assert send(action="ping")["seqs"] == {cell.job_id: seq}
    row.ends(cell)


def events_are_stored(row: Row, cell: Cell) -> None:
    """Check that the log has each change once, although the stream function failed or died."""
    runs(row, cell)
    cell.has_all_events()


def events_are_read(row: Row, cell: Cell) -> None:
    """Check that a query for events that failed returns all of them when it is repeated."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.arm()
    cell.answers_as_faulted(cell.caller.events(cell.job_id))
    cell.has_all_events()
    row.ends(cell)


def events_are_deleted(_row: Row, cell: Cell) -> None:
    """Check that a deleted job leaves no events, although the stream function failed or died."""
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.has_all_events()
    cell.arm()
    answer = cell.caller.delete(cell.job_id)
    assert answer.status_code == NO_CONTENT, answer.text
    cell.has_no_events()
    cell.is_deleted_completely()


def is_listed(row: Row, cell: Cell) -> None:
    cell.is_accepted(replayed=False)
    cell.is_finished()
    cell.arm(cell.caller.owner)
    cell.answers_as_faulted(cell.caller.jobs())
    again = cell.caller.jobs()
    assert again.status_code != UNAVAILABLE, again.text
    assert cell.job_id in [job["asyncJobId"] for job in again.json()["jobs"]], again.text
    row.ends(cell)


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────

_UPLOADS = _second_if(*_GIVES_UP, *_KILLS)


def _DOWNLOADS(fault: Fault) -> int:  # noqa: N802 - one of the rows' constants
    """Return the attempts for a body, which is read after the SDK's tries: each lost one is a lost attempt."""
    return {Fault.THROTTLED: 1, Fault.ALL_LOST: 1 + faults.LOST_BODIES}.get(fault, 2)


_END = "swap_if_unchanged < Executor._swap_persistently"

ROWS = (
    Row("submit reads the queue length", _BACKLOG, "backlog < Backlog.waiting", reads_the_queue_length, own_user=True),
    Row("submit counts the owner's live jobs", _COUNT_LIVE, "count_live < Admission.admit", creates, own_user=True),
    Row("submit takes a token", _TOKEN, "take_token_if_any < Admission.take_token", creates, own_user=True),
    Row(
        "submit beyond the rate reads the job",
        _GET,
        "get < SubmitPipeline._replay_or_refuse",
        is_replayed_beyond_the_rate,
        own_user=True,
    ),
    Row("submit keeps a large input", _PUT_INPUT, "put_input < SubmitPipeline._store_input", creates, input_size=3000),
    Row(
        "submit looks for the job of a large input",
        _GET,
        "get < SubmitPipeline._find_existing",
        creates,
        input_size=3000,
    ),
    Row(
        "submit keeps an upload",
        _KEEP_UPLOAD,
        "keep_uploads < SubmitPipeline._store_input",
        keeps_upload,
        "crash.reads_upload",
        own_user=True,
    ),
    Row(
        "submit deletes its copy of the input",
        _DELETE_ALL,
        "delete_all < SubmitPipeline._leave_objects",
        is_overtaken,
        input_size=3000,
        turn=Turn.LAST,
    ),
    Row(
        "submit marks an upload for the job that stays",
        _KEEP_UPLOAD,
        "keep_uploads < SubmitPipeline._leave_objects",
        is_overtaken_with_its_upload,
        "crash.reads_upload",
        own_user=True,
        turn=Turn.LAST,
    ),
    Row(
        "submit reserves the dedupe key",
        _NAME,
        "reserve_dedupe_key < SubmitPipeline._reserve",
        is_deduplicated,
        "crash.returns_once",
        own_user=True,
    ),
    Row("submit creates the record", _PUT, "add_if_absent < SubmitPipeline._put", creates),
    Row(
        "a lock is read",
        _LOCK_OWNER,
        "lock_owner < Locks._lock_owners",
        creates,
        "crash.is_alone",
        own_user=True,
    ),
    Row("the lock owner is read", _GET, "get < Locks._look", follows, "crash.is_alone", own_user=True),
    Row("submit takes the lock", _LOCK, "lock_if_unchanged < Locks.take", is_locked, "crash.is_alone", own_user=True),
    Row(
        "submit rolls the job back",
        _SWAP,
        "swap_if_unchanged < SubmitPipeline._roll_back > CANCELLED",
        is_rolled_back,
        "crash.is_alone",
        own_user=True,
        turn=Turn.LAST,
    ),
    Row(
        "the worker queries the waiting jobs",
        _WAITING,
        "waiting < Locks._claimable",
        is_woken,
        "crash.takes_turns",
        own_user=True,
        turn=Turn.LAST,
    ),
    Row(
        "the worker reads a waiting job",
        _GET,
        "get < Locks._claimable",
        is_woken,
        "crash.takes_turns",
        own_user=True,
        turn=Turn.LAST,
    ),
    Row(
        "the worker wakes a waiting job",
        _SEND_ALL,
        "send_all < Locks.wake",
        is_woken,
        "crash.takes_turns",
        own_user=True,
        turn=Turn.LAST,
    ),
    Row("submit waits for the job", _GET, "get < Commands._read", is_submitted_with_a_wait),
    Row(
        "submit takes a slot for its wait",
        _TAKE_SLOT,
        "take_wait_slot < WaitSlots.taken",
        is_submitted_with_a_wait,
        own_user=True,
    ),
    Row(
        "submit frees the slot of its wait",
        _FREE_SLOT,
        "free_wait_slot < WaitSlots.taken",
        is_submitted_with_a_wait,
        own_user=True,
        turn=Turn.LAST,
    ),
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
        "delete expires the record",
        _SWAP,
        "swap_if_unchanged < Commands.delete",
        is_deleted,
        "crash.returns_much",
        input_size=3000,
    ),
    Row(
        "delete removes the objects",
        _DELETE_ALL,
        "delete_all < Commands._remove",
        is_deleted,
        "crash.returns_much",
        input_size=3000,
    ),
    Row(
        "delete reads a large input",
        _OPEN,
        "get_input < Commands._uploads_of",
        is_deleted_after_its_input_is_read,
        "crash.returns_much",
        input_size=3000,
    ),
    Row(
        "delete reads which job an upload is kept for",
        _READ_TAG,
        "delete_all < Commands._remove",
        is_deleted_with_its_upload,
        "crash.reads_upload",
        own_user=True,
    ),
    Row(
        "an upload is deleted",
        _DELETE_UPLOAD,
        "delete_upload < Commands.delete_upload",
        upload_is_deleted,
        "crash.reads_upload",
        status="FAILED",
        error="INPUT_MISSING",
        own_user=True,
    ),
    Row("delete removes the record", _REMOVE, "remove_if_unchanged < Commands._remove", is_deleted, "crash.returns_much"),
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
    Row(
        "a new worker token reads the job",
        _GET,
        "get < Reports.issue_token",
        is_issued,
        GENERIC,
        _always(0),
        status="FAILED",
        error="HOPELESS",
    ),
    Row(
        "a new worker token replaces the earlier one",
        _SWAP,
        "swap_if_unchanged < Reports.issue_token",
        is_issued,
        GENERIC,
        _always(0),
        status="FAILED",
        error="HOPELESS",
    ),
    Row(
        "the stream's reader stores a delivery",
        _PUT,
        "add_if_absent < WebhookConsumer.consume",
        is_delivered,
        own_user=True,
        turn=Turn.FIRST,
    ),
    Row(
        "the stream's reader sends a delivery",
        _SEND_ALL,
        "send_all < WebhookConsumer._send",
        is_delivered,
        own_user=True,
        turn=Turn.FIRST,
    ),
    Row("a query reads the job", _GET, "get < Queries.job", is_read),
    Row("a new ticket reads its jobs", _BATCH_GET, "get_all < TicketIssuer._created", has_a_ticket),
    Row("a watch reads the job", _GET, "get < Subscriptions._job", is_watched, turn=Turn.FIRST),
    Row("a ping reads the watched jobs", _BATCH_GET, "get_all < Subscriptions.ping", is_watched, turn=Turn.FIRST),
    Row("the stream stores events", _APPEND, "append < EventLogWriter._write", events_are_stored, turn=Turn.FIRST),
    Row("a query reads events", _READ_EVENTS, "read < EventFeed._events", events_are_read, turn=Turn.FIRST),
    Row(
        "the stream deletes the events of a deleted job",
        _DELETE_EVENTS,
        "delete < EventLogWriter._write",
        events_are_deleted,
        turn=Turn.FIRST,
    ),
    Row("a query lists an owner's keys", _LIST, "list_by_owner < Queries.jobs", is_listed, own_user=True),
    Row("a query reads the listed jobs", _BATCH_GET, "list_by_owner < Queries.jobs", is_listed, own_user=True),
    Row(
        "the worker claims",
        _CLAIM,
        "claim_if_claimable < Executor._claim",
        is_claimed_before_a_sweep,
        # On one lease: after a sweep, the other call would claim a job with short leases.
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
    Row("a silent attempt reads its job", _GET, "get < Heartbeat.read", runs, "crash.is_silent", _second_if(*_KILLS)),
    Row("a large result is put", _PUT_RESULT, "__exit__ < Attempt._succeeded", runs, "crash.returns_much", _UPLOADS),
    Row("an artifact is put", _PUT_RESULT, "close < Artifact.close", runs, "crash.attaches", _UPLOADS),
    Row("a streamed result begins", _CREATE, "write < LimitedResult.write", runs, "crash.streams", _UPLOADS),
    Row("a streamed result's part", _PART, "write < LimitedResult.write", runs, "crash.streams", _UPLOADS),
    Row("a streamed result's last part", _PART, "close < LimitedResult.close", runs, "crash.streams", _UPLOADS),
    Row("a streamed result ends", _COMPLETE, "close < LimitedResult.close", runs, "crash.streams", _UPLOADS),
    Row("a streamed result is given up", _ABORT, "discard < LimitedResult.discard", runs, "crash.streams_in_vain", _always(2)),
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
    Row(
        "the stream publishes the job's events",
        _PUT_EVENTS,
        "publish < EventBridgePublisher.consume",
        publishes,
        turn=Turn.FIRST,
    ),
    Row("the sweeper asks what is due", _DUE, "due < _Run._read", is_found_by_a_sweep),
    Row("the sweeper reads due jobs", _BATCH_GET, "get_all < _Run._read", is_found_by_a_sweep),
    Row("the sweeper moves a due job on", _SWAP, "swap_if_unchanged < _Run._look_after", is_found_by_a_sweep),
    Row("the sweeper sends due jobs", _SEND_ALL, "send_all < _Run._send", is_found_by_a_sweep),
    Row(
        "the sweeper ends a lost job",
        _SWAP,
        "swap_if_unchanged < _Run._look_after > FAILED",
        runs,
        "crash.dies",
        status="FAILED",
        error="WORKER_LOST",
        ends_process=True,
    ),
    Row(
        "submit creates and claims a quick job",
        _PUT,
        "add_if_absent < SubmitPipeline._put > immediate",
        starts_immediately,
        "crash.is_quick",
        _second_if(Fault.ALL_LOST, Fault.KILLED_AFTER),
    ),
    Row(
        "a quick job's heartbeat reports",
        _SWAP,
        "swap_if_unchanged < Heartbeat.beat > immediate",
        runs_immediately,
        "crash.is_quick_and_reports",
        _second_if(*_KILLS),
    ),
    Row(
        "a quick job's large result is put",
        _PUT_RESULT,
        "__exit__ < Attempt._succeeded > immediate",
        runs_immediately,
        "crash.is_quick_and_much",
        _UPLOADS,
    ),
    Row(
        "submit completes a quick job",
        _SWAP,
        f"{_END} > COMPLETED > immediate",
        runs_immediately,
        "crash.is_quick",
        _second_if(Fault.KILLED_BEFORE),
    ),
    Row(
        "submit fails a quick job",
        _SWAP,
        f"{_END} > FAILED > immediate",
        runs_immediately,
        "crash.gives_up_quickly",
        _second_if(Fault.KILLED_BEFORE),
        "FAILED",
        "HOPELESS",
    ),
    Row(
        "submit releases a quick job",
        _SWAP,
        f"{_END} > PENDING > immediate",
        runs_immediately,
        "crash.is_quick_later",
        _always(2),
    ),
    Row(
        "submit releases a quick job whose process is lost",
        _SWAP,
        "swap_if_unchanged < ImmediateExecutor._release > PENDING > immediate",
        runs_immediately,
        "crash.dies_quickly",
        _always(2),
        is_of_the_function=True,
    ),
    Row(
        "submit hands a quick job over",
        _SEND,
        "send < Sender.send > handed over",
        runs_immediately,
        "crash.is_quick_later",
        _always(2),
        is_of_the_function=True,
    ),
)
