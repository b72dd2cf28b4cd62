"""The Python client and its command line on the deployed stack."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from asyncjobs_client import AsyncJobs, File, GaveUp, JobCancelled, JobFailed, Jobs, NotFound, Worker
from local.process import PROJECT
from local.samples import raw_pdf
from tests.support.deployed import Caller

EXAMPLES = PROJECT / "clients/python/examples"


def token_of(caller: Caller) -> str:
    return caller.http.headers["authorization"].removeprefix("Bearer ")


@pytest.fixture
def jobs(alice: Caller) -> Iterator[Jobs]:
    with httpx2.Client(trust_env=False) as http:
        yield Jobs(str(alice.http.base_url), token_of(alice), timeout=120, http_client=http)


def environment(caller: Caller) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT / "clients/python"),
        "ASYNCJOBS_URL": str(caller.http.base_url),
        "ASYNCJOBS_TOKEN": token_of(caller),
        "NO_PROXY": "*",
    }


def ran(caller: Caller, *arguments: str, code: int = 0, given: str | None = None) -> str:
    """Run a program of Python, and return what it prints to standard output."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, env=environment(caller), capture_output=True, text=True, timeout=300, check=False, input=given
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def test_run_returns_the_result_of_a_quick_and_of_a_slow_job(jobs: Jobs) -> None:
    assert jobs.run("text.search", {"query": "lease", "limit": 1})["matches"]
    assert jobs.run("sample.works", {"seconds": 0.5}) == "attempt 1"


def test_updates_show_the_progress_to_the_end(jobs: Jobs) -> None:
    seen: list[Any] = []
    assert jobs.run("sample.works", {"seconds": 6}, on_update=seen.append) == "attempt 1"
    assert seen[0].status == "PENDING"
    assert seen[-1].status == "COMPLETED"
    assert len({job.progress for job in seen}) > 2
    assert [job.progress for job in seen] == sorted(job.progress for job in seen)


def test_input_is_read_again_and_submitted_with_a_change(jobs: Jobs) -> None:
    job = jobs.submit("text.search", {"query": "lease", "limit": 1})
    changed = {**jobs.job(job.id).input(), "limit": 2}
    assert jobs.submit("text.search", changed).input() == {"query": "lease", "limit": 2}


def test_failed_job_raises_its_error(jobs: Jobs) -> None:
    with pytest.raises(JobFailed) as caught:
        jobs.run("sample.gives_up", {})
    assert (caught.value.code, caught.value.job.status) == ("HOPELESS", "FAILED")
    again = jobs.job(caught.value.job.id).refresh().retry()
    assert again.status == "PENDING"
    assert again.wait().status == "FAILED"


def test_wait_that_gives_up_leaves_the_job_running(jobs: Jobs) -> None:
    job = jobs.submit("sample.works", {"seconds": 60})
    with pytest.raises(GaveUp):
        job.wait(give_up=0.5)
    assert jobs.get(job.id).status in {"PENDING", "IN_PROGRESS"}
    assert job.cancel().status == "CANCELLED"
    assert job.cancel().status == "CANCELLED"
    with pytest.raises(JobCancelled):
        job.result()
    job.delete()
    with pytest.raises(NotFound):
        job.refresh()


def test_job_that_is_deleted_while_it_is_waited_for_ends_the_wait(jobs: Jobs) -> None:
    job = jobs.submit("sample.works", {"seconds": 60}, delay=5)
    with ThreadPoolExecutor(1) as pool:
        waited = pool.submit(job.result, give_up=60)
        time.sleep(1)
        job.cancel()
        job.delete()
        with pytest.raises((NotFound, JobCancelled)):  # a poll may come between the two
            waited.result()
    with pytest.raises(NotFound):
        jobs.get(job.id)


def test_same_key_is_the_same_job(jobs: Jobs, key: str) -> None:
    first, second = (jobs.submit("sample.works", {"seconds": 0.1}, key=key) for _ in range(2))
    assert (first.id, first.replayed, second.replayed) == (second.id, False, True)


