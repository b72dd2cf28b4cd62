# ruff: noqa: ARG001 - a job has both arguments
"""Jobs that use each of the worker's AWS calls. The crash matrix deploys them as jobs/crash.py."""

from __future__ import annotations

import hashlib
import os
import time

from pydantic import BaseModel, ConfigDict

from asyncjobs import Exclusive, Fatal, JobContext, ResultStream, Retry, job

LONG = 300
"""A timeout over a minute: short leases, which the attempt renews."""
HOLD_SECONDS = 5 * float(os.environ.get("ASYNCJOBS_TEST_SLOWNESS", "1"))
"""How long a job keeps a lock, so that another job comes meanwhile."""
MEGABYTE = 1_000_000


class Note(BaseModel):
    """Any text. The result depends on it."""

    model_config = ConfigDict(extra="forbid")

    note: str


def digest(note: str) -> str:
    """Return the result of the jobs, so that a wrong one is visible."""
    return hashlib.sha256(note.encode()).hexdigest()


def note_start(context: JobContext, *, tag: str = "") -> None:
    """Record the start of this attempt outside the system under test."""
    log = os.open(os.environ["STARTS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(log, f"{context.async_job_id} {context.attempt} {os.getpid()} {tag}\n".encode())
        os.fsync(log)
    finally:
        os.close(log)


@job("crash.returns", timeout_seconds=LONG)
def returns(input: Note, context: JobContext) -> str:
    """Return the digest."""
    note_start(context)
    return digest(input.note)


@job("crash.returns_soon", timeout_seconds=10)
def returns_soon(input: Note, context: JobContext) -> str:
    """Return the digest on one lease, which is not renewed."""
    note_start(context)
    return digest(input.note)


@job("crash.returns_once", timeout_seconds=LONG, dedupe_seconds=3600)
def returns_once(input: Note, context: JobContext) -> str:
    """Return the digest, once for each note."""
    note_start(context)
    return digest(input.note)


@job("crash.is_alone", timeout_seconds=LONG, exclusive=Exclusive("crash.alone", scope="OWNER"))
def is_alone(input: Note, context: JobContext) -> str:
    """Return the digest under a lock that rejects other jobs."""
    note_start(context)
    return digest(input.note)


@job("crash.is_long_alone", timeout_seconds=LONG, exclusive=Exclusive("crash.alone", scope="OWNER"))
def is_long_alone(input: Note, context: JobContext) -> str:
    """Hold that lock for a while."""
    note_start(context)
    time.sleep(HOLD_SECONDS)
    return digest(input.note)


@job("crash.takes_turns", timeout_seconds=LONG, exclusive=Exclusive("crash.turns", scope="OWNER", policy="QUEUE"))
def takes_turns(input: Note, context: JobContext) -> str:
    """Hold a lock for a while that other jobs wait for."""
    note_start(context)
    time.sleep(HOLD_SECONDS)
    return digest(input.note)


@job("crash.reports", timeout_seconds=LONG)
def reports(input: Note, context: JobContext) -> str:
    """Report progress, and wait until the report is written."""
    note_start(context)
    context.progress(50, "half")
    time.sleep(1)
    return digest(input.note)


@job("crash.is_silent", timeout_seconds=15)
def is_silent(input: Note, context: JobContext) -> str:
    """Report nothing on one lease, until the attempt has read whether the job is still its own."""
    note_start(context)
    time.sleep(3)
    return digest(input.note)


@job("crash.gives_up", timeout_seconds=LONG)
def gives_up(input: Note, context: JobContext) -> None:
    """Fail without a retry."""
    note_start(context)
    raise Fatal("Never.", code="HOPELESS")


@job("crash.retries", timeout_seconds=LONG)
def retries(input: Note, context: JobContext) -> str:
    """Succeed at the second attempt."""
    note_start(context)
    if context.attempt == 1:
        raise Retry("Not yet.", after=1)
    return digest(input.note)


@job("crash.dies", timeout_seconds=LONG, max_attempts=1)
def dies(input: Note, context: JobContext) -> None:
    """End the process."""
    note_start(context)
    os._exit(9)


@job("crash.returns_much", timeout_seconds=LONG)
def returns_much(input: Note, context: JobContext) -> str:
    """Return a result that is too large for the table."""
    note_start(context)
    return digest(input.note) * 300


@job("crash.streams", timeout_seconds=LONG)
def streams(input: Note, context: JobContext) -> ResultStream:
    """Stream a result of two parts."""
    note_start(context)
    return _stream(input, context)


@job("crash.streams_in_vain", timeout_seconds=LONG)
def streams_in_vain(input: Note, context: JobContext) -> str | ResultStream:
    """Discard a streamed result in the first attempt."""
    note_start(context)
    if context.attempt == 1:
        _stream(input, context)
        raise Retry("Not yet.", after=1)
    return digest(input.note)


@job("crash.attaches", timeout_seconds=LONG)
def attaches(input: Note, context: JobContext) -> str:
    """Write the digest into a file that belongs to the result."""
    note_start(context)
    with context.open_artifact("digest.txt", "text/plain") as file:
        file.write(digest(input.note).encode())
    return file.reference


@job("crash.is_quick", expected_seconds=0.1, timeout_seconds=6)
def is_quick(input: Note, context: JobContext) -> str:
    """Return the digest in the submit function."""
    note_start(context)
    return digest(input.note)


@job("crash.is_quick_and_reports", expected_seconds=0.1, timeout_seconds=6)
def is_quick_and_reports(input: Note, context: JobContext) -> str:
    """Return the digest in the submit function after a written report."""
    note_start(context)
    context.progress(50, "half")
    time.sleep(1)
    return digest(input.note)


@job("crash.is_quick_and_much", expected_seconds=0.1, timeout_seconds=6)
def is_quick_and_much(input: Note, context: JobContext) -> str:
    """Return a result that is too large for the table."""
    note_start(context)
    return digest(input.note) * 300


@job("crash.gives_up_quickly", expected_seconds=0.1, timeout_seconds=6)
def gives_up_quickly(input: Note, context: JobContext) -> None:
    """Fail without a retry in the submit function."""
    note_start(context)
    raise Fatal("Never.", code="HOPELESS")


@job("crash.dies_quickly", expected_seconds=0.1, timeout_seconds=6)
def dies_quickly(input: Note, context: JobContext) -> str:
    """End the process in the first attempt, and succeed in the worker."""
    note_start(context)
    if context.attempt == 1:
        os._exit(9)
    return digest(input.note)


@job("crash.is_quick_later", expected_seconds=0.1, timeout_seconds=6)
def is_quick_later(input: Note, context: JobContext) -> str:
    """Succeed at the second attempt, in the worker."""
    note_start(context)
    if context.attempt == 1:
        raise Retry("Not yet.", after=1)
    return digest(input.note)


@job("crash.reads_upload", timeout_seconds=LONG)
def reads_upload(input: Note, context: JobContext) -> str:
    """Read the upload that the note names."""
    note_start(context)
    with context.open_input(input.note) as upload:
        return digest(upload.read().decode())


def _stream(input: Note, context: JobContext) -> ResultStream:
    # The result stays open: the caller closes or discards it, where the fault of its last call is.
    out = context.stream_result("text/plain")
    chunk = (digest(input.note) * (MEGABYTE // 64)).encode()
    for _ in range(9):
        out.write(chunk)
    return out
