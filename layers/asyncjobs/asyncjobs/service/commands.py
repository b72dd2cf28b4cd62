"""What changes jobs: submit, cancel, retry and delete. The owner comes with each call."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import InputMissing, JobNotFound, JobNotRetryable, Unavailable
from asyncjobs.core.job import (
    FENCE_AND_EXPIRY,
    FENCE_AND_PROGRESS,
    RETRYABLE,
    AsyncJob,
    JobKey,
    Status,
    check_cancel,
    check_delete,
    present_job,
)
from asyncjobs.core.placement import UPLOAD_LIFETIME, uploads_in, with_links
from asyncjobs.core.ports import Objects, Queue, Store, Webhooks
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.log import log_event
from asyncjobs.service.long_poll import LongPoll, Waited
from asyncjobs.service.sender import Sender
from asyncjobs.service.submit import Submission, SubmitPipeline, SubmitRequest

if TYPE_CHECKING:
    from asyncjobs.core.rate import Quota
    from asyncjobs.jobtypes.decorator import JobType
    from asyncjobs.limits.admission import Admission
    from asyncjobs.limits.locks import Locks
    from asyncjobs.tracking.worker_token import WorkerToken
    from asyncjobs.worker.immediate import ImmediateExecutor


@dataclass(frozen=True, slots=True)
class Upload:
    """An object to be uploaded: its key, for the job's input, and a URL to PUT it to with these headers. The URL is a secret."""

    key: str
    url: str
    headers: Mapping[str, str]
    expires_at: datetime
    quota: Quota | None = None
    """What the owner's submit rate has left; None without such a limit."""


