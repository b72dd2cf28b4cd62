"""A process beside the submit function that runs quick jobs: the function gets an answer whatever a job does."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.core.errors import JobProcessLost
from asyncjobs.worker import job_process
from asyncjobs.worker.job_process import JobProcess
from tests.support.factories import running_job

ROOT = Path(__file__).parents[3]
# In a process of its own: one with threads, as pytest's may be, is not to be copied.
PROGRAM = """
import ctypes, os, signal, subprocess, sys, threading, time
from datetime import timedelta
from pydantic import BaseModel
from asyncjobs import job, JobContext
from asyncjobs.core.clock import utc_now
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.limits.locks import Locks
from asyncjobs.worker import job_process
from asyncjobs.core.errors import JobProcessLost
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.job_process import JobProcess
from tests.support.factories import job_types_of, new_job
from tests.support.fakes import FakeObjects, FakeQueue, FakeStore

job_process.IMMEDIATE_TIMEOUT = timedelta(seconds=1)
job_process.IMMEDIATE_GRACE = timedelta(seconds=0.3)
request = {{"now": 1}}

class Any(BaseModel):
    pass

@job("quick.does", expected_seconds=0.1)
{prefix}def does(input: Any, context: JobContext) -> object:
{body}

class Store(FakeStore):
    def swap_if_unchanged(self, *write):
        return write[1]

def executor(**limits):
    store = Store()
    store.jobs[claim.key] = claim
    ports = dict(store=store, objects=FakeObjects(), catalog=Catalog(job_types_of(does)), clock=utc_now)
    locks = Locks(store=store, queue=FakeQueue(), clock=utc_now)
    return Executor(**ports, locks=locks, **limits)

now = utc_now()
claim = new_job(job_type="quick.does", now=now).claimed(by="submit/1", now=now, lease_until=now + timedelta(minutes=1))
process = JobProcess(executor, megabytes=512, request=lambda: request, set_request=lambda sent: request.update(sent, here=True))
began = time.monotonic()
try:
    ended = process.run(claim)
    print(ended and ended.status, ended and ended.result and ended.result.text, ended and ended.error and ended.error.code)
except JobProcessLost:
    print("lost")
