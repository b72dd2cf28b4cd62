"""GET /jobs: the caller's jobs, newest first, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.deployed import Api, Caller, Job


@pytest.fixture(scope="module")
def dave(api: Api) -> Caller:
    return api.caller("dave")


@pytest.fixture(scope="module")
def jobs(dave: Caller) -> list[Job]:
    """Submit jobs of dave, newest first: the oldest is cancelled, the three before it are of another type, the others generic."""

    def submit(**body: object) -> Job:
        job: Job = dave.post("/jobs", json=body).json()
        return job

    oldest = submit(jobType="llm_agent")
    dave.post(f"/jobs/{oldest['asyncJobId']}/cancel")
    submitted = [oldest, *(submit(jobType="llm_agent") for _ in range(3)), *(submit() for _ in range(19))]
    return submitted[::-1]


def ids(jobs: list[Job]) -> list[str]:
    return [job["asyncJobId"] for job in jobs]


def pages(caller: Caller, **query: str) -> Iterator[list[Job]]:
    while True:
        page = caller.get("/jobs", params=query).raise_for_status().json()
        yield page["jobs"]
        if page["nextCursor"] is None:
            return
        query["cursor"] = page["nextCursor"]


def test_list_has_the_callers_jobs_newest_first(dave: Caller, jobs: list[Job]) -> None:
    (page,) = pages(dave, limit="100")
    assert ids(page) == ids(jobs)


def test_listed_job_equals_its_own_resource(dave: Caller, jobs: list[Job]) -> None:
    listed = dave.get("/jobs", params={"limit": "1"}).json()["jobs"][0]
    assert listed == {**dave.job(jobs[0]), "estimatedEndAt": None}


@pytest.mark.parametrize("limit", ["5", "23", "100"])
def test_pages_together_are_the_whole_list_and_the_last_cursor_is_null(dave: Caller, jobs: list[Job], limit: str) -> None:
    found = list(pages(dave, limit=limit))
    assert [job for page in found for job in ids(page)] == ids(jobs)
    assert max(map(len, found)) <= int(limit)


def test_page_has_20_jobs_by_default(dave: Caller, jobs: list[Job]) -> None:
    assert ids(dave.get("/jobs").json()["jobs"]) == ids(jobs[:20])


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"status": "CANCELLED"}, slice(22, 23)),
        ({"status": "PENDING"}, slice(22)),
        ({"status": "COMPLETED"}, slice(0)),
        ({"jobType": "llm_agent"}, slice(19, 23)),
        ({"jobType": "llm_agent", "status": "PENDING"}, slice(19, 22)),
        ({"jobType": "no.such"}, slice(0)),
    ],
    ids=str,
)
def test_list_is_filtered_by_status_and_job_type(dave: Caller, jobs: list[Job], query: dict[str, str], wanted: slice) -> None:
    assert [job for page in pages(dave, limit="5", **query) for job in ids(page)] == ids(jobs[wanted])


@pytest.mark.parametrize("limit", ["0", "101", "-1", "10.5", "1e1", "true", "", "٣"])
def test_page_size_is_1_to_100(dave: Caller, limit: str) -> None:
    answer = dave.get("/jobs", params={"limit": limit})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/limit")


@pytest.mark.parametrize("status", ["pending", "RUNNING", "PENDING,FAILED", ""])
def test_invalid_status_is_400(dave: Caller, status: str) -> None:
    answer = dave.get("/jobs", params={"status": status})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/status")


def test_each_invalid_parameter_is_named(dave: Caller) -> None:
    answer = dave.get("/jobs", params={"owner": "bob", "status": "x", "limit": "x"})
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == ["/limit", "/owner", "/status"]


# ── Cursors ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def cursor(dave: Caller, jobs: list[Job]) -> str:
    page = dave.get("/jobs", params={"limit": "5", "status": "PENDING"}).json()
    assert ids(page["jobs"]) == ids(jobs[:5])
    found: str = page["nextCursor"]
    return found


def test_cursor_is_valid_with_any_page_size(dave: Caller, jobs: list[Job], cursor: str) -> None:
    page = dave.get("/jobs", params={"limit": "3", "status": "PENDING", "cursor": cursor}).json()["jobs"]
    assert ids(page) == ids(jobs[5:8])


@pytest.mark.parametrize("query", [{}, {"status": "CANCELLED"}, {"status": "PENDING", "jobType": "generic"}], ids=str)
def test_cursor_is_valid_only_with_its_filters(dave: Caller, cursor: str, query: dict[str, str]) -> None:
    answer = dave.get("/jobs", params={**query, "cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_CURSOR")


def test_cursor_is_valid_only_for_its_owner(alice: Caller, cursor: str) -> None:
    answer = alice.get("/jobs", params={"status": "PENDING", "cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_CURSOR")


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: c + "A", lambda c: c.swapcase(), lambda _: "", lambda _: "e30", lambda _: "../.."]
)
def test_damaged_cursor_is_400(dave: Caller, cursor: str, damage: Callable[[str], str]) -> None:
    answer = dave.get("/jobs", params={"status": "PENDING", "cursor": damage(cursor)})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_CURSOR")
