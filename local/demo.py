"""One real job over HTTP, as a client of the API would do it."""

import json
import sys
import time
from typing import Any, TextIO

import httpx

from local.errors import DemonstrationError

TERMINAL = {"COMPLETED", "FAILED", "CANCELLED"}
_BAR_WIDTH, _LINE_WIDTH, _SUMMARY_LINES = 32, 110, 24


class ProgressBar:
    """On a terminal, one line that moves; into a file or pipe, one line for each thing that happens."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._last = ""

    def show(self, job: dict[str, Any]) -> None:
        done = round(_BAR_WIDTH * job["progress"] / 100)
        bar = "#" * done + "." * (_BAR_WIDTH - done)
        line = f"  {job['status']:<12} [{bar}] {job['progress']:>3} %  {job.get('message') or ''}".rstrip()
        if line == self._last:
            return
        if self._out.isatty():
            self._out.write(f"\r\x1b[K{line[:_LINE_WIDTH]}")
        else:
            self._out.write(f"{line}\n")
        self._out.flush()
        self._last = line

    def end(self) -> None:
        if self._out.isatty():
            self._out.write("\n")


def run_job(api_url: str, token: str, request: dict[str, Any], *, seconds: float = 120) -> dict[str, Any]:
    """The finished job, with its progress shown on the way."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(headers=headers, timeout=30, trust_env=False) as client:
        job: dict[str, Any] = _json(client.post(f"{api_url}/api/v1/jobs", json=request), 202)
        bar = ProgressBar()
        deadline = time.monotonic() + seconds
        while True:
            bar.show(job)
            if job["status"] in TERMINAL:
                break
            if time.monotonic() > deadline:
                raise DemonstrationError(f"The job is still {job['status']} after {seconds:.0f} s.")
            time.sleep(0.05)  # a client elsewhere waits as long as Retry-After says; here someone is watching
            job = _json(client.get(f"{api_url}/api/v1/jobs/{job['asyncJobId']}"), 200)
        bar.end()
        if job["status"] != "COMPLETED":
            raise DemonstrationError(f"The job ended {job['status']}: {json.dumps(job.get('error'))}.")
        return job


def result_of(api_url: str, token: str, job: dict[str, Any]) -> Any:
    """Wherever it lies."""
    with httpx.Client(timeout=30, trust_env=False) as client:
        answer = client.get(f"{api_url}/api/v1/jobs/{job['asyncJobId']}/result", headers={"Authorization": f"Bearer {token}"})
        if answer.status_code == httpx.codes.SEE_OTHER:
            # The URL carries its own permission, and S3 refuses a request that brings two.
            answer = client.get(answer.headers["Location"])
        return _json(answer, 200)


def curl(api_url: str, token: str, job: dict[str, Any]) -> str:
    """A command that shows the job, ready to be pasted."""
    return f"curl -s -H 'Authorization: Bearer {token}' {api_url}/api/v1/jobs/{job['asyncJobId']}"


def summary(result: Any) -> str:
    """The first lines of a result: whole, a document would fill the screen."""
    lines = json.dumps(result, indent=2, ensure_ascii=False).splitlines()
    shown = [line if len(line) <= _LINE_WIDTH else f"{line[: _LINE_WIDTH - 3]}..." for line in lines[:_SUMMARY_LINES]]
    left_out = len(lines) - len(shown)
    return "\n".join([*shown, *([f"  ... {left_out} more lines"] if left_out else [])])


def _json(answer: httpx.Response, expected: int) -> Any:
    if answer.status_code != expected:
        request = answer.request
        raise DemonstrationError(f"{request.method} {request.url} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()
