"""The index on the deployed stack: routes and their synchronous twins, the lock, owners, and a writer that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.process import PROJECT
from local.samples import pdfs, raw_pdf
from local.stack import LocalStack
from tests.support import killed_writer
from tests.support.deployed import Api, Caller, Job, wait_until

NOTE = b"# Leases\n\nA lease is a lock with an end."


def ran(caller: Caller, path: str) -> Job:
    """Run a writer to its end."""
    answer = caller.post(path)
    assert answer.status_code == 202, answer.text
    job = caller.wait_for(answer.json())
    assert job["status"] == "COMPLETED", job
    return job


def found(caller: Caller, q: str) -> list[str]:
    answer = caller.get("/search/uploads", params={"q": q})
    assert answer.status_code == 200, answer.text
    return [hit["key"] for hit in answer.json()["results"]]


@pytest.fixture(scope="module")
def carol(api: Api) -> Caller:
    return api.caller("carol")


@pytest.fixture(scope="module")
def keys(carol: Caller) -> dict[str, str]:
    """Upload a report, a note and a file without text, and build their index."""
    keys = {"report": carol.upload(pdfs.report()), "note": carol.upload(NOTE), "broken": carol.upload(b"\xff\xfe")}
    ran(carol, "/jobs/cache/refresh")
    return keys


def test_refresh_builds_the_index_of_all_uploads(carol: Caller, keys: dict[str, str]) -> None:
    job = ran(carol, "/jobs/cache/refresh")
    result = job["result"]
    assert (job["jobType"], result["status"], result["message"]) == ("refreshcache", "success", "Cache refreshed successfully")
    assert (result["documents"], result["pages"]) == (2, pdfs.REPORT_PAGES + 1)
    assert [(skipped["key"], skipped["code"]) for skipped in result["skipped"]] == [(keys["broken"], "NOT_A_TEXT")]


def test_search_is_a_job_and_has_a_synchronous_twin(carol: Caller, keys: dict[str, str]) -> None:
    answer = carol.post("/jobs/search?q=lease%20lock&limit=10")
    job = carol.wait_for(answer.json())
    hit = {"key": keys["note"], "title": "Leases", "page": 1, "snippet": "# Leases\n\nA lease is a lock with an end."}
    assert (job["jobType"], job["result"]) == ("search", {"results": [hit], "total": 1})
    at_once = carol.get("/search/uploads?q=lease%20lock")
    assert (at_once.status_code, at_once.json()) == (200, job["result"])


def test_subject_is_a_job_and_has_a_synchronous_twin(carol: Caller, keys: dict[str, str]) -> None:
    job = carol.wait_for(carol.post("/jobs/search/subject/leases").json())
    assert (job["jobType"], [hit["key"] for hit in job["result"]["results"]]) == ("subjectdata", [keys["note"]])
    at_once = carol.get("/search/subject/leases")
    assert (at_once.status_code, at_once.json()) == (200, job["result"])


def test_writers_have_synchronous_twins(carol: Caller, keys: dict[str, str]) -> None:
    for method, path, message in (
        ("POST", "/cache/1", "Cache refreshed successfully to depth 1"),
        ("PUT", "/cache", "All uploads added successfully"),
        ("POST", "/cache", "Cache refreshed successfully"),
    ):
        answer = carol.http.request(method, path)
        assert (answer.status_code, answer.json()["message"]) == (200, message), answer.text
    assert found(carol, "lease lock") == [keys["note"]]


def test_depth_is_the_number_of_pages(api: Api) -> None:
    dave = api.caller("dave")
    dave.upload(raw_pdf.long_report(pages=6))
    assert ran(dave, "/jobs/cache/refresh/2")["result"]["pages"] == 2
    assert dave.post("/jobs/cache/refresh/0").status_code == 400


def test_upload_adds_what_is_new(api: Api) -> None:
    erin = api.caller("erin")
    first = erin.upload(b"The first text.")
    ran(erin, "/jobs/cache/refresh")
    second = erin.upload(b"The second text.")
    job = ran(erin, "/jobs/cache/upload")
    assert (job["jobType"], job["result"]["documents"]) == ("uploadall", 2)
    assert sorted(found(erin, "text")) == sorted([first, second])


def test_search_never_finds_uploads_of_another_owner(alice: Caller, bob: Caller, carol: Caller, keys: dict[str, str]) -> None:
    bob.upload(b"A secret lease of bob.")
    ran(bob, "/jobs/cache/refresh")
    assert found(carol, "secret") == []
    assert keys["note"] not in found(bob, "lease")
    without = alice.get("/search/uploads?q=lease")
    assert (without.status_code, without.json()["error"]["code"]) == (500, "NO_INDEX")


# ── In the words of the service that these operations come from ────────────────────────────────────────


def test_client_of_the_daemon_gets_the_answers_that_it_documents(api: Api, carol: Caller, keys: dict[str, str]) -> None:
    daemon = f"{api.outputs.api_url}/compat/daemon/api/v1"
    headers = {"authorization": carol.http.headers["authorization"]}
    with httpx.Client(headers=headers, trust_env=False, timeout=120) as client:
        started = client.post(f"{daemon}/jobs/cache/refresh")
        job = started.json()
        assert (started.status_code, job["status"], job["message"]) == (202, "pending", "Cache refresh job started")
        carol.wait_for({"asyncJobId": job["job_id"]})
        status = client.get(f"{daemon}/jobs/{job['job_id']}").json()["job"]
        assert (status["job_type"], status["status"], status["progress"]) == ("refreshcache", "completed", 1)
        result = client.get(f"{daemon}/jobs/{job['job_id']}/result").json()
        assert result["result"].items() >= {"status": "success", "message": "Cache refreshed successfully"}.items()
        for path, message in (
            ("jobs/cache/upload", "Upload all job started"),
            ("jobs/search?q=lease&limit=10", "Search job started"),
            ("jobs/search/subject/leases", "Get subject data job started"),
        ):
            other = client.post(f"{daemon}/{path}").json()
            assert other["message"] == message
            carol.wait_for({"asyncJobId": other["job_id"]})
        found = client.get(f"{daemon}/search/subject/leases").json()["results"]
        assert [hit["key"] for hit in found] == [keys["note"]]


# ── The lock, and searches beside a writer ─────────────────────────────────────────────────────────────


def writing(caller: Caller) -> Job:
    """Start a writer that takes some seconds, and return it when it reads an upload."""
    for _ in range(2):
        caller.upload(raw_pdf.long_report(pages=250))
    job: Job = caller.post("/jobs/cache/refresh").json()
    return caller.wait_for(job, lambda found: found["message"] is not None)


def test_one_writer_of_an_owner_runs_and_searches_read_the_earlier_index(api: Api, bob: Caller) -> None:
    frank = api.caller("frank")
    note = frank.upload(NOTE)
    ran(frank, "/jobs/cache/refresh")
    writer = writing(frank)
    for method, path in (("POST", "/jobs/cache/upload"), ("PUT", "/cache"), ("POST", "/jobs/cache/refresh/1")):
        answer = frank.http.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (409, "JOB_CREATION_FAILED")
        assert answer.json()["asyncJobId"] == writer["asyncJobId"]
    assert found(frank, "lease") == [note]
    assert found(frank, "harbour") == []
    assert frank.job(writer)["status"] == "IN_PROGRESS", "the writer was too quick to show anything"
    assert ran(bob, "/jobs/cache/refresh")["status"] == "COMPLETED"
    assert frank.wait_for(writer)["result"]["documents"] == 3
    assert len(found(frank, "harbour")) > 0


# ── A writer that is killed ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Killed:
    """A refresh whose worker was killed between building and publishing."""

    caller: Caller
    upload: str
    job: Job
    earlier: list[str]
    """What a search found before."""
    meanwhile: list[str]
    """What a search found when the worker was dead."""


@pytest.fixture(scope="session")
def killed(api: Api, stack: LocalStack) -> Killed:
    """Kill a worker. The sweeper replaces it within 90 seconds, in which other tests run: see `conftest.py`."""
    heidi = api.caller("heidi")
    heidi.upload(NOTE)
    ran(heidi, "/jobs/cache/refresh")
    earlier = found(heidi, "lease")
    upload = heidi.upload(b"the lease of a writer that is killed ".ljust(killed_writer.SIZE))
    job = heidi.post("/jobs/cache/refresh").json()
    s3 = stack.session.client("s3", endpoint_url=stack.endpoint_url)
    bucket, mark = stack.outputs.bucket_name, f"inputs/{heidi.owner}/files/{killed_writer.MARK}"
    wait_until(lambda: bool(s3.list_objects_v2(Bucket=bucket, Prefix=mark)["KeyCount"]))
    return Killed(heidi, upload, job, earlier, found(heidi, "lease"))


PUBLISHES = """
import json, os, signal, sys
given = json.loads(sys.argv[1])
sys.path[:0] = given["path"]
import jobs
jobs.__path__ += given["jobs"]
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.testing import FakeContext
from jobs.search_index import Nothing, refresh_cache

