"""Check the answers to clients, Lambda and the schedule: each must match a present or an earlier record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from asyncjobs.core.errors import (
    AnotherIsRunning,
    IdempotencyKeyReused,
    InvalidWorkerToken,
    JobAlreadyFinished,
    JobHasEnded,
    JobNotFinished,
    JobNotFound,
    JobNotRetryable,
    NotAdmitted,
    TooManyLiveJobs,
    Unavailable,
    UnknownJobType,
)
from asyncjobs.core.job import RETRYABLE, AsyncJob, JobKey, Status
from asyncjobs.core.message import JobMessage
from asyncjobs.service.submit import Submission
from tests.proof.stateful.ledger import Generation, Ledger, violated
from tests.proof.stateful.scheduler import Invocation
from tests.proof.stateful.wires import BEHIND
from tests.proof.stateful.world import MAX_LIVE, RATE, Asked, Delivered, Request, World, key_of

PAUSE = timedelta(minutes=1)
"""The time by which the clock of a submit that took a token may be behind."""
REPORT_TRIES = 5
"""The number of concurrent writes after which a report gives up."""


class Answers:
    """Checks the answers since the last check. The writes until then must be in the ledger."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._world = world
        self._ledger = ledger
        self._unjudged: dict[str, int] = {"asked": 0, "delivered": 0, "swept": 0}
        self._open: list[Asked | Delivered | Invocation] = []

    def check(self) -> None:
        """Check every answer since the last check. Raise `Violation`."""
        notes = self._world.notes
        for name, seen in self._unjudged.items():
            fresh = getattr(notes, name)[seen:]
            self._open += fresh
            self._unjudged[name] += len(fresh)
        still_open: list[Asked | Delivered | Invocation] = []
        for noted in self._open:
            invocation = noted if isinstance(noted, Invocation) else noted.invocation
            if invocation.is_live:
                still_open.append(noted)
            elif not invocation.killed:
                self._judge_answer(noted)
        self._open = still_open

    def _judge_answer(self, noted: Asked | Delivered | Invocation) -> None:
        if isinstance(noted, Invocation):
            self._judge_sweep(noted)
        elif isinstance(noted, Delivered):
            self._judge_delivery(noted)
        elif noted.request is not None:
            self._judge_submit(noted.invocation, noted.request)
        elif noted.key is not None and noted.invocation.role == "retry":
            self._judge_retry(noted.invocation, noted.key)
        elif noted.key is not None and noted.invocation.role == "reissue":
            self._judge_reissue(noted.invocation, noted.key)
        elif noted.key is not None and noted.invocation.role == "delete":
            self._judge_delete(noted.invocation, noted.key)
        elif noted.report is not None:
            self._judge_report_answer(noted)
        elif noted.key is not None:
            self._judge_cancel(noted.invocation, noted.key)

    def _judge_submit(self, invocation: Invocation, request: Request) -> None:
        error, now = invocation.error, self._world.now
        # A submit that paused until its own job expired finds another job, and its client has disconnected.
        created = [each for each in self._ledger.generations if each.by is invocation and not each.newest.is_expired(now)]
        if error is None:
            self._judge_acceptance(invocation, request)
        elif isinstance(error, Unavailable):
            if not invocation.failed_calls:
                violated("F1", f"{invocation} was refused for no reason: {error}")
        elif isinstance(error, AnotherIsRunning):
            self._ledger.count("a submit refused for a lock")
            # A sweep may have read it first.
            rolled_back = all(any(each.is_rollback(write, new) for write, _, new in each.writes) for each in created)
            if not self._ledger.was_held_by_another(self._ledger.lock_of(request), invocation) or not rolled_back:
                violated("lock", f"{invocation} was refused, with nobody in the way or a job of its own.")
        elif isinstance(error, NotAdmitted | UnknownJobType | IdempotencyKeyReused):
            # A key may belong to another job by now: its own may have been retried and deleted while it paused.
            is_reused = isinstance(error, IdempotencyKeyReused)
            if any(self._ledger.present(each) for each in created) or (created and not is_reused):
                violated("unexpected", f"{invocation} was refused, but created a job.")
            if isinstance(error, NotAdmitted):
                self._judge_rejection(invocation, request.owner, error)
            if is_reused:
                self._judge_reuse(invocation, request)
        else:
            violated("F18", f"{invocation} ended in {error!r}.")

    def _judge_reuse(self, invocation: Invocation, request: Request) -> None:
        self._ledger.count("a key reused for another request")
        others = [each for each in self._ledger.generations if each.request.key == request.key and each.request != request]
        if not others or request.is_once:
            violated("F8", f"{invocation} was refused, but nobody else had used its key.")

    def _judge_rejection(self, invocation: Invocation, owner: str, error: NotAdmitted) -> None:
        """Check that the limit may have been reached while the submit or the retry ran."""
        if isinstance(error, TooManyLiveJobs):
            # The index that was counted may lag: it shows jobs that have just ended.
            shown_since = invocation.began_after - BEHIND
            others = [
                each
                for each in self._ledger.generations
                if each.created.owner == owner and each.by is not invocation and not each.ended_before(shown_since)
            ]
            is_right = len(others) >= MAX_LIVE
            self._ledger.count("a job rejected for its owner's unfinished jobs")
        else:
            since = self._world.now - RATE.burst * RATE.interval - PAUSE
            takers = [
                asked
                for asked in self._world.notes.asked
                if asked.invocation.role in {"submit", "retry"}
                and (not asked.invocation.done or asked.invocation.started_at > since)
                and owner == (asked.request.owner if asked.request else asked.key.owner if asked.key else None)
            ]
            # A token whose answer is lost is taken twice, and a submit that paused finds tokens of later ones taken.
            has_paused = self._world.now - invocation.started_at >= RATE.interval
            is_right = has_paused or len(takers) + self._world.scheduler.faults > RATE.burst
            self._ledger.count("a job rejected for its owner's rate")
        if not self._world.is_limited or not is_right:
            violated("limit", f"{invocation} was rejected for no reason: {error!r}")

    def _judge_acceptance(self, invocation: Invocation, request: Request) -> None:
        submission: Submission = invocation.answer
        job = submission.job
        generation = self._ledger.by_gen.get(job.generation)
        if generation is None or generation.created.key != job.key:
            violated("lost", f"{invocation} accepted {job.key}, which was never written.")
        has_joined = self._has_joined(invocation, request, generation)
        if job.owner != request.owner or not (has_joined or self._world.key_of(request) in {None, job.key}):
            violated("I4", f"{invocation} named {job.key} for {request}.")
        if not request.means_the_same_job_as(generation.request) and not has_joined:
            violated("F8", f"{invocation} answered {request} with the job of {generation.request}.")
        if submission.replayed is (generation.by is invocation):
            violated("F2", f"{invocation} took {job.key} for {'another' if submission.replayed else 'its own'}'s.")
        self._judge_shown(invocation, job, generation)
        token = submission.worker_token
        if (token is not None) is not (job.is_tracked and not submission.replayed) or (token and not generation.has_had(token)):
            violated("I9", f"{invocation} handed out a token for {job.key} that is not its worker's, or none.")
        generation.is_accepted = True
        if not invocation.failed_calls:
            sent = {message.body for message in self._world.queue.sent if message.sent_by is invocation}
            self._judge_outcome(generation, invocation, is_returned=JobMessage.of(job).to_body() in sent)
        if submission.replayed and request.is_once:
            self._ledger.count("an input submitted again")
        elif submission.replayed:
            self._ledger.count("a request repeated")

    def _has_joined(self, invocation: Invocation, request: Request, generation: Generation) -> bool:
        """Return whether the answer is the job that holds the lock instead of the caller's own."""
        job_type = self._world.all_job_types[request.job_type]
        joins = job_type.exclusive is not None and job_type.exclusive.policy == "JOIN"
        is_like = generation.request.job_type == request.job_type and generation.by is not invocation
        has_joined = joins and is_like and not generation.ended_before(invocation.began_after)
        if has_joined and generation.request != request:
            self._ledger.count("a running job joined")
        return has_joined

    def _judge_shown(self, invocation: Invocation, job: AsyncJob, generation: Generation) -> None:
        """Check that the answer shows a state of the record, and not of a deleted one."""
        if generation.deleted_with is not None and generation.deleted_with < invocation.began_after:
            violated("deleted", f"{invocation} answered with {job.key}, which had been deleted before it was asked.")
        if not generation.is_put_twice and not generation.has_been(job):
            violated("told", f"{invocation} answered that {job.key} is {job.status}, which it never was like that.")
        if job.is_finished and generation.claims.get(1, (None, None))[0] is invocation:
            self._ledger.count("a quick job answered when it had ended")

    def _judge_retry(self, invocation: Invocation, key: JobKey) -> None:
        error = invocation.error
        if error is None:
            job, token = invocation.answer
            generation = self._ledger.by_gen.get(job.generation)
            if generation is None or generation.created.key != key:
                violated("lost", f"{invocation} accepted {key} as a new job, which was never written.")
            self._judge_shown(invocation, job, generation)
            if (token is not None) is not job.is_tracked or (token and not generation.has_had(token)):
                violated("I9", f"{invocation} handed out a token for {key} that is not its worker's, or none.")
            generation.is_accepted = True
        elif isinstance(error, Unavailable):
            if not invocation.failed_calls:
                violated("F1", f"{invocation} was refused for no reason: {error}")
        elif isinstance(error, NotAdmitted):
            self._judge_rejection(invocation, key.owner, error)
        elif isinstance(error, JobNotRetryable):
            # One that was put twice, since it was deleted before its put was answered, has begun again.
            stood = [
                each
                for each in self._of_key(key)
                if self._ledger.present(each) and each.ended_before(invocation.began_after) and not each.is_put_twice
            ]
            if any(each.newest.status in RETRYABLE for each in stood):
                violated("F46", f"{invocation} says that {key} may not be retried, but it had failed or been cancelled.")
        elif not isinstance(error, UnknownJobType):  # a release may lack the job type
            self._judge_not_found(invocation, self._of_key(key))

    def _judge_reissue(self, invocation: Invocation, key: JobKey) -> None:
        error, of_key = invocation.error, self._of_key(key)
        if error is None:
            job, token = invocation.answer
            generation = self._ledger.by_gen[job.generation]
            self._judge_shown(invocation, job, generation)
            if not generation.has_had(token):
                violated("I9", f"{invocation} handed out a token for {key} that is not its worker's.")
        elif isinstance(error, JobAlreadyFinished):
            if not any(each.ends for each in of_key):
                violated("F46", f"{invocation} says that {key} had ended, but it had not.")
        elif isinstance(error, Unavailable):
            if not invocation.failed_calls:
                violated("F1", f"{invocation} was refused for no reason: {error}")
        else:
            self._judge_not_found(invocation, of_key)

    def _judge_cancel(self, invocation: Invocation, key: JobKey) -> None:
        error = invocation.error
        ends = [end.status for each in self._of_key(key) for end in each.ends]
        if error is None:
            self._judge_shown(invocation, invocation.answer, self._ledger.by_gen[invocation.answer.generation])
            if invocation.answer.status is not Status.CANCELLED or Status.CANCELLED not in ends:
                violated("F46", f"{invocation} says that {key} was cancelled, but it was {ends}.")
        elif isinstance(error, JobAlreadyFinished):
            if not ends:
                violated("F46", f"{invocation} says that {key} had ended, but it had not.")
        elif isinstance(error, Unavailable):
            if not invocation.failed_calls:
                violated("F1", f"{invocation} was refused for no reason: {error}")
        else:
            self._judge_not_found(invocation, self._of_key(key))

    def _judge_delete(self, invocation: Invocation, key: JobKey) -> None:
        error, began = invocation.error, invocation.began_after
        of_key = self._of_key(key)
        if error is None:
            if not any(each.deleted_with is not None and each.deleted_with >= began for each in of_key):
                violated("deleted", f"{invocation} says that {key} is deleted, but nobody deleted it.")
        elif isinstance(error, JobNotFinished):
            if all(each.ended_before(began) for each in of_key):
                violated("deleted", f"{invocation} says that {key} has not ended, but it had.")
        elif isinstance(error, Unavailable):
            if not invocation.failed_calls and not invocation.partial_calls:
                violated("F1", f"{invocation} was refused for no reason: {error}")
        else:
            self._judge_not_found(invocation, self._of_key(key))

    def _of_key(self, key: JobKey | None) -> Sequence[Generation]:
        return [each for each in self._ledger.generations if each.created.key == key]

    def _judge_not_found(self, invocation: Invocation, of_key: Sequence[Generation]) -> None:
        """Check that a job that existed during the whole request was found."""
        if not isinstance(invocation.error, JobNotFound | InvalidWorkerToken):
            violated("F18", f"{invocation} ended in {invocation.error!r}.")
        there = [each for each in of_key if self._ledger.present(each) and each.number < invocation.began_after]
        if any(not each.newest.is_expired(self._world.now) for each in there):
            violated("I5", f"{invocation} did not find what was there: {invocation.error!r}.")

    def _judge_report_answer(self, asked: Asked) -> None:
        invocation, error = asked.invocation, asked.invocation.error
        of_key = self._of_key(asked.key)
        if asked.token is not None:
            of_key = [each for each in of_key if each.has_had(asked.token)]
        if error is None:
            self._judge_shown(invocation, invocation.answer, self._ledger.by_gen[invocation.answer.generation])
        elif isinstance(error, JobHasEnded):
            self._ledger.count("a report refused, since the job had ended")
            if not any(end.status == error.status for each in of_key for end in each.ends):
                violated("F46", f"{invocation} says that {asked.key} is {error.status}, but it was not.")
        elif isinstance(error, Unavailable):
            others = [write for each in of_key for write, _, _ in each.writes if write.number >= invocation.began_after]
            if not invocation.failed_calls and len(others) < REPORT_TRIES:
                violated("F1", f"{invocation} was refused for no reason: {error}")
        elif (
            isinstance(error, InvalidWorkerToken)
            and asked.token is not None
            and any(each.newest.token_hash != asked.token.hash for each in of_key)
        ):
            self._ledger.count("a report by a replaced token refused")
        else:
            self._judge_not_found(invocation, of_key)

    def _judge_sweep(self, invocation: Invocation) -> None:
        if invocation.error is not None and not (isinstance(invocation.error, Unavailable) and invocation.failed_calls):
            violated("F18", f"{invocation} ended in {invocation.error!r}.")
        if invocation.failed_calls or invocation.partial_calls:
            return
        if invocation.answer is not None and invocation.answer.sent:
            self._ledger.count("a sweep that sent")
        sent = {JobMessage.parse(message.body) for message in self._world.queue.sent if message.sent_by is invocation}
        for generation in self._ledger.generations:
            # A write that another one followed need not be recognized: the other writer handles the job.
            for write, old, new in generation.writes[-1:]:
                if write.by is invocation and new.sweeps > old.sweeps and JobMessage.of(new) not in sent:
                    violated("L2", f"{invocation} put off {new.key} without sending it.")

    def _judge_delivery(self, delivered: Delivered) -> None:
        invocation, answer = delivered.invocation, delivered.invocation.answer
        if invocation.error is not None:
            violated("F18", f"{invocation} ended in {invocation.error!r}; that brings the whole batch back.")
        if not isinstance(answer, dict) or not isinstance(answer.get("batchItemFailures"), list):
            violated("F18", f"{invocation} answered {answer!r}.")
        returned = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        if not returned <= delivered.batch.message_ids:
            violated("F18", f"{invocation} handed back messages that it was not given.")
        if invocation.failed_calls:
            return
        keys = {key_of(record["body"]) for record in delivered.batch.records if record["messageId"] in returned}
        for generation in self._ledger.generations:
            self._judge_outcome(generation, invocation, is_returned=generation.created.key in keys)

    def _judge_outcome(self, generation: Generation, invocation: Invocation, *, is_returned: bool) -> None:
        """Check the job that an invocation claimed and whose calls all succeeded."""
        attempts = [attempt for attempt, (by, _) in generation.claims.items() if by is invocation]
        job = self._ledger.present(generation)
        if any(attempt + 1 in generation.claims for attempt in attempts) and not generation.releases.issuperset(attempts):
            self._ledger.count("a late attempt fenced")
        for attempt in attempts:
            is_held = job is not None and job.status is Status.IN_PROGRESS and job.attempt == attempt
            if is_held:
                violated("F27", f"{invocation} ended well, but left attempt {attempt} of {generation.created.key} hanging.")
        write, _, new = generation.writes[-1] if generation.writes else (None, None, generation.created)
        is_released = write is not None and write.by is invocation and new.status is Status.PENDING
        if is_released and not is_returned:
            violated("F30", f"{invocation} released {generation.created.key}, but did not hand its message on.")
