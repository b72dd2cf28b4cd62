"""The workflow of a file on the deployed stack: the wrapper, the processor in a process of its own, and a cancel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from file_workflow import ProcessorRefused, process_document

from asyncjobs_client import Job, JobCancelled, JobFailed, Jobs
from local.process import PROJECT
from local.samples import pdfs, raw_pdf
from tests.support.deployed import Caller

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Running:
    """A processor that runs."""

    url: str
    folder: Path
    process: subprocess.Popen[str]

    def working(self) -> list[str]:
        found: list[str] = httpx.get(f"{self.url}/health", trust_env=False, timeout=60).json()["working"]
        return found


def environment(caller: Caller, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT / "clients/python"),
        "ASYNCJOBS_URL": str(caller.http.base_url),
        "NO_PROXY": "*",
        **more,
    }


def token_of(caller: Caller) -> str:
    return caller.http.headers["authorization"].removeprefix("Bearer ")


@pytest.fixture(scope="module")
def processor(alice: Caller, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("documents")
    command = [sys.executable, str(HERE / "file_processor.py"), "--port", "0", "--folder", str(folder)]
    with subprocess.Popen(command, env=environment(alice), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Listening on "), line
        yield Running(line.split()[-1], folder, process)
        process.terminate()


@pytest.fixture
def jobs(alice: Caller) -> Iterator[Jobs]:
    with httpx2.Client(trust_env=False) as http:
        yield Jobs(str(alice.http.base_url), token_of(alice), timeout=120, http_client=http)


Make = Callable[[str, bytes], Path]


@pytest.fixture(scope="module")
def long_report() -> bytes:
    """Return a document that takes about half a minute."""
    return raw_pdf.long_report(pages=6_000)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return make


def test_document_is_processed_and_its_status_shown(jobs: Jobs, processor: Running, make: Make) -> None:
    seen: list[Job] = []
    file = make("contract.pdf", raw_pdf.long_report(pages=120))
    found = process_document(file, jobs=jobs, processor=processor.url, parent_id="contract-7", on_update=seen.append)
    assert found["pages"] == 120
    assert (processor.folder / f"{found['documentId']}.txt").exists()
    assert (seen[0].status, seen[0].progress, seen[0].message) == ("PENDING", 0, "Upload queued")
    assert (seen[-1].status, seen[-1].progress) == ("COMPLETED", 100)
    assert seen[-1].message == "Document processed successfully"
    assert [job.progress for job in seen] == sorted(job.progress or 0 for job in seen)
    assert any("Extracting" in (job.message or "") for job in seen)
    assert seen[-1].raw["metadata"] == {"fileName": "contract.pdf", "fileSize": file.stat().st_size, "parentId": "contract-7"}


def test_broken_file_fails_its_job(jobs: Jobs, processor: Running, make: Make) -> None:
    with pytest.raises(JobFailed) as raised:
        process_document(make("contract.pdf", b"no PDF"), jobs=jobs, processor=processor.url, on_update=lambda _: None)
    assert (raised.value.code, raised.value.message) == ("BROKEN_FILE", "Failed to parse document")


def test_cancel_stops_the_processor_and_nothing_is_stored(
    jobs: Jobs, processor: Running, make: Make, long_report: bytes
) -> None:
    before = set(processor.folder.iterdir())

    def cancel_early(job: Job) -> None:
        if "Extracting page" in (job.message or "") and not job.is_finished:
            assert processor.working() == [job.id], job
            jobs.job(job.id).cancel()

    with pytest.raises(JobCancelled):
        process_document(make("long.pdf", long_report), jobs=jobs, processor=processor.url, on_update=cancel_early)
    end = time.monotonic() + 60
    while processor.working():
        assert time.monotonic() < end, "the processor works on"
        time.sleep(0.1)
    assert set(processor.folder.iterdir()) == before


def test_without_tracking_there_is_no_job(jobs: Jobs, processor: Running, make: Make) -> None:
    count = len(list(jobs.list(job_type="file_processing")))
    found = process_document(make("a.pdf", pdfs.report()), track_progress=False, processor=processor.url, jobs=jobs)
    assert found["pages"] == pdfs.REPORT_PAGES
    assert len(list(jobs.list(job_type="file_processing"))) == count


def test_processor_that_is_not_there_ends_the_job(jobs: Jobs, make: Make) -> None:
    with pytest.raises(ProcessorRefused):
        process_document(make("a.pdf", b"x"), jobs=jobs, processor="http://127.0.0.1:9")
    latest = next(jobs.list(job_type="file_processing", limit=1))
    assert (latest.status, latest.error and latest.error.code) == ("FAILED", "PROCESSOR_REFUSED")


def test_token_of_another_job_stops_the_processor(jobs: Jobs, processor: Running) -> None:
    one, other = (jobs.tracked.create("file_processing") for _ in range(2))
    answer = httpx.post(
        f"{processor.url}/process?job={one.id}",
        content=pdfs.report(),
        headers={"authorization": f"Bearer {other.worker_token}"},
        trust_env=False,
    )
    assert answer.status_code == 202
    end = time.monotonic() + 60
    while processor.working():
        assert time.monotonic() < end, "the processor works on"
        time.sleep(0.1)
    assert [jobs.get(job.id).status for job in (one, other)] == ["PENDING", "PENDING"]


def command_line(alice: Caller, processor: Running, file: Path) -> Any:
    more = {"ASYNCJOBS_TOKEN": token_of(alice), "PROCESSOR_URL": processor.url}
    command = [sys.executable, str(HERE / "file_workflow.py"), str(file)]
    return subprocess.Popen(command, env=environment(alice, **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_command_line_shows_the_indicator_and_the_result(alice: Caller, processor: Running, make: Make) -> None:
    shown, indicator = command_line(alice, processor, make("a.pdf", pdfs.report())).communicate(timeout=300)
    assert shown.startswith("{'documentId': 'doc_")
    assert "COMPLETED    [####################] 100 %  Document processed successfully" in indicator


def test_interrupt_of_the_command_line_cancels_the_job(
    alice: Caller, jobs: Jobs, processor: Running, make: Make, long_report: bytes
) -> None:
    running = command_line(alice, processor, make("long.pdf", long_report))
    end = time.monotonic() + 120
    while not processor.working():
        assert time.monotonic() < end, running.stderr.read()
        time.sleep(0.1)
    (job_id,) = processor.working()
    running.send_signal(signal.SIGINT)
    assert "Cancelled." in running.communicate(timeout=120)[1]
    assert jobs.get(job_id).status == "CANCELLED"
