"""Files that belong to a result: links in each answer, which work for their reader, and no longer than the job."""

from __future__ import annotations

import httpx

from tests.support.deployed import TLS, Caller, Job, followed, wait_until

SIZES = [3, 9_000_000]


def finished(alice: Caller, **headers: str) -> Job:
    return alice.wait_for(alice.submit("sample.attaches", {"sizes": SIZES}, prefer="respond-async", **headers))


def downloaded(url: str) -> httpx.Response:
    return httpx.get(url, timeout=60, trust_env=False, verify=TLS)


def test_each_answer_has_links_to_the_artifacts(alice: Caller) -> None:
    job = finished(alice)
    (listed,) = (each for each in alice.get("/jobs").json()["jobs"] if each["asyncJobId"] == job["asyncJobId"])
    bare = alice.get(f"/jobs/{job['asyncJobId']}/result").json()
    for result in (job["result"], listed["result"], bare):
        answers = [downloaded(url) for url in result["files"]]
        assert [(answer.status_code, len(answer.content)) for answer in answers] == [(httpx.codes.OK, size) for size in SIZES]
        assert answers[0].headers["content-type"] == "text/csv"
        assert answers[0].headers["content-disposition"] == 'attachment; filename="file 1.csv"'


def test_quick_job_is_answered_with_links(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "sample.attaches", "input": {"sizes": [3]}})
    job = answer.json() if answer.status_code == httpx.codes.OK else alice.wait_for(answer.json())
    (url,) = job["result"]["files"]
    assert downloaded(url).content == b"xxx"
    assert downloaded(alice.get(followed(answer)).json()["result"]["files"][0]).content == b"xxx"


def test_artifacts_are_deleted_with_their_job(alice: Caller) -> None:
    job = finished(alice)
    assert alice.delete(f"/jobs/{job['asyncJobId']}").status_code == httpx.codes.NO_CONTENT
    for url in job["result"]["files"]:
        wait_until(lambda url=url: downloaded(url).status_code == httpx.codes.NOT_FOUND)  # type: ignore[misc]