class Commands:
    """Everything that changes jobs.

    `locks`, `new_worker_token` and `webhooks` (None: the deployment has none) are called when a request needs them: most
    processes never do, and their modules would make each cold start longer.
    """

    def __init__(
        self,
        *,
        store: Store,
        queue: Queue,
        objects: Objects,
        catalog: Catalog,
        clock: Clock,
        max_retention: timedelta,
        locks: Callable[[], Locks],
        new_worker_token: Callable[[str], WorkerToken],
        webhooks: Callable[[], Webhooks] | None = None,
        admission: Admission | None = None,
        immediate_executor: ImmediateExecutor | None = None,
        long_poll: LongPoll | None = None,
    ) -> None:
        self._store = store
        self._objects = objects
        self._catalog = catalog
        self._clock = clock
        self._locks = locks
        self._new_worker_token = new_worker_token
        self._admission = admission
        self._long_poll = long_poll or LongPoll(clock)
        self._sender = Sender(queue, clock)
        self._pipeline = SubmitPipeline(
            store=store,
            objects=objects,
            catalog=catalog,
            clock=clock,
            max_retention=max_retention,
            sender=self._sender,
            locks=locks,
            new_worker_token=new_worker_token,
            webhooks=webhooks,
            admission=admission,
            immediate_executor=immediate_executor,
        )

    def submit(
        self, owner: str, request: SubmitRequest, *, idempotency_key: str | None = None, in_background: bool = False
    ) -> Submission:
        """Accept a job: see `SubmitPipeline.run`."""
        return self._pipeline.run(owner, request, idempotency_key=idempotency_key, in_background=in_background)

    @property
    def requests_may_wait(self) -> bool:
        """Whether any request may wait for its job."""
        return bool(self._long_poll.longest)

    def wait(self, accepted: AsyncJob, since: datetime, at_most: timedelta) -> Waited:
        """Return the accepted job when it has finished, or as it is after `at_most`, or immediately if too many requests wait."""
        job, at_most = accepted, min(at_most, self._long_poll.longest)
        if job.is_finished or not at_most:
            return Waited(job, at_most)
        try:
            with self._long_poll.turns(job, since + at_most) as turns:
                if turns is None:
                    return Waited(job, None)
                for _ in turns:
                    job = self._read(job.key)
                    if job.is_finished:
                        break
        except (Unavailable, JobNotFound):
            # The job is accepted all the same, and the caller needs its id.
            return Waited(accepted, at_most)
        return Waited(job, at_most)

    def with_links(self, job: AsyncJob) -> AsyncJob:
        """Return the job with new links to its artifacts."""
        return with_links(job, self._objects.artifact_link)

    def cancel(self, owner: str, async_job_id: str) -> AsyncJob:
        """End the job now. A second cancel does nothing.

        Raises `JobNotFound`, `JobAlreadyFinished`, `Unavailable`.
        """
        job = self._store.get(JobKey(owner, async_job_id))
        while True:
            job = present_job(job, self._clock())
            check_cancel(job)
            if job.status is Status.CANCELLED:
                return job
            # Compared as reports are, so that the answer has the job's last progress.
            outcome = self._store.swap_if_unchanged(job, job.cancelled(now=self._clock()), FENCE_AND_PROGRESS)
            if isinstance(outcome, AsyncJob):
                log_event("JOB_CANCELLED", outcome)
                if outcome.exclusive_key is not None:
                    self._locks().wake(outcome)
                return outcome
            # A claim, a release, a report or the end came first. Reports are rare enough for a cancel to get through.
            job = outcome.current

    def retry(self, owner: str, async_job_id: str) -> tuple[AsyncJob, WorkerToken | None]:
        """Start a job that failed or was cancelled again, with the attempts and the deadline that its type has now.

        Also returns the new token of a tracked job's worker; no earlier token is valid from now on.

        Raises `JobNotFound`, `JobNotRetryable`, `UnknownJobType`, `NotAdmitted`, `Unavailable`.
        """
        job = self._store.get(JobKey(owner, async_job_id))
        admitted: AsyncJob | None = None
        while True:
            job = present_job(job, self._clock())
            job_type = self.retryable_type(job)
            token = self._new_worker_token(owner) if job.is_tracked else None
            retried = job.retried(
                max_attempts=job_type.max_attempts,
                timeout=job_type.timeout,
                deadline=job_type.deadline,
                now=self._clock(),
                token_hash=None if token is None else token.hash,
            )
            if self._admission is not None and admitted is None:
                admitted = self._admit(retried, self._admission)
            if admitted is not None and admitted.live_owner is not None:
                # Admitted once, also when another write came first: each admission takes a token.
                retried = retried.counted()
            outcome = self._store.swap_if_unchanged(job, retried, FENCE_AND_EXPIRY)
            if isinstance(outcome, AsyncJob):
                log_event("JOB_RETRY_ACCEPTED", outcome)
                if token is None:
                    self._sender.send(outcome)
                return outcome, token
            # Another retry, or a deletion, came first; or this one did, and the job has changed since.
            job = outcome.current
            if job is not None and job.generation == retried.generation:
                return job, token

    def retryable_type(self, job: AsyncJob) -> JobType:
        """Return the type of a job that may be retried. Raises `JobNotRetryable`, `UnknownJobType`."""
        # An action on many jobs has nobody who would work on it again: it is started again instead.
        if job.status not in RETRYABLE or job.is_bulk_action:
            raise JobNotRetryable
        job_type = self._catalog.of_stored(job.job_type)
        if job.is_tracked is not job_type.tracked:
            # The catalog has changed: the job has no input for a function here, or no worker outside.
            raise JobNotRetryable
        return job_type

    def delete(self, owner: str, async_job_id: str) -> None:
        """Delete a finished job, with its input, its uploads and its results. Its idempotency key is free again.

        From the first write on, no reader finds the job. If the process dies after that write, another call, or later the
        table's TTL and the bucket's lifecycle, remove what is left.

        Raises `JobNotFound`, `JobNotFinished`, `Unavailable`.
        """
        job = self._store.get(JobKey(owner, async_job_id))
        while True:
            now = self._clock()
            if job is None or (job.is_expired(now) and not job.is_finished):
                raise JobNotFound
            check_delete(job)
            marked_deleted = job.marked_deleted(now=now)
            # Also for an expired job, which a deletion that died may have left: a retry that read it before must lose.
            outcome = self._store.swap_if_unchanged(job, marked_deleted)
            if isinstance(outcome, AsyncJob):
                self._remove(marked_deleted)
                if job.is_expired(now):
                    raise JobNotFound
                log_event("JOB_DELETED", marked_deleted)
                return
            # A retry, or another deletion, came first.
            job = outcome.current

    def upload(self, owner: str, *, content_type: str, size: int) -> Upload:
        """Return where the owner may put an object of this type and size (bytes), which its jobs open by the key.

        It is deleted a day later unless a job's input names its key by then. Raises `SubmitRateExceeded`, `Unavailable`.
        """
        quota = None if self._admission is None else self._admission.take_token(owner)
        key = f"uploads/{uuid.uuid4()}"
        link = self._objects.upload_link(owner, key, content_type=content_type, size=size)
        return Upload(key, link.url, link.headers, self._clock() + UPLOAD_LIFETIME, quota)

    def delete_upload(self, owner: str, key: str) -> None:
        """Delete the owner's upload, also one that a job needs. Deleting it again does nothing.

        Raises `SubmitRateExceeded`, `Unavailable`. It takes a token, since the upload's link then accepts another object, and the
        bucket keeps the deleted one for a day.
        """
        if self._admission is not None:
            self._admission.take_token(owner)
        self._objects.delete_upload(owner, key)

    def _admit(self, retried: AsyncJob, admission: Admission) -> AsyncJob:
        """Return the retried job as it may be stored. A delivery counts among no jobs: only its owner's rate limits it."""
        if retried.is_delivery:
            admission.take_token(retried.owner)
            return retried
        return admission.admit(retried)[0]

    def _read(self, key: JobKey) -> AsyncJob:
        return present_job(self._store.get(key), self._clock())

    def _remove(self, job: AsyncJob) -> None:
        # The objects first: only the record says where they are.
        self._objects.delete_all(job, self._uploads_of(job))
        self._store.remove_if_unchanged(job)

    def _uploads_of(self, job: AsyncJob) -> Sequence[str]:
        if job.input_location is None:
            return uploads_in((job.input or "").encode())
        try:
            return uploads_in(self._objects.get_input(job))
        except InputMissing:
            # An earlier deletion died after it had deleted the objects.
            return ()
