"""Check the protocol's invariants after each step, and the final state when the system is quiet.

The audit reads the applied writes, the requests and their answers, and the jobs' own starts. It states the rules again on
purpose: it shares no condition with the product.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncjobs.core.job import MAX_LOCK_BACKOFF, RETRYABLE, SWEEP_INTERVAL, AsyncJob, DuePart, Priority, Status
from asyncjobs.core.message import JobMessage
from asyncjobs.http.render import job_body
from tests.proof.stateful import jobs
from tests.proof.stateful.answers import Answers
from tests.proof.stateful.ledger import Generation, Ledger, Numbers, effect_key_of, violated
from tests.proof.stateful.memory.dynamodb import Write
from tests.proof.stateful.memory.s3 import StoredObject
from tests.proof.stateful.memory.sqs import Message
from tests.proof.stateful.scheduler import Invocation
from tests.proof.stateful.world import MAX_LIVE, QUEUE_URLS, QUICK, Start, World, is_job

LIKE_THE_RECORD = timedelta(milliseconds=1)
"""The differences that a record cannot show."""
BY_WRONG_CLOCKS = "a living attempt taken over by wrong clocks"
"""A reason for another start, as a fault is."""
HOLDERS = frozenset({"worker", "submit"})
"""The roles that may run an attempt."""


_WRONG_PART = {Status.PENDING: DuePart.RUNNING, Status.IN_PROGRESS: DuePart.WAITING}
"""A sweep looks for lost workers in the one part, and handles the other one last."""


class Audit:
    """Checks all events since the last check."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ledger = Ledger(world)
        self._answers = Answers(world, self._ledger)
        self._seen_writes = self._seen_starts = self._seen_messages = self._seen_removals = 0
        self._kept: dict[str, tuple[AsyncJob, StoredObject]] = {}
        self._claimants: set[str] = set()
        self._names: dict[str, datetime] = {}
        """The end of the window in which an input's name means the job of that id."""

    @property
    def sights(self) -> Counter[str]:
        """Return the number of each kind of event."""
        return self._ledger.sights

    def check(self) -> None:
        """Check every write, start and answer since the last check. Raise `Violation`."""
        history = self._world.table.history
        while self._seen_writes < len(history):
            write = history[self._seen_writes]
            self._seen_writes += 1
            if is_job(write.pk):
                self._judge_write(write)
            elif write.new is not None and "asyncJobId" in write.new:
                until = datetime.fromtimestamp(int(write.new["recordExpiresAt"]["N"]), UTC)
                self._names[write.new["asyncJobId"]["S"]] = until
        self._judge_removed_bytes()
        for start in self._world.notes.starts[self._seen_starts :]:
            self._judge_start(start)
        self._seen_starts = len(self._world.notes.starts)
        self._judge_messages()
        self._answers.check()
        self._judge_results()

    # ── Writes ─────────────────────────────────────────────────────────────────────────────────────

    def _judge_write(self, write: Write) -> None:
        old = None if write.old is None else self._world.records.job(write.old)
        new = None if write.new is None else self._world.records.job(write.new)
        if new is None:
            self._judge_removal(write, old)
            return
        self._judge_record(write, new)
        if write.operation == "PutItem":
            self._judge_creation(write, old, new)
        elif old is None:
            violated("I8", f"{write.by} brought {write.pk} into being by an update.")
        else:
            self._judge_change(write, old, new)
        self._judge_number(write, old, new)

    def _judge_removal(self, write: Write, old: AsyncJob | None) -> None:
        if old is None:
            return
        if not old.is_finished:
            violated("I5", f"{old.key} was removed before it had ended.")
        if old.record_expires_at > write.at:
            violated("I5", f"{write.by} removed {old.key}, which had not expired.")

    def _judge_record(self, write: Write, job: AsyncJob) -> None:
        item = write.new or {}
        if ("dueAt" in item and "dueShard" in item) is job.is_finished or ("dueAt" in item) is job.is_finished:
            violated("I11", f"{write.by} left {job.key} {job.status} and {'not ' * (not job.is_finished)}in the due index.")
        if job.due_part is _WRONG_PART.get(job.status):
            violated("I11", f"{write.by} left {job.key} {job.status} in the part {job.due_part.name} of the due index.")
        if job.due_at is not None and job.due_at > job.deadline_at:
            violated("I11", f"{job.key} is due after its deadline.")
        if not item["recordExpiresAt"]["N"].isdecimal():
            violated("I5", f"{job.key} has a time to live that DynamoDB cannot read.")
        if write.by.role == "delete":
            return
        kept_until = job.ended_at if job.is_finished else job.deadline_at
        if kept_until is None or job.record_expires_at <= kept_until:
            violated("I5", f"{write.by} made {job.key} expire before it must have ended.")
        if job.attempt > job.max_attempts:
            violated("I12", f"{job.key} is in attempt {job.attempt} of {job.max_attempts}.")

    def _judge_number(self, write: Write, old: AsyncJob | None, new: AsyncJob) -> None:
        """Check that the write has the next number if, and only if, a client can see it: so each number is one state."""
        before = None if write.operation == "PutItem" else old
        expected = 1 if before is None else before.seq + (_answered(before) != _answered(new))
        if new.seq != expected:
            violated("I16", f"{write.by} left {new.key} with the number {new.seq}, not {expected}.")

    def _judge_creation(self, write: Write, old: AsyncJob | None, new: AsyncJob) -> None:
        asked = self._ledger.request_of(write.by)
        if asked is None or asked.request is None:
            violated("unexpected", f"{write.by}, which is no submit, created {new.key}.")
        if old is not None:
            self._judge_place(write, old)
        before = self._ledger.by_gen.get(new.generation)
        # The SDK's second try may come after the job ended, was retried, and expired: with a slow clock that may be immediately.
        if before is not None and before.by is not write.by:
            violated("I4", f"{write.by} wrote {new.key} twice.")
        generation = Generation(write.pk, write.number, new, asked.request, write.by, is_put_twice=before is not None)
        self._ledger.by_gen[new.generation] = generation
        if before is not None:
            before.is_put_twice = True
            self._ledger.first_lives.append(before)
        if new.status is Status.IN_PROGRESS:
            self._judge_first_claim(generation, write, new)
        elif new.attempt or new.status is not Status.PENDING:
            violated("I3", f"{write.by} created {new.key} as something else than a new job.")
        if new.owner != asked.request.owner:
            violated("I9", f"{write.by} created {new.key} for another owner.")
        if asked.request.is_once:
            self._judge_once(generation, write)
        self._judge_limit(generation, write)

    def _judge_limit(self, generation: Generation, write: Write) -> None:
        """Check that the owner had fewer unfinished jobs than it may have, of those that its request could count."""
        if not self._world.is_limited or write.by.partial_calls:
            # The index that counts may lag.
            return
        unfinished = [
            each
            for each in self._ledger.generations
            if each.created.owner == generation.created.owner and each.number < write.by.began_after and not each.ends
        ]
        if len(unfinished) >= MAX_LIVE:
            violated("limit", f"{write.by} created {generation.created.key} beside {len(unfinished)} unfinished jobs.")

    def _judge_place(self, write: Write, old: AsyncJob) -> None:
        if old.record_expires_at > write.at:
            violated("I4", f"{write.by} wrote over {old.key}, which had not expired.")
        if not old.is_finished:
            violated("I5", f"{write.by} wrote over {old.key}, which had not ended.")
        self._ledger.count("a key used again after its record expired")

    def _judge_once(self, generation: Generation, write: Write) -> None:
        """Check that the same input was the same job in its window, unless that failed. A retried job failed once."""
        for other in self._ledger.generations:
            is_same = other is not generation and other.request.means_the_same_job_as(generation.request)
            is_over = other.newest.status in RETRYABLE or other.newest.is_expired(write.at)
            # A submit that had the name and paused until its job was made, ended and expired, makes it again.
            if not is_same or other.by.role != "submit" or is_over or self._is_late(generation) or self._is_late(other):
                continue
            # A submit that had the name and paused until that was free again: the other one came after its window.
            came_later = self._names[generation.created.async_job_id] <= other.created.created_at
            if self._names[other.created.async_job_id] > write.at and not came_later:
                violated("dedupe", f"{write.by} created {generation.created.key} beside {other.created.key}.")
        if any(
            other is not generation and other.request.means_the_same_job_as(generation.request)
            for other in self._ledger.generations
        ):
            self._ledger.count("an input given a second job")

    def _is_late(self, generation: Generation) -> bool:
        earlier = (each for each in self._ledger.generations if each.created.key == generation.created.key)
        return any(each.number < generation.number for each in earlier)

    def _judge_first_claim(self, generation: Generation, write: Write, new: AsyncJob) -> None:
        """Check that a quick job's first attempt begins with its record."""
        job_type = self._world.all_job_types[new.job_type]
        is_quick = job_type.expected <= QUICK and job_type.exclusive is None and new.max_attempts > 1
        if not is_quick or new.not_before is not None or new.attempt != 1:
            violated("I3", f"{write.by} created {new.key} in attempt {new.attempt}, and it is not to run there.")
        if not generation.is_put_twice:
            self._judge_name_and_lease(write, new)
        generation.claims[1] = (write.by, new)
        self._ledger.count("a quick job begun")

    def _judge_change(self, write: Write, old: AsyncJob, new: AsyncJob) -> None:
        generation = self._ledger.by_gen.get(old.generation)
        if generation is not None and new.generation != old.generation and write.by.role == "retry":
            self._judge_retried(generation, write, old, new)
            return
        if generation is None or new.generation != old.generation or new.key != old.key or new.request_hash != old.request_hash:
            violated("I4", f"{write.by} made {old.key} another job.")
        if write.by.role == "reissue":
            self._judge_reissue(generation, write, old, new)
        elif new.token_hash != old.token_hash:
            violated("I8", f"{write.by} changed the worker's token of {old.key}.")
        generation.writes.append((write, old, new))
        if write.by.role == "delete":
            self._judge_deletion(generation, write, old, new)
        else:
            self._judge_move(generation, write, old, new)

    def _judge_reissue(self, generation: Generation, write: Write, old: AsyncJob, new: AsyncJob) -> None:
        """Check that the write changed only the token, to one that the job never had."""
        asked = self._ledger.request_of(write.by)
        if asked is None or asked.key != old.key or replace(new, token_hash=old.token_hash) != old:
            violated("I8", f"{write.by} did something else to {old.key} than replacing its token.")
        if new.token_hash is None or any(new.token_hash == state.token_hash for state in generation.states()):
            violated("I8", f"{write.by} made a token of {old.key} valid again.")
        self._ledger.count("a worker's token replaced")

    def _judge_move(self, generation: Generation, write: Write, old: AsyncJob, new: AsyncJob) -> None:
        put_off_to = write.at + write.by.skew + MAX_LOCK_BACKOFF
        if new.waits_since is not None and new.sweeps > old.sweeps and new.due_at is not None and new.due_at > put_off_to:
            violated("L2", f"{write.by} put {old.key}, which waits for a lock, off to {new.due_at}.")
        if old.is_finished:
            rule = "I1" if new.status is not old.status else "I8"
            violated(rule, f"{write.by} changed {old.key} after it was {old.status}, to {new.status}.")
        if write.by.role == "report":
            self._judge_report(write, old, new)
        elif new.attempt != old.attempt or (old.status, new.status) == (Status.PENDING, Status.IN_PROGRESS):
            self._judge_claim(generation, write, old, new)
        elif generation.is_rollback(write, new):
            self._judge_rollback(generation, write, old)
        elif write.by.role in HOLDERS:
            self._judge_claimant(generation, write, old, new)
        if new.is_finished:
            self._judge_end(generation, write, old, new)

    def _judge_deletion(self, generation: Generation, write: Write, old: AsyncJob, new: AsyncJob) -> None:
        asked = self._ledger.request_of(write.by)
        if asked is None or asked.key != old.key or not old.is_finished:
            violated("I5", f"{write.by} deleted {old.key}, which was {old.status}.")
        if replace(new, record_expires_at=old.record_expires_at) != old or not new.is_expired(write.at):
            violated("I1", f"{write.by} did something else to {old.key} than having it expire.")
        if generation.deleted_with is None:
            generation.deleted_with = write.number
        self._ledger.count("a job deleted")

    def _judge_retried(self, generation: Generation, write: Write, old: AsyncJob, new: AsyncJob) -> None:
        if old.status not in RETRYABLE or old.record_expires_at <= new.updated_at:
            violated("I1", f"{write.by} started {old.key} again, which was {old.status}.")
        is_new = (
            new.status is Status.PENDING and not new.attempt and new.claimed_by is None and new.deadline_at > new.updated_at
        )
        if (new.token_hash is not None) is not new.is_tracked or (new.is_tracked and new.token_hash == old.token_hash):
            violated("I8", f"{write.by} began {old.key} again without a new token for its worker.")
        if not is_new or (new.key, new.request_hash) != (old.key, old.request_hash):
            violated("I4", f"{write.by} replaced {old.key} by another job.")
        retried = Generation(write.pk, write.number, new, generation.request, write.by)
        self._ledger.by_gen[new.generation] = retried
        self._judge_limit(retried, write)
        self._ledger.count("a tracked job retried" if new.is_tracked else "a job retried")

    def _judge_claim(self, generation: Generation, write: Write, old: AsyncJob, new: AsyncJob) -> None:
        now = new.updated_at
        if write.by.role != "worker" or new.attempt != old.attempt + 1 or new.status is not Status.IN_PROGRESS:
            violated("I3", f"{write.by} moved {old.key} from attempt {old.attempt} to {new.attempt}, {new.status}.")
        waits = old.not_before is not None and old.not_before > now
        is_held = old.status is Status.IN_PROGRESS and (old.lease_until is None or old.lease_until >= now)
        if old.record_expires_at <= now or old.deadline_at <= now or waits or is_held:
            violated("I3", f"{write.by} claimed {old.key}, which was not to be had.")
        self._judge_name_and_lease(write, new)
        generation.claims[new.attempt] = (write.by, new)
        self._judge_lock(generation, write, new)
        if old.status is Status.IN_PROGRESS:
            self._ledger.count("an attempt of a dead worker taken over")
            first, _ = generation.claims.get(old.attempt, (None, None))
            if first is not None and first.role == "submit":
                self._ledger.count("an attempt of a dead submit taken over")
            # The lease was taken by the claimant's clock.
            if first is not None and old.lease_until is not None and write.at < old.lease_until - first.skew:
                self._ledger.count(BY_WRONG_CLOCKS)

    def _judge_lock(self, generation: Generation, write: Write, new: AsyncJob) -> None:
        """Check that no more jobs of one lock run than its limit. A job that waits for its next attempt counts."""
        if new.exclusive_key is None:
            return
        limit = self._world.all_job_types[new.job_type].exclusive
        lock = self._ledger.lock_of(generation.request)
        newest = [each.newest for each in self._ledger.generations if self._ledger.lock_of(each.request) == lock]
        begun = [job for job in newest if job.attempt and not job.is_finished]
        if limit is None or len(begun) > limit.limit:
            violated("lock", f"{write.by} began {new.key}, though {[job.async_job_id for job in begun]} have not ended.")
        if any(job.status is Status.PENDING and not job.attempt for job in newest):
            self._ledger.count("a job that waits for a lock")
        self._ledger.count("a job begun under a lock")

    def _judge_rollback(self, generation: Generation, write: Write, old: AsyncJob) -> None:
        if (
            old.exclusive_key is None
            or old.attempt
            or not self._ledger.was_held_by_another(self._ledger.lock_of(generation.request), write.by)
        ):
            violated("lock", f"{write.by} withdrew {old.key}, which nothing was in the way of.")
        self._ledger.count("a job rolled back")

    def _judge_name_and_lease(self, write: Write, new: AsyncJob) -> None:
        if new.claimed_by is None or new.claimed_by in self._claimants or not _is_name_of(new.claimed_by, write.by):
            violated("I7", f"{write.by} claimed {new.key} for {new.claimed_by}.")
        self._claimants.add(new.claimed_by)
        if new.lease_until is None or new.due_at is None or new.due_at > new.lease_until + LIKE_THE_RECORD:
            violated("L2", f"{write.by} claimed {new.key} such that its death would be noticed late.")

    def _judge_claimant(self, generation: Generation, write: Write, old: AsyncJob, new: AsyncJob) -> None:
        """Check a worker's write other than a claim."""
        claimant, _ = generation.claims.get(old.attempt, (None, None))
        is_held = old.status is Status.IN_PROGRESS and old.claimed_by is not None
        if not is_held or claimant is None or claimant.process is not write.by.process:
            violated("I8", f"{write.by} changed {old.key}, which is {old.status} and {claimant}'s.")
        if new.status is Status.IN_PROGRESS and new.progress < old.progress:
            violated("I10", f"{write.by} set {old.key} back from {old.progress} to {new.progress}.")
        if new.status is Status.IN_PROGRESS and old.lease_until and (not new.lease_until or new.lease_until < old.lease_until):
            violated("I10", f"{write.by} shortened the lease of {old.key}.")
        if new.status is Status.IN_PROGRESS:
            self._ledger.count("a heartbeat")
        if new.status is Status.PENDING:
            self._ledger.count("a release")
            if new.error is not None and new.error.code == "HANDED_OVER":
                self._ledger.count("a quick job handed over")
            generation.releases.add(old.attempt)
            wanted = self._world.notes.retries.get((effect_key_of(new), old.attempt), 0.0)
            # After the deadline no further attempt is needed.
            least = min(new.updated_at + timedelta(seconds=wanted), old.deadline_at) - LIKE_THE_RECORD
            if new.not_before is None or new.not_before < least:
                violated("F30", f"{write.by} released {old.key} until {new.not_before}, not {least}.")
            if old.attempt >= old.max_attempts:
                violated("I12", f"{write.by} released {old.key} after its last attempt.")

    def _judge_report(self, write: Write, old: AsyncJob, new: AsyncJob) -> None:
        """Check that a report's write matches the report and its reporter was allowed."""
        asked = self._ledger.request_of(write.by)
        if asked is None or asked.report is None or asked.key != old.key or not old.is_tracked or new.attempt:
            violated("I8", f"{write.by} changed {old.key}, of which it has nothing to report.")
        if asked.token is not None and asked.token.hash != old.token_hash:
            violated("I8", f"{write.by} changed {old.key} by a token that is not its present one.")
        if new.progress < old.progress:
            violated("I10", f"{write.by} set {old.key} back from {old.progress} to {new.progress}.")
        is_late = old.deadline_at <= new.updated_at
        if is_late is not (new.error is not None and new.error.code == "DEADLINE_EXCEEDED"):
            violated("deadline", f"{write.by} made {old.key} {new.status} at {new.updated_at}; it had until {old.deadline_at}.")
        told = (asked.report.status, asked.report.result, asked.report.error)
        if not is_late and told != (new.status, new.result, new.error):
            violated("told", f"{write.by} made {old.key} {new.status}, not {asked.report.status}.")
        self._ledger.count(
            "a report after the deadline" if is_late else "a report by token" if asked.token else "a report by the owner"
        )

    def _judge_end(self, generation: Generation, write: Write, old: AsyncJob, new: AsyncJob) -> None:
        generation.ends.append(new)
        if len(generation.ends) > 1:
            violated("I6", f"{write.by} ended {old.key} a second time.")
        now, code = new.updated_at, new.error.code if new.error else None
        if new.status is Status.COMPLETED:
            is_due = write.by.role in HOLDERS or new.is_tracked
            if not new.is_tracked:
                self._judge_result(generation, write, new)
        elif new.status is Status.CANCELLED:
            asked = self._ledger.request_of(write.by)
            is_due = asked is not None and (asked.key == new.key or generation.is_rollback(write, new))
        elif code == "DEADLINE_EXCEEDED":
            is_due = write.by.role in {"sweeper", "report"} and old.deadline_at <= now
        elif code == "WORKER_LOST":
            lease_is_over = old.lease_until is not None and old.lease_until < now
            is_held = old.status is Status.IN_PROGRESS and lease_is_over
            is_due = write.by.role == "sweeper" and is_held and old.attempt >= old.max_attempts
        else:
            may_go_on = new.error is None or new.error.retryable
            is_due = write.by.role == "report" or (
                write.by.role in HOLDERS and (not may_go_on or old.attempt >= old.max_attempts)
            )
        if new.status is Status.CANCELLED:
            self._ledger.count(f"a {'running' if old.status is Status.IN_PROGRESS else 'waiting'} job cancelled")
        elif code is not None:
            self._ledger.count(f"a job ended by {code}")
        if not is_due:
            violated("cause", f"{write.by} made {old.key} {new.status} ({code}) in attempt {old.attempt}, {old.status}.")

    def _judge_result(self, generation: Generation, write: Write, job: AsyncJob) -> None:
        result = job.result
        text = None if result is None else result.text
        if result is not None and result.location is not None:
            # Its owner may have deleted it since.
            deleted = {key: stored for key, stored, _ in self._world.bucket.removed}
            stored = self._world.bucket.objects.get(result.location, deleted.get(result.location))
            if stored is None:
                violated("I2", f"{write.by} completed {job.key}, whose result is not there.")
            if stored.by.process is not write.by.process:
                violated("I2", f"{write.by} completed {job.key} with the bytes of {stored.by}.")
            self._kept[job.generation] = (job, stored)
            self._ledger.count("a result in the bucket")
            text = stored.data.decode()
        if text is None:
            violated("I2", f"{write.by} completed {job.key} without a result.")
        kind = job.job_type.partition(".")[2]
        right = jobs.output(kind, generation.request.number, effect_key=effect_key_of(job), attempt=job.attempt)
        if json.loads(text) != right or job.job_type in jobs.NEVER_COMPLETE:
            violated("I2", f"{job.key} has a wrong result.")

    def _judge_removed_bytes(self) -> None:
        """Check that a deletion removes the bytes of its job, and of no job that can still be read."""
        removed = self._world.bucket.removed[self._seen_removals :]
        self._seen_removals += len(removed)
        if not removed:
            return
        there = [job for job in self._world.jobs() if not job.is_expired(self._world.now)]
        needed = {job.input_location: job for job in there if not self._ledger.by_gen[job.generation].is_put_twice}
        for key, _, by in removed:
            if key in needed:
                violated("bytes", f"{by} took the input of {needed[key].key}, which is {needed[key].status}.")

    def _judge_results(self) -> None:
        now = self._world.now
        self._kept = {
            generation: kept
            for generation, kept in self._kept.items()
            if not self._ledger.by_gen[generation].newest.is_expired(now)
        }
        for job, stored in self._kept.values():
            location = job.result.location if job.result else None
            if location is not None and self._world.bucket.objects.get(location) is not stored:
                violated("I2", f"The result of {job.key} was written over, or taken.")

    # ── Starts and messages ────────────────────────────────────────────────────────────────────────

    def _judge_start(self, start: Start) -> None:
        generation = self._ledger.by_gen.get(start.effect_key.rpartition(".")[2])
        if generation is None or effect_key_of(generation.created) != start.effect_key:
            violated("F42", f"{start.invocation} runs a job with an effect key of its own.")
        if start.number != generation.request.number:
            violated("wrong", f"{start.invocation} runs {generation.created.key} on another input.")
        if generation.is_put_twice:
            return
        claimant, _ = generation.claims.get(start.attempt, (None, None))
        if claimant is None or claimant.process is not start.invocation.process:
            violated("I7", f"{start.invocation} runs attempt {start.attempt} of {generation.created.key}: it is {claimant}'s.")
        same = [other for other in self._ledger.starts(generation) if other.attempt == start.attempt]
        if len(same) > 1:
            violated("I12", f"Attempt {start.attempt} of {generation.created.key} started {len(same)} times.")

    def _judge_messages(self) -> None:
        for message in self._world.queue.sent[self._seen_messages :]:
            job_type = None if message.sent_by is None else JobMessage.parse(message.body).job_type
            if job_type is not None and self._world.all_job_types[job_type].tracked:
                violated("F23", f"{message.sent_by} sent a message about a job that no worker of ours does.")
            self._judge_queue(message)
            is_by_worker = message.sent_by is not None and message.sent_by.role == "worker"
            if is_by_worker and JobMessage.parse(message.body).exclusive_key is not None:
                self._ledger.count("a waiting job woken")
            elif is_by_worker:
                violated("F23", f"{message.sent_by} sent a message to its own queue.")
        self._seen_messages = len(self._world.queue.sent)

    def _judge_queue(self, message: Message) -> None:
        """Check that the message is in the queue of its job's priority."""
        if message.sent_by is None:
            return
        generation = self._ledger.by_gen.get(JobMessage.parse(message.body).generation)
        if generation is None:
            return
        if generation.created.priority is not Priority.STANDARD:
            self._ledger.count("a message of another priority")
        if message.url != QUEUE_URLS[generation.created.priority]:
            violated("priority", f"{message.sent_by} sent {generation.created.key} to {message.url}.")

    # ── The final state ────────────────────────────────────────────────────────────────────────────

    def check_end(self, since: datetime) -> Numbers:
        """Check that no job is lost, stuck, wrong or late, and return the figures. Raise `Violation`."""
        self.check()
        self._ledger.sights["a message in the dead-letter queue"] += len(self._world.dead_letters.messages)
        numbers = self._numbers()
        for name in ("stuck", "lost", "unexpected", "wrong", "double_final", "ghosts"):
            if getattr(numbers, name):
                violated(name, f"{getattr(numbers, name)} of {numbers.jobs} jobs.")
        for generation in self._ledger.generations:
            self._judge_time(generation, since)
        reasons = numbers.faults + self._ledger.sights[BY_WRONG_CLOCKS]
        if numbers.duplicates > reasons:
            violated("duplicates", f"{numbers.duplicates} more starts than there were reasons ({reasons}).")
        if self._world.queue.messages:
            violated("L4", "Messages go round for ever.")
        return numbers

    def _judge_time(self, generation: Generation, since: datetime) -> None:
        # By the world's clock: an invocation may have written its own wrong time.
        end = next(write.at for write, _, new in generation.writes if new.is_finished)
        if end > max(generation.created.deadline_at, since) + 2 * SWEEP_INTERVAL:
            violated("L1", f"{generation.created.key} ended at {end}; faults had ended at {since}.")
        then = next((new for write, _, new in reversed(generation.writes) if write.at <= since), generation.created)
        if then.is_finished:
            return
        # Its claimant was dead or had given up, since every live invocation ended at `since`.
        noticed = max(at for at in (since, then.lease_until, then.not_before, then.due_at) if at is not None)
        moved = min(write.at for write, _, new in generation.writes if new.attempt > then.attempt or new.is_finished)
        if then.exclusive_key is not None:
            # It may have waited for other jobs, and the process that should wake it may have died.
            ends = list(self._ends_of_lock_owners(generation))
            has_ended = any(write.at == moved and new.is_finished for write, _, new in generation.writes)
            if has_ended and sum(end > moved for end in ends) >= int(then.exclusive_key.partition("#")[0]):
                # It waited for other jobs until its own deadline.
                return
            noticed = max([noticed, *(end for end in ends if end <= moved)]) + MAX_LOCK_BACKOFF
        if moved > noticed + SWEEP_INTERVAL + LIKE_THE_RECORD:
            violated("L2", f"{generation.created.key} was due at {noticed}, but nothing became of it until {moved}.")

    def _ends_of_lock_owners(self, generation: Generation) -> Iterable[datetime]:
        """Return when other jobs of the lock ended. A job that waited until its deadline did not hold it."""
        lock = self._ledger.lock_of(generation.request)
        for other in self._ledger.generations:
            if other is not generation and self._ledger.lock_of(other.request) == lock:
                yield from (write.at for write, old, new in other.writes if new.is_finished and old.waits_since is None)

    def _numbers(self) -> Numbers:
        every = list(self._ledger.generations)
        completed = [each for each in every if each.ends and each.ends[0].status is Status.COMPLETED]
        return Numbers(
            lost=sum(each.is_accepted and not each.ends for each in every),
            unexpected=sum(from_job.generation not in self._ledger.by_gen for from_job in self._world.jobs()),
            stuck=sum(not each.ends for each in every),
            # Each result was compared with the oracle when it was recorded.
            wrong=sum(each.created.job_type in jobs.NEVER_COMPLETE for each in completed),
            double_final=sum(len(each.ends) > 1 for each in every),
            ghosts=sum(not self._ledger.starts(each) for each in completed if not each.created.is_tracked),
            duplicates=sum(
                max(0, len(self._ledger.starts(each)) - 1 - len(each.releases)) for each in every if not each.is_put_twice
            ),
            jobs=len(every),
            faults=self._world.scheduler.faults,
        )


def _answered(job: AsyncJob) -> dict[str, Any]:
    """Return what a client reads of the job, without the number and the times of heartbeats and deletions."""
    return {**job_body(job, ""), "seq": None, "updatedAt": None, "recordExpiresAt": None}


def _is_name_of(claimant: str, invocation: Invocation) -> bool:
    # A submit does not have Lambda's message id as its claimant.
    return claimant.startswith("submit/" if invocation.role == "submit" else f"{invocation.process.request_id}/")