print("soon" if time.monotonic() - began < 8 else "late")
{then}
"""


def run(body: str, *, prefix: str = "", then: str = "") -> list[str]:
    text = PROGRAM.format(prefix=prefix, body="\n".join(f"    {line}" for line in body.splitlines()), then=then)
    ran = subprocess.run(
        [sys.executable, "-c", text],
        env={"PYTHONPATH": f"{Path(job_process.__file__).parents[2]}:{ROOT}", "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_process_runs_one_job_after_another() -> None:
    lines = run("return os.getpid()", then="print(process.run(claim).result.text == ended.result.text != str(os.getpid()))")
    assert lines[1:] == ["soon", "True"]


def test_process_gets_the_request_of_each_job() -> None:
    then = "request['now'] = 2; print(process.run(claim).result.text)"
    lines = run("return [request['now'], request['here']]", then=then)
    assert (lines[0], lines[2]) == ("COMPLETED [1,true] None", "[2,true]")


CANNOT_BE_INTERRUPTED = {
    "holds the interpreter's lock": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nctypes.PyDLL(None).sleep(30)",
    "suppresses the interruption": "try:\n    time.sleep(30)\nexcept BaseException:\n    time.sleep(30)",
    "blocks the signals": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nsignal.pause()",
    "ends its process": "os._exit(3)",
    "kills its process": "os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("body", CANNOT_BE_INTERRUPTED.values(), ids=CANNOT_BE_INTERRUPTED)
def test_process_of_a_job_that_cannot_be_interrupted_is_lost_and_made_again(body: str) -> None:
    then = (
        "job_process.IMMEDIATE_TIMEOUT = timedelta(seconds=10)  # this job is no test of time\n"
        "does.__code__ = (lambda input, context: 7).__code__; print(process.run(claim).result.text)"
    )
    assert run(body, then=then) == ["lost", "soon", "7"]


ENDS_IN_TIME = {
    "sleeps": ("", "time.sleep(30)", "PENDING None HANDED_OVER"),
    "waits for a thread": ("", "threading.Thread(target=time.sleep, args=(30,)).start()\nreturn 7", "COMPLETED 7 None"),
    "joins a thread": (
        "",
        "t = threading.Thread(target=time.sleep, args=(30,))\nt.start()\nt.join()",
        "PENDING None HANDED_OVER",
    ),
    "leaves a thread of its event loop": (
        "async ",
        "import asyncio\nasyncio.get_running_loop().run_in_executor(None, time.sleep, 30)\nreturn 7",
        "COMPLETED 7 None",
    ),
    "blocks its event loop": ("async ", "time.sleep(30)", "lost"),
    "waits in its event loop": ("async ", "import asyncio\nawait asyncio.sleep(30)", "PENDING None HANDED_OVER"),
    "has its own alarm": (
        "",
        "signal.setitimer(signal.ITIMER_REAL, 5)\nsignal.alarm(0)\ntime.sleep(30)",
        "PENDING None HANDED_OVER",
    ),
    "leaves a child": ("", "subprocess.Popen(['sleep', '12'])\nreturn 7", "COMPLETED 7 None"),
}


@pytest.mark.parametrize(("prefix", "body", "outcome"), ENDS_IN_TIME.values(), ids=ENDS_IN_TIME)
def test_caller_is_answered_in_time(prefix: str, body: str, outcome: str) -> None:
    assert run(body, prefix=prefix) == [outcome, "soon"]


def test_job_reads_nothing_of_the_functions_input_and_writes_nothing_into_its_output() -> None:
    body = "os.write(1, b'noise')\nreturn [sys.stdin.read(), subprocess.run(['echo', 'noise']).returncode]"
    assert run(body) == ['COMPLETED ["",0] None', "soon"]


def test_child_ends_with_the_process_that_made_it() -> None:
    lines = run("return os.getpid()", then="sys.stdout.flush(); os._exit(0)")
    pid = int(lines[0].split()[1])
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("The child lives on.")


def test_process_that_a_job_has_broken_is_made_again() -> None:
    assert run("sys.stdout.close()\nreturn os.getpid()", then="print(process.run(claim).result.text != ended.result.text)")[
        1:
    ] == [
        "soon",
        "True",
    ]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("time.sleep(30)", "HANDED_OVER"),
        ("(signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()), ctypes.PyDLL(None).sleep(30))", "lost"),
    ],
    ids=["interrupted", "ended with its process"],
)
def test_job_that_ignores_every_signal_leaves_the_next_one_its_time_limit(body: str, outcome: str) -> None:
    first = "[signal.signal(number, signal.SIG_IGN) for number in signal.valid_signals() - {9, 19}]\nreturn 7"
    # In the same process, which has a copy of the job.
    second = f"if request['now'] == 2: return {body}\n{first}"
    then = """
request["now"] = 2
try:
    print(process.run(claim).error.code)
except JobProcessLost:
    print("lost")
"""
    assert run(second, then=then) == ["COMPLETED 7 None", "soon", outcome]


@pytest.mark.parametrize("end", ["return os.getpid()", "if pid == 0: sys.exit()\nreturn os.getpid()"], ids=["returns", "exits"])
def test_copy_of_its_process_that_a_job_makes_records_and_answers_nothing(end: str) -> None:
    then = "print([process.run(claim).result.text == ended.result.text for _ in range(3)])"
    assert run(f"pid = os.fork()\n{end}", then=then)[1:] == ["soon", "[True, True, True]"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the limit")
def test_job_that_needs_more_memory_than_the_function_has_goes_to_the_queue_and_its_process_is_replaced() -> None:
    body = "context.progress(1)\nreturn len(bytearray(600 << 20))"
    then = (
        "pids = [process._child]; does.__code__ = (lambda input, context: os.getpid()).__code__; "
        "pids += [process.run(claim).result.text, process.run(claim).result.text]; print(pids[0], pids[1] == pids[2])"
    )
    assert run(body, then=then) == ["PENDING None OUT_OF_MEMORY", "soon", "None True"]


def test_process_that_cannot_be_made_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise OSError(errno.EAGAIN, "no more processes")

    def never(*_: object) -> Any:
        raise AssertionError

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(JobProcessLost):
        JobProcess(never, megabytes=512, request=never, set_request=never).run(running_job())
