"""A process beside the submit function that runs quick jobs, so that the function can answer whatever a job does.

A job may hang in foreign code, hold the interpreter's lock, leave threads behind or end its process. Nothing in the same
process could then answer the caller, and no thread can be ended from outside. A process can.
"""

from __future__ import annotations

import ctypes
import os
import pickle  # between a process and its copy # nosec B403
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from asyncjobs.core.errors import JobProcessLost, Unavailable
from asyncjobs.core.job import GRACE, IMMEDIATE_GRACE, IMMEDIATE_TIMEOUT, AsyncJob
from asyncjobs.log import log_event
from asyncjobs.worker.event_loop import run_side_by_side
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.memory import limit_memory
from asyncjobs.worker.process_state import STATE
from asyncjobs.worker.steps import run_plain

_ANSWERS_WITHIN = 2 * IMMEDIATE_TIMEOUT + 2 * IMMEDIATE_GRACE
"""Twice, because the process also records the end. Its own timer ends a job that has not ended after its timeout and the grace."""
_PR_SET_PDEATHSIG = 1


def run_immediately(executor: Executor, job: AsyncJob) -> AsyncJob | None:
    """Run the claimed job.

    Return it as it ended or was released. Return None if that could not be recorded, or another writer had taken it away.
    """
    plan = executor.plan(job.job_type)
    steps = executor.run_claimed(job, plan, remaining=IMMEDIATE_TIMEOUT + GRACE)
    try:
        return run_side_by_side([steps], IMMEDIATE_TIMEOUT + 2 * IMMEDIATE_GRACE)[0] if plan.is_async else run_plain(steps)
    except Unavailable:
        # When its lease has ended, the sweeper sends it again.
        return None


@dataclass(frozen=True, slots=True)
class _Child:
    """The process and the connection to it."""

    pid: int
    connection: socket.socket
    answers: BinaryIO


class JobProcess:
    """Runs one job after another in a child process, which it makes for the first job, and again when it was lost.

    The child is a copy of this process, so a library that is imported here need not be imported there; and this process
    never imports a job's module. Each process has its own connections to AWS.
    """

    def __init__(
        self,
        executor: Callable[..., Executor],
        *,
        megabytes: int,
        request: Callable[[], Any],
        set_request: Callable[[Any], None],
    ) -> None:
        """`executor` makes the child's executor, given the limits of a quick job. `megabytes` is the function's memory.

        What `request` returns here, `set_request` gets there before each job.
        """
        self._executor = executor
        self._megabytes = megabytes
        self._request = request
        self._set_request = set_request
        self._child: _Child | None = None

    def run(self, job: AsyncJob) -> AsyncJob | None:
        """Run the claimed job in the child: see `run_immediately`. Raises `JobProcessLost`."""
        child = self._child = self._child or self._fork()
        try:
            child.connection.sendall(pickle.dumps((self._request(), job)))
            ended: AsyncJob | None
            ended, is_last = pickle.load(child.answers)  # noqa: S301 - from a copy of this process # nosec B301
        except Exception as lost:
            self._end(child)
            raise JobProcessLost from lost
        if is_last:
            self._end(child)
        return ended

    def _end(self, child: _Child) -> None:
        """End the child with its own children, and wait until it has ended: afterwards nothing of the job runs."""
        self._child = None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(child.pid, 0)
        child.answers.close()
        child.connection.close()

    def _fork(self) -> _Child:
        ours, theirs = socket.socketpair()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            raise JobProcessLost from error
        if pid:
            theirs.close()
            ours.settimeout(_ANSWERS_WITHIN.total_seconds())
            # In a group of its own, so that its own children end with it. Here as well, for a signal that comes first.
            with suppress(PermissionError, ProcessLookupError):
                os.setpgid(pid, pid)
            return _Child(pid, ours, ours.makefile("rb"))
        try:
            ours.close()
            _settle()
            self._serve(theirs)
        except BaseException:  # noqa: BLE001 - this is the end of the process
            traceback.print_exc()
        finally:
            os._exit(0)

    def _serve(self, connection: socket.socket) -> None:
        executor = self._executor(at_most=IMMEDIATE_TIMEOUT, grace=IMMEDIATE_GRACE)
        requests = connection.makefile("rb")
        while True:
            try:
                request, job = pickle.load(requests)  # noqa: S301 - from the process of which this is a copy # nosec B301
            except EOFError:
                return
            self._set_request(request)
            # Lambda would end the function, with all its processes. What this one shares with the function counts once.
            limit_memory(self._megabytes)
            try:
                ended = run_immediately(executor, job)
            except Exception as error:  # noqa: BLE001 - a bug; the next job may run all the same
                log_event("INLINE_RUN_FAILED", job, exception=error)
                ended = None
            connection.sendall(pickle.dumps((ended, bool(STATE.broken))))


def _settle() -> None:
    """Take the place of a job process: away from the streams of the submit function, and not for longer than it lives."""
    os.setpgid(0, 0)
    with suppress(AttributeError, OSError):  # Linux only; elsewhere, the end of the connection ends it after the job
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    # Locally, standard input and output are the runtime's protocol.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
