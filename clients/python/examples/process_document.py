"""Process a document in a service of your own, and track it: `python process_document.py contract.pdf`.

The service does the work; the API only keeps its progress. Any program of the same user can show it by the job's id.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

from asyncjobs_client import Job, JobCancelled, Jobs, Worker


def process_document(jobs: Jobs, path: Path, *, parent_id: str, parent_type: str, track_progress: bool = True) -> Any:
    """Return what the service made of the document. With `track_progress`, show how far it is."""
    metadata = {"fileName": path.name, "parentId": parent_id, "parentType": parent_type}
    job = jobs.tracked.create("file_processing", message="Upload queued", metadata=metadata)
    start_processor(job, path)
    return job.result(on_update=show_status if track_progress else None)


def show_status(job: Job) -> None:
    """Update the status indicator."""
    print(f"{job.status} {job.progress} % {job.message or ''}", flush=True)


def start_processor(job: Job, path: Path) -> None:
    """Hand the job's address and its worker's token to the service: here a thread, elsewhere a container or a function."""
    threading.Thread(target=processor, args=(job.url, job.worker_token, path)).start()


def processor(url: str, token: str, path: Path) -> None:
    """Do the work, and report it. This is the service's code."""
    with Worker(url, token) as worker:
        try:
            worker.report(progress=10, message="Reading the file...")
            words = path.read_bytes().split()
            worker.report(progress=75, message="Extracting document data...")
            worker.complete({"documentId": "doc_123abc", "words": len(words)}, message="Document processed")
        except JobCancelled:
            return  # its owner does not need it any more
        except Exception:
            worker.fail("Failed to parse document", code="BROKEN_FILE")
            raise


def main() -> int:
    """Run the example."""
    print(process_document(Jobs(), Path(sys.argv[1]), parent_id="contract-7", parent_type="contract"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
