"""The workflow of a file, in one call: `process_document(file, track_progress=True)`.

It creates a tracked job, hands the file and the job's worker token to the processor, and shows how far it is until the job
has ended. The address and the token of the API are in ASYNCJOBS_URL and ASYNCJOBS_TOKEN, that of the processor in PROCESSOR_URL.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from asyncjobs_client import AsyncjobsError, Job, JobCancelled, JobFailed, Jobs

PROCESSOR = "http://127.0.0.1:4691"


class ProcessorRefused(Exception):
    """The processor cannot be reached, or does not take or process the file."""


def process_document(
    file: str | Path,
    *,
    track_progress: bool = True,
    parent_id: str | None = None,
    parent_type: str | None = None,
    on_update: Callable[[Job], object] | None = None,
    jobs: Jobs | None = None,
    processor: str | None = None,
) -> Any:
    """Return what the processor made of the file. With `track_progress`, `on_update` gets each change of a job.

    Ctrl-C cancels the job, and so stops the processor. Raises `JobFailed`, `JobCancelled`, `ProcessorRefused`.
    """
    path, service = Path(file), processor or os.environ.get("PROCESSOR_URL") or PROCESSOR
    if not track_progress:
        return _send(service, path)
    about = {"fileName": path.name, "fileSize": path.stat().st_size, "parentId": parent_id, "parentType": parent_type}
    metadata = {name: value for name, value in about.items() if value is not None}
    job = (jobs or Jobs()).tracked.create("file_processing", message="Upload queued", metadata=metadata)
    try:
        _send(service, path, job)
    except ProcessorRefused as error:
        job.fail(str(error), code="PROCESSOR_REFUSED")  # nobody else would end it before its deadline
        raise
    try:
        return job.result(give_up=None, on_update=on_update or show_status)
    except KeyboardInterrupt:
        job.cancel()
        raise


def show_status(job: Job) -> None:
    """Draw the status indicator again: one line of a terminal."""
    done = (job.progress or 0) // 5
    end = "\n" if job.is_finished else ""
    sys.stderr.write(f"\r{job.status:<12} [{'#' * done:<20}] {job.progress:>3} %  {job.message or '':<40.40}{end}")
    sys.stderr.flush()


def _send(service: str, path: Path, job: Job | None = None) -> Any:
    """Send the file to the processor, which answers at the end, or immediately for a job."""
    query = {"job": job.id} if job else None
    headers = {"authorization": f"Bearer {job.worker_token}"} if job else {}
    size = {"content-length": str(path.stat().st_size)}
    try:
        with path.open("rb") as content:
            answer = httpx2.post(f"{service}/process", params=query, headers=headers | size, content=content, timeout=300)
    except httpx2.HTTPError as error:
        raise ProcessorRefused(f"The processor cannot be reached at {service}. Start file_processor.py.") from error
    if not answer.is_success:
        raise ProcessorRefused(answer.json().get("error", "The processor refused the file."))
    return answer.json()


def main() -> int:
    """Process the file that is named on the command line."""
    if not sys.argv[1:]:
        sys.stderr.write("usage: file_workflow.py FILE [PARENT_ID]\n")
        return 2
    parent = sys.argv[2] if sys.argv[2:] else None
    try:
        found = process_document(sys.argv[1], parent_id=parent, parent_type="contract" if parent else None)
    except JobFailed as error:
        sys.stderr.write(f"{error.code}: {error.message}\n")
        return 1
    except JobCancelled:
        sys.stderr.write("The job was cancelled.\n")
        return 1
    except (AsyncjobsError, ProcessorRefused, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nCancelled.\n")
        return 130
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
