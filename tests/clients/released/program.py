"""What a user of the Python client wrote for its last release: each verb at least once. It prints what it got."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncjobs_client
from asyncjobs_client import BadRequest, GaveUp, JobCancelled, JobFailed, Jobs, NotFound, Worker


def caught(call: Callable[..., object], *arguments: Any, **options: Any) -> asyncjobs_client.AsyncjobsError:
    """Return the error of a call."""
    try:
        call(*arguments, **options)
    except asyncjobs_client.AsyncjobsError as error:
        return error
    raise AssertionError(call)


found: dict[str, Any] = {"client": asyncjobs_client.__file__}
with Jobs() as jobs:
    found["types"] = "text.search" in [each.name for each in jobs.types()]
    found["quick"] = bool(jobs.run("text.search", {"query": "lease", "limit": 1})["matches"])

    seen: list[Any] = []
    found["slow"] = jobs.run("sample.works", {"seconds": 3}, on_update=seen.append)
    progress = [job.progress or 0 for job in seen]
    found["updates"] = [progress == sorted(progress), seen[-1].status, len({job.id for job in seen})]
    found["events"] = len(list(jobs.job(seen[-1].id).events())) > 0

    first = jobs.submit("sample.returns", key="of-the-release")
    again = jobs.submit("sample.returns", key="of-the-release")
    found["key"] = [first.id == again.id, again.replayed, first.wait().status, jobs.get(first.id).is_finished]
    found["list"] = [job.job_type for job in jobs.list(limit=2)]

    failed = caught(jobs.run, "sample.gives_up")
    assert isinstance(failed, JobFailed)
    found["failed"] = [failed.code, failed.job.status, jobs.get(failed.job.id).retry().wait().status]

    gave_up = caught(jobs.run, "sample.works", {"seconds": 60}, give_up=0.5)
    assert isinstance(gave_up, GaveUp)
    job = jobs.job(gave_up.job.id)
    found["left"] = [job.cancel().status, isinstance(caught(job.result), JobCancelled)]
    job.delete()
    missing = caught(job.refresh)
    assert isinstance(missing, NotFound)
    found["deleted"] = [True, missing.code]

    large = jobs.submit("sample.streams", {"size": 3000}).wait()
    with tempfile.TemporaryDirectory() as folder:
        found["download"] = large.download(Path(folder, "result")).stat().st_size
    found["result"] = len(large.result())

    found["upload"] = jobs.upload(b"%PDF-", content_type="application/pdf").startswith("uploads/")
    invalid = caught(jobs.submit, "text.search", {"query": 7})
    assert isinstance(invalid, BadRequest)
    found["invalid"] = [invalid.code, invalid.errors[0]["pointer"]]

    tracked = jobs.tracked.create(message="Queued")
    tracked.report(progress=10)
    with Worker(tracked.url, tracked.worker_token or "") as worker:
        worker.report(progress=50, message="Half")
        worker.complete({"rows": 7})
    found["tracked"] = jobs.job(tracked.id).result()
json.dump(found, sys.stdout)
