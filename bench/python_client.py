"""What the Python client costs: its import beside httpx2's, and a thousand waits in one process.

`python -m bench.python_client` needs nothing but the client. Ratios are of processor time in the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "clients/python"
RUNS = 25
WAITS, POLLS, RETRY_AFTER = 1000, 5, 2
_KILOBYTES = 1024 if sys.platform != "darwin" else 1024 * 1024


def main() -> None:
    """Print the figures."""
    print(f"import asyncjobs_client: {_import_ratio():.2f} of import httpx2")
    with subprocess.Popen([sys.executable, "-m", __spec__.name, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        waits = [sys.executable, "-m", __spec__.name, "wait", url]
        try:
            print(subprocess.run(waits, env=_environment(), check=True, capture_output=True, text=True).stdout, end="")
        finally:
            server.terminate()


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(CLIENT), str(Path.cwd())]), "NO_PROXY": "*"}


def _import_ratio() -> float:
    """Return the import's processor time beside that of httpx2: the least of each, since other programs only add to it."""
    seconds: dict[str, list[float]] = {"": [], "import httpx2": [], "import asyncjobs_client": []}
    for _ in range(RUNS):
        for code, measured in seconds.items():
            measured.append(_process_seconds(code))
    nothing, httpx2, client = map(min, seconds.values())
    return (client - nothing) / (httpx2 - nothing)


def _process_seconds(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], env=_environment(), check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def _wait(url: str) -> None:
    """Wait for a thousand jobs at the same time."""
    from asyncjobs_client import AsyncJobs  # noqa: PLC0415 - not in the other processes

    began, spent = time.monotonic(), time.process_time()
    async with AsyncJobs(url, "token", timeout=120) as jobs:
        found = await asyncio.gather(*(jobs.job(f"job-{number}").wait() for number in range(WAITS)))
    assert {job.status for job in found} == {"COMPLETED"}
    elapsed, spent = time.monotonic() - began, time.process_time() - spent
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KILOBYTES
    print(
        f"{WAITS} waits of {POLLS} polls, {RETRY_AFTER} s apart: {memory:.0f} MB at most,"
        f" {spent:.1f} s of one processor in {elapsed:.1f} s, {1000 * spent / WAITS / POLLS:.2f} ms a poll"
    )


async def _serve() -> None:
    """Answer polls: each job is running POLLS - 1 times, then completed."""
    polls: dict[bytes, int] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readuntil(b"\r\n\r\n"):
            path = request.split(b" ", 2)[1]
            polls[path] = polls.get(path, 0) + 1
            ended = polls[path] >= POLLS
            record = {
                "asyncJobId": path.rpartition(b"/")[2].decode(),
                "jobType": "text.search",
                "status": "COMPLETED" if ended else "IN_PROGRESS",
                "progress": 100 if ended else 20 * polls[path],
                "message": "Searching the handbook",
                "endedAt": "2026-11-26T12:00:00Z" if ended else None,
                "resultType": "INLINE" if ended else None,
                "result": {"matches": 2} if ended else None,
            }
            body = json.dumps(record).encode()
            head = f'HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nretry-after: {RETRY_AFTER}\r\netag: W/"{polls[path]}"\r\n\r\n'
            writer.write(head.encode() + body)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(_serve())
        case ["wait", given]:
            asyncio.run(_wait(given))
        case _:
            main()