def test_file_is_uploaded_and_a_large_result_downloaded(jobs: Jobs, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(raw_pdf.long_report(pages=40))
    job = jobs.submit("document.extract", {"key": File(path)})
    assert jobs.job(job.id).result()["pageCount"] == 40
    assert json.loads(job.download(tmp_path / "pages.json").read_text())["pageCount"] == 40
    with job.open() as stream:
        assert (stream.content_type, stream.size) == ("application/json", (tmp_path / "pages.json").stat().st_size)


def test_lists_and_types_are_read_to_their_ends(jobs: Jobs) -> None:
    ids = [jobs.submit("sample.is_quick_elsewhere", {}).id for _ in range(3)]
    listed = [job.id for job in jobs.list(job_type="sample.is_quick_elsewhere", limit=3)]
    assert listed == ids[::-1]
    assert {"text.search", "generic"} <= {each.name for each in jobs.types()}


def test_worker_reports_on_a_tracked_job_until_it_is_cancelled(jobs: Jobs) -> None:
    job = jobs.tracked.create(message="Queued", metadata={"documentId": "doc_123"})
    assert job.worker_token
    with httpx2.Client(trust_env=False) as http:
        worker = Worker(job.url, job.worker_token, http_client=http)
        assert worker.report(progress=50, message="Half").progress == 50
        assert job.report(message="Nearly").message == "Nearly"
        job.cancel()
        with pytest.raises(JobCancelled):
            worker.report(progress=60)
        job = job.retry()
        assert job.worker_token
        again = Worker(job.url, job.worker_token, http_client=http)
        again.complete(["done"])
        assert again.complete(["done"]).status == "COMPLETED"
    assert job.result() == ["done"]


def test_many_waits_share_one_loop(alice: Caller) -> None:
    async def main() -> list[Any]:
        async with httpx2.AsyncClient(trust_env=False) as http:
            jobs = AsyncJobs(str(alice.http.base_url), token_of(alice), timeout=120, http_client=http)
            return await asyncio.gather(*(jobs.run("sample.halves", {"number": 2 * number}) for number in range(12)))

    assert asyncio.run(main()) == list(range(12))


def test_command_line_runs_and_shows_jobs(alice: Caller) -> None:
    cli = ("-m", "asyncjobs_client")
    assert json.loads(ran(alice, *cli, "run", "text.search", "query=lease", "limit=1"))["matches"]
    job = ran(alice, *cli, "run", "sample.works", "--input", "-", "--detach", given='{"seconds": 1}').strip()
    assert ran(alice, *cli, "result", job) == "attempt 1\n"
    given = ran(alice, *cli, "input", job, "--json")
    assert json.loads(given) == {"seconds": 1}
    assert ran(alice, *cli, "run", "sample.works", "--input", "-", given=given) == "attempt 1\n"
    assert json.loads(ran(alice, *cli, "get", job, "--json"))["status"] == "COMPLETED"
    assert job in [json.loads(line)["asyncJobId"] for line in ran(alice, *cli, "ls", "--json").splitlines()]
    ran(alice, *cli, "run", "sample.gives_up", code=1)
    ran(alice, *cli, "rm", job)
    ran(alice, *cli, "get", job, code=4)


def test_documented_program_shows_a_bar_and_the_result(alice: Caller, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    (source,) = re.findall(r"### Progress\n+```python\n(.*?)```", (PROJECT / "docs/clients.md").read_text(), flags=re.DOTALL)
    program.write_text(source)
    printed = ran(alice, str(program))
    assert "[####################] 100 %" in printed
    assert "'matches'" in printed


def test_example_of_seed_3_analyzes_a_document(alice: Caller, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(raw_pdf.long_report(pages=3))
    assert "3 pages, " in ran(alice, str(EXAMPLES / "analyze.py"), str(path))


def test_example_of_seed_3_raises_what_the_job_says(alice: Caller, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"no PDF")
    ran(alice, str(EXAMPLES / "analyze.py"), str(path), code=1)


def test_example_of_seed_4_tracks_a_document(alice: Caller, tmp_path: Path) -> None:
    path = tmp_path / "contract.txt"
    path.write_text("one two three")
    lines = ran(alice, str(EXAMPLES / "process_document.py"), str(path)).splitlines()
    assert lines[0] == "PENDING 0 % Upload queued"
    assert lines[-1] == "{'documentId': 'doc_123abc', 'words': 3}"
