"""A client of the soak: it submits, retries unanswered requests, repeats requests, cancels, reports, deletes, and keeps a log."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from asyncjobs.core.job import job_id_for
from tests.proof.crash.stage import Caller
from tests.proof.soak.jobs import Kind, Task, input_of, job_type, text
from tests.proof.soak.tally import Ledger

_KINDS = (*[Kind.RETURNS] * 5, Kind.WORKS, Kind.IS_QUICK, *Kind)
_TRIES = 12
_DUPLICATE, _CANCEL, _DELETE = 0.1, 0.03, 0.05
_PAUSE = 1.0
"""Between two submits, in seconds at most, while others follow the jobs: the machine has more to do than submits."""
_INPUTS = 5
"""The number of different inputs of jobs that are locked by their input."""


@dataclass
class Budget:
    """The number of jobs that all clients together may submit."""

    left: int
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        with self._lock:
            self.left -= 1
            return self.left >= 0


@dataclass
class _Tracked:
    job_id: str
    result: str
    worker_token: str | None
    progress: int = 0


class Client:
    """A client that runs in its own thread."""

    def __init__(
        self,
        name: str,
        *,
        sign_in: Callable[[str], Caller],
        log: Path,
        chance: random.Random,
        budget: Budget,
        stopping: threading.Event,
        held: int = 0,
        follow: Callable[[str, str], None] = lambda _name, _job_id: None,
    ) -> None:
        """Sign in and open the log.

        If tracked jobs are held, every other job is tracked, and so many of them are unfinished at a time: after each submit, one of
        them makes progress. `follow` is called with the client's name and the id of each tracked job.
        """
        self.name = name
        self.answers: dict[str, int] = {}
        self._sign_in, self._caller = sign_in, sign_in(name)
        self._log = log.open("a")
        self._chance, self._budget, self._stopping = chance, budget, stopping
        self._tasks: list[Task] = []
        self._follow = follow
        self._most_held, self._held = held, deque[_Tracked]()

    def run(self) -> None:
        while not self._stopping.is_set() and self._budget.take():
            self._tasks.append(self._task(len(self._tasks)))
            self._submit(len(self._tasks) - 1)
            if self._held:
                self._report_progress(self._chance.choice(self._held))
            self._end_all_but(self._most_held)
            if self._most_held:
                self._stopping.wait(self._chance.uniform(0, _PAUSE))
            if self._chance.random() < _DUPLICATE:
                self._submit(self._chance.randrange(len(self._tasks)))
            if self._chance.random() < _CANCEL:
                self._cancel(self._one_of_the_last(20))
            if self._chance.random() < _DELETE:
                self._delete(self._one_of_the_last(100))
        self._end_all_but(0)
        self._log.close()
        self._caller.close()

    def _task(self, number: int) -> Task:
        kind = Kind.IS_TRACKED if self._most_held and number % 2 else self._chance.choice(_KINDS)
        if kind is Kind.SHARES_INPUT:
            return Task(kind=kind, number=number % _INPUTS, seconds=0.2)
        return Task(
            kind=kind,
            number=number,
            seconds=self._chance.choice((0.2, 1, 4)) if kind is Kind.WORKS else 0,
            padding="." * self._chance.choice((0, 0, 0, 3000)),
        )

    def _submit(self, number: int) -> None:
        task, job_id = self._tasks[number], self._job_id(number)
        self._log_line(asked=job_id, task=task.model_dump(mode="json"))
        answer = self._send(lambda: self._caller.submit(job_type(task), input_of(task), self._key(number)))
        if answer is not None:
            self._log_line(accepted=answer.json()["asyncJobId"])
            if task.kind is Kind.IS_TRACKED:
                self._follow(self.name, job_id)
                self._held.append(_Tracked(job_id, text(task), answer.json().get("workerToken")))

    def _report_progress(self, tracked: _Tracked) -> None:
        tracked.progress = min(tracked.progress + 5, 95)
        self._report(tracked, progress=tracked.progress)

    def _end_all_but(self, count: int) -> None:
        """Report the results of the oldest tracked jobs."""
        while len(self._held) > count:
            tracked = self._held.popleft()
            self._report(tracked, status="COMPLETED", result=tracked.result)

    def _report(self, tracked: _Tracked, **report: Any) -> None:
        """Report as the job's worker, or as its owner if an answer with the token was lost."""
        if tracked.worker_token is None:
            self._send(lambda: self._caller.report(tracked.job_id, **report))
        else:
            token = tracked.worker_token
            self._send(lambda: self._caller.report_as_worker(tracked.job_id, token, **report))

    def _cancel(self, number: int) -> None:
        job_id = self._job_id(number)
        self._log_line(cancel=job_id)
        self._send(lambda: self._caller.cancel(job_id))

    def _delete(self, number: int) -> None:
        job_id = self._job_id(number)
        self._log_line(delete=job_id)
        answers: list[int | None] = []

        def request() -> httpx.Response:
            answers.append(None)
            answer = self._caller.delete(job_id)
            answers[-1] = answer.status_code
            return answer

        self._send(request)
        if answers == [HTTPStatus.CONFLICT]:
            self._log_line(kept=job_id)

    def _key(self, number: int) -> str:
        return f"{self.name}-{number}"

    def _job_id(self, number: int) -> str:
        return job_id_for(self._caller.owner, self._key(number))

    def _one_of_the_last(self, count: int) -> int:
        return len(self._tasks) - 1 - self._chance.randrange(min(count, len(self._tasks)))

    def _send(self, request: Callable[[], httpx.Response]) -> httpx.Response | None:
        """Repeat the request until it succeeds or is the client's error."""
        for _ in range(_TRIES):
            try:
                answer = request()
            except httpx.TransportError as error:
                self._count(type(error).__name__)
            else:
                self._count(str(answer.status_code))
                if answer.status_code < HTTPStatus.BAD_REQUEST:
                    return answer
                if answer.status_code == HTTPStatus.UNAUTHORIZED:
                    self._sign_in_again()
                elif (
                    answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status_code != HTTPStatus.TOO_MANY_REQUESTS
                ):
                    return None
            if self._stopping.wait(self._chance.uniform(0.2, 2)):
                break
        return None

    def _sign_in_again(self) -> None:
        caller = self._caller
        self._caller = self._sign_in(self.name)
        caller.close()

    def _log_line(self, **what: Any) -> None:
        """Write a line to the log, flushed before the next answer is read."""
        self._log.write(json.dumps(what) + "\n")
        self._log.flush()

    def _count(self, answer: str) -> None:
        self.answers[answer] = self.answers.get(answer, 0) + 1


def read_logs(logs: Iterable[Path]) -> Ledger:
    """Read the logs of all clients into one ledger."""
    ledger, deletions = Ledger(), Counter[str]()
    for log in logs:
        for line in map(json.loads, log.read_text().splitlines()):
            if "asked" in line:
                ledger.asked[line["asked"]] = Task.model_validate(line["task"])
            if "accepted" in line:
                ledger.accepted.add(line["accepted"])
            if "cancel" in line:
                ledger.cancels.add(line["cancel"])
            if "delete" in line:
                deletions[line["delete"]] += 1
            if "kept" in line:
                # Refused, since the job had not ended.
                deletions[line["kept"]] -= 1
    ledger.deletions.update(+deletions)
    return ledger