class Deadly:
    '''A file that kills its reader in its middle. It is read once, while it is sent.'''

    def __init__(self, file):
        self.file, self.size = file, os.fstat(file.fileno()).st_size
        self.place = 0

    def __getattr__(self, name):
        return getattr(self.file, name)

    def seek(self, *to):
        self.place = self.file.seek(*to)
        return self.place

    def read(self, size=-1):
        if self.place >= self.size / 2:
            print("killed at", self.place, "of", self.size, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        piece = self.file.read(min(size, 4096) if size >= 0 else 4096)
        self.place += len(piece)
        return piece

class Context(FakeContext):
    '''The context of the owner, over the deployed bucket.'''

    def save_file(self, name, file):
        S3Objects(given["bucket"]).save_file(given["owner"], name, Deadly(file))

refresh_cache(Nothing(), Context(inputs={"uploads/x": b"the lease of the writer that is killed " * 20_000}))
"""


def test_writer_that_is_killed_while_it_publishes_leaves_the_earlier_index(api: Api, stack: LocalStack) -> None:
    grace = api.caller("grace")
    note = grace.upload(NOTE)
    ran(grace, "/jobs/cache/refresh")
    before = found(grace, "lease")
    given = {
        "path": [str(PROJECT / "layers/asyncjobs"), str(PROJECT / "layers/jobs")],
        "jobs": [str(Path(__file__).parent / "jobs")],
        "bucket": stack.outputs.bucket_name,
        "owner": grace.owner,
    }
    done = subprocess.run(
        [sys.executable, "-c", PUBLISHES, json.dumps(given)],
        env={**os.environ, **stack.engine.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.startswith("killed at ")
    assert note in before
    assert found(grace, "lease") == before
    assert found(grace, "killed") == []
    assert ran(grace, "/jobs/cache/refresh")["status"] == "COMPLETED"


def test_searches_go_on_when_a_writer_is_killed(killed: Killed) -> None:
    assert killed.earlier == killed.meanwhile != []


def test_writer_that_is_killed_before_it_publishes_is_replaced(killed: Killed) -> None:
    job = killed.caller.wait_for(killed.job)
    assert (job["status"], job["attempt"], job["result"]["documents"]) == ("COMPLETED", 2, 2)
    assert sorted(found(killed.caller, "lease")) == sorted([*killed.earlier, killed.upload])
