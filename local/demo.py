"""Run one real job over HTTP, as a client of the API does."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, TextIO

import httpx
from websockets.sync.client import connect

from local.errors import DemonstrationError
from local.terminal import one_line

TERMINAL = {"COMPLETED", "FAILED", "CANCELLED"}
_BAR_WIDTH, _LINE_WIDTH = 32, 110
_PATIENCE = 5


class ProgressBar:
    """On a terminal, one line that moves; in a file or pipe, one line for each status."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._last = ""

    def show(self, job: dict[str, Any]) -> None:
        """Show the job's status, and on a terminal its progress and message."""
        if self._out.isatty():
            done = round(_BAR_WIDTH * job["progress"] / 100)
            bar = "#" * done + "." * (_BAR_WIDTH - done)
            line = f"  {job['status']:<12} [{bar}] {job['progress']:>3} %  {one_line(job.get('message') or '')}"
            self._write(f"\r\x1b[K{line[:_LINE_WIDTH]}")
        else:
            self._write(f"  {job['status']}\n")

    def end(self) -> None:
        """End the line."""
        if self._out.isatty():
            self._out.write("\n")

    def _write(self, text: str) -> None:
        if text != self._last:
            self._out.write(text)
            self._out.flush()
        self._last = text


def run_job(api_url: str, token: str, request: dict[str, Any]) -> dict[str, Any]:
    """Submit the job, show its progress as the WebSocket API reports it, and return it when it has completed."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(headers=headers, timeout=30, trust_env=False) as client:
        accepted = client.post(f"{api_url}/api/v1/jobs", json=request)
        job: dict[str, Any] = _json(accepted, 202)
        wanted = {"jobs": [job["asyncJobId"]], "use": "connect"}
        ticket = _json(client.post(f"{api_url}/api/v1/tickets", json=wanted), 201)
        bar = ProgressBar()
        bar.show(job)
        for state in states(ticket["url"], job["asyncJobId"], seconds=120):
            bar.show(state)
        bar.end()
        job = _json(client.get(accepted.url.join(accepted.headers["Location"])), 200)
        if job["status"] != "COMPLETED":
            raise DemonstrationError(f"The job ended {job['status']}: {json.dumps(job.get('error'))}.")
        return job


def states(url: str, async_job_id: str, *, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield each state of the job that a connection shows, until its end."""
    deadline, seen, status = time.monotonic() + seconds, 0, ""
    with connect(url, proxy=None, open_timeout=30) as socket:
        while status not in TERMINAL:
            socket.send(json.dumps({"action": "watch", "asyncJobId": async_job_id, "after": seen}))
            # A message may be lost, so after a while the next watch requests the present state.
            with suppress(TimeoutError):
                while status not in TERMINAL:
                    message = json.loads(socket.recv(timeout=_PATIENCE))
                    for state in (message.get("snapshot"), *message.get("changes", ())):
                        if state and state["seq"] > seen:
                            seen, status = state["seq"], state["status"]
                            yield state
            if status not in TERMINAL and time.monotonic() > deadline:
                raise DemonstrationError(f"The job is still {status} after {seconds:.0f} s.")


def result_of(api_url: str, token: str, job: dict[str, Any]) -> Any:
    """Return the job's result, from the API or from S3."""
    with httpx.Client(timeout=30, trust_env=False) as client:
        answer = client.get(f"{api_url}/api/v1/jobs/{job['asyncJobId']}/result", headers={"Authorization": f"Bearer {token}"})
        if answer.status_code == httpx.codes.SEE_OTHER:
            # The URL carries its own permission, and S3 refuses a request that brings two.
            answer = client.get(answer.headers["Location"])
        return _json(answer, 200)


def curl(api_url: str, user: str, job: dict[str, Any]) -> str:
    """Return a command that shows the job, ready to be pasted into a shell in the project's folder."""
    return f'curl -s -H "Authorization: Bearer $(make -s token USER={user})" {api_url}/api/v1/jobs/{job["asyncJobId"]}'


def client(api_url: str, user: str) -> str:
    """Return a command that runs a job with the clients' command line, ready to be pasted: `.venv` has its packages."""
    where = f"PYTHONPATH=clients/python ASYNCJOBS_URL={api_url} ASYNCJOBS_TOKEN=$(make -s token USER={user})"
    return f"{where} .venv/bin/python -m asyncjobs_client run text.search query=lease"


def summary(job: dict[str, Any], document: dict[str, Any]) -> str:
    """Return two lines about a `document.extract` job and its result."""
    submitted, ended = (datetime.fromisoformat(job[moment]) for moment in ("createdAt", "endedAt"))
    seconds = (ended - submitted).total_seconds()
    numbers = f"{document['pageCount']:,} pages, {document['wordCount']:,} words"
    beginning = one_line(" ".join(document["pages"][0]["text"].split()))
    room = _LINE_WIDTH - len(numbers)
    return f"{job['status']} after {seconds:.1f} s\n{numbers}: {beginning[:room]} ..."


def _json(answer: httpx.Response, expected: int) -> Any:
    if answer.status_code != expected:
        request = answer.request
        raise DemonstrationError(f"{request.method} {request.url} answered {answer.status_code}: {one_line(answer.text[:500])}")
    return answer.json()
