"""Errors become problems, also those that a bug raises; handlers that few cold starts need are loaded late."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from asyncjobs.core.errors import IllegalMove, JobNotFound, Unavailable
from asyncjobs.http.answers import Answer, answer
from asyncjobs.http.api import Api
from asyncjobs.http.problems import Problem
from asyncjobs.http.request import Request
from tests.support.events import sample
from tests.support.factories import JOB_ID
from tests.support.http_events import HEALTH, JOB, RESULT, http_event
from tests.support.lines import written_lines
from tests.unit.conftest import Lines
from tests.unit.http.in_memory_api import CONTRACT

EVENT = {**sample("status"), "routeKey": HEALTH}


def api_that_raises(error: BaseException) -> Api:
    def handle(_request: Request) -> Answer:
        raise error

    return Api({HEALTH: handle})


def test_library_error_is_answered_with_its_problem() -> None:
    assert api_that_raises(JobNotFound()).handle(EVENT)["statusCode"] == 404


@pytest.mark.parametrize("error", [KeyError("canary"), IllegalMove("canary"), RecursionError("canary")], ids=repr)
def test_bug_is_answered_with_a_problem_that_names_the_request(error: Exception) -> None:
    answer = api_that_raises(error).handle(EVENT)
    CONTRACT.check(HEALTH, answer["statusCode"], answer["headers"], answer["body"])
    problem = json.loads(answer["body"])
    assert (answer["statusCode"], problem["code"]) == (500, "INTERNAL_ERROR")
    assert (problem["title"], problem["requestId"]) == ("Internal error", "JKJaXmPLvHcESHA=")
    assert "`requestId`" in problem["detail"]
    assert "canary" not in json.dumps(answer)


def test_bug_is_logged_once_with_its_place(lines: Lines) -> None:
    api_that_raises(KeyError("canary")).handle(EVENT)
    (line,) = lines.events
    assert (
        line.items()
        >= {
            "message": "REQUEST_FAILED",
            "route": HEALTH,
            "errorType": "KeyError",
        }.items()
    )
    assert line["traceback"][-1].endswith("handle")
    assert "canary" not in lines.text()


@pytest.mark.parametrize("error", [None, JobNotFound(), KeyError("canary")], ids=repr)
def test_head_is_answered_as_get_without_the_body(error: Exception | None) -> None:
    def handle(_request: Request) -> Answer:
        if error is not None:
            raise error
        return answer(200, {"status": "ok"}, headers={"etag": '"1"'})

    api = Api({HEALTH: handle})
    get, head = (api.handle({**EVENT, "routeKey": route}) for route in (HEALTH, HEALTH.replace("GET", "HEAD")))
    assert get["body"]
    assert head == {**get, "body": ""}


def test_expected_error_is_logged_with_its_code(lines: Lines) -> None:
    api_that_raises(JobNotFound()).handle(EVENT)
    assert lines.events == [{"message": "PROBLEM_ANSWERED", "route": HEALTH, "errorCode": "JOB_NOT_FOUND"}]


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (JobNotFound(), "INFO"),
        (Problem("JOB_FAILED"), "INFO"),
        (Problem("JOB_FAILED", waiting=True), "WARNING"),
        (Unavailable("canary"), "WARNING"),
        (KeyError("canary"), "ERROR"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("logged", ["INFO", "WARNING"])
def test_problem_of_the_server_is_found_at_every_level_but_error(error: Exception, level: str, logged: str) -> None:
    with written_lines(logged) as written:
        answer = written.invoke(lambda: api_that_raises(error).handle(EVENT), correlation_id="request-1")
        found = [(line["level"], line["requestId"]) for line in written.lines()]
    assert found == ([] if (level, logged) == ("INFO", "WARNING") else [(level, "request-1")])
    assert (answer["statusCode"] >= 500) == (level != "INFO")


def test_interrupted_process_is_not_answered() -> None:
    with pytest.raises(SystemExit):
        api_that_raises(SystemExit()).handle(EVENT)


def test_further_handlers_are_loaded_once_and_only_for_their_routes() -> None:
    loads = list[str]()

    def no_content(_request: Request) -> Answer:
        return {"statusCode": 204}

    def more(route: str) -> dict[str, Any]:
        loads.append(route)
        return {route: no_content}

    api = Api({HEALTH: no_content}, [partial(more, JOB), partial(more, RESULT)])
    for route, loaded in ((HEALTH, []), (JOB, [JOB]), (HEALTH, [JOB]), (RESULT, [JOB, RESULT]), (JOB, [JOB, RESULT])):
        assert api.handle(http_event(route, "alice", async_job_id=JOB_ID)) == {"statusCode": 204}
        assert loads == loaded
