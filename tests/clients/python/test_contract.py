"""The contract that all clients keep: clients/contract. Each case runs with and without asyncio."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import asyncjobs_client
from asyncjobs_client import AsyncjobsError, File, Snapshot
from clients.contract import server
from tests.clients.python.harness import FLAVORS, Flavor, items_of, value_of

_OPTIONS = {
    "giveUp": "give_up",
    "cancelOnGiveUp": "cancel_on_give_up",
    "jobType": "job_type",
}


@pytest.fixture(scope="module")
def faults() -> Iterator[server.FaultServer]:
    with server.serve() as running:
        yield running


@pytest.mark.parametrize("name", server.names())
@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: flavor.name)
def test_client_keeps_the_contract(flavor: Flavor, name: str, faults: server.FaultServer, tmp_path: Path) -> None:
    session = faults.begin(name)
    run = Run(flavor, server.case(name), faults.sessions[session].base, tmp_path)
    found = asyncio.run(run.outcome())
    verdict = faults.verdict(session)
    assert verdict == {"problems": [], "left": 0}, found
    run.check(found)


@pytest.mark.parametrize("name", server.names())
def test_case_is_well_formed(name: str) -> None:
    case = server.case(name)
    assert case["name"] == name
    assert case.keys() <= {"name", "behavior", "client", "calls", "exchanges", "outcome"}
    assert case["behavior"].endswith(".")
    assert case["calls"]
    assert case["exchanges"]
    assert case["outcome"]


class Run:
    """One run of a case."""

    def __init__(self, flavor: Flavor, case: Mapping[str, Any], url: str, folder: Path) -> None:
        self._flavor = flavor
        self._case = case
        self._url = url
        self._path = folder / "result"
        self._updates: list[Any] = []
        self._clock = flavor.clock()
        self._http = flavor.http(self._clock)

    async def outcome(self) -> Any:
        """Make the calls, and return what the last one returns or raises."""
        jobs = self._client()
        job = jobs.job(server.JOB)
        *earlier, last = self._case["calls"]
        try:
            for call in earlier:
                job = await self._made(call, jobs, job)
            return await self._made(last, jobs, job)
        except AsyncjobsError as error:
            return error
        finally:
            await self._flavor.close(self._http)

    def _client(self) -> Any:
        wanted = self._case.get("client", {})
        tokens = iter(wanted.get("tokens", ["token-1"]))
        options: dict[str, Any] = {"timeout": wanted.get("timeout", 30), "max_retries": wanted.get("maxRetries", 4)}
        return self._flavor.jobs(
            self._url,
            lambda: next(tokens),
            live=wanted.get("live", True),
            http_client=self._http,
            _clock=self._clock,
            **options,
        )

    async def _made(self, call: Mapping[str, Any], jobs: Any, job: Any) -> Any:
        options = {_OPTIONS.get(name, name): value for name, value in call.get("options", {}).items()}
        if options.pop("onUpdate", False):
            options["on_update"] = self._updates.append
        return await _METHODS[call["call"]](Made(call, jobs, job, options, self._path, partial(self._worker, call)))

    def _worker(self, call: Mapping[str, Any], url: str) -> Any:
        return self._flavor.worker(url, call["token"], http_client=self._http, _clock=self._clock)

    def check(self, found: Any) -> None:
        """Compare what the last call returned or raised."""
        outcome = self._case["outcome"]
        assert isinstance(found, AsyncjobsError) == ("error" in outcome), repr(found)
        for member, expected in outcome.items():
            if member == "updates":
                check_each(self._updates, expected)
            else:
                _CHECKS[member](found, expected)


@dataclass(frozen=True)
class Made:
    """A call, and what it needs."""

    call: Mapping[str, Any]
    jobs: Any
    job: Any
    options: dict[str, Any]
    path: Path
    worker: Callable[[str], Any]

    async def submitted(self) -> Any:
        method = getattr(self.jobs, self.call["call"])
        return await value_of(method(self.call["jobType"], with_files(self.call["input"]), **self.options))

    async def read(self) -> Any:
        return await value_of(self.job.refresh())

    async def on_the_job(self) -> Any:
        return await value_of(getattr(self.job, self.call["call"])(**self.options))

    async def iterated(self) -> Any:
        return await items_of(getattr(self.job, self.call["call"])(**self.options))

    async def listed(self) -> Any:
        return await items_of(self.jobs.list(**self.options))

    async def types(self) -> Any:
        return await value_of(self.jobs.types())

    async def downloaded(self) -> Any:
        path: Path = await value_of(self.job.download(self.path))
        return path.read_bytes()  # noqa: ASYNC240 - nothing else runs

    async def uploaded(self) -> Any:
        source = io.BytesIO(self.call["text"].encode())
        return await value_of(self.jobs.upload(source, content_type=self.call["contentType"]))

    async def tracked(self) -> Any:
        return await value_of(self.jobs.tracked.create(**self.options))

    async def reported(self) -> Any:
        return await value_of(self.job.report(**self.call["report"]))

    async def worked(self) -> Any:
        worker, report = self.worker(self.job.url), dict(self.call["report"])
        method = worker.complete if report.pop("status", None) == "COMPLETED" else worker.report
        return await value_of(method(**report))


_METHODS: dict[str, Callable[[Made], Awaitable[Any]]] = {
    **dict.fromkeys(("run", "submit"), Made.submitted),
    **dict.fromkeys(("wait", "result", "input", "cancel", "retry", "delete"), Made.on_the_job),
    **dict.fromkeys(("updates", "events"), Made.iterated),
    "get": Made.read,
    "list": Made.listed,
    "types": Made.types,
    "download": Made.downloaded,
    "upload": Made.uploaded,
    "track": Made.tracked,
    "report": Made.reported,
    "work": Made.worked,
}


def check_value(found: Any, expected: Any) -> None:
    assert found == expected


def check_length(found: Any, expected: int) -> None:
    assert len(found) == expected


def check_pattern(found: Any, expected: str) -> None:
    assert re.search(expected, found)


def check_record(found: Any, expected: dict[str, Any]) -> None:
    assert isinstance(found, Snapshot), found
    assert found.raw == {**found.raw, **expected}


def check_each(found: list[Any], expected: list[dict[str, Any]]) -> None:
    raw = [dict(each.raw) for each in found]
    assert len(raw) == len(expected), json.dumps(raw)
    assert raw == [{**one, **other} for one, other in zip(raw, expected, strict=True)]


def check_changes(found: list[Snapshot], expected: dict[str, Any]) -> None:
    """Check jobs that a real server has changed: each is a change, nothing goes back, and the last one is as expected."""
    assert all(one.visible != other.visible for one, other in pairwise(found))
    progress = [job.progress or 0 for job in found]
    assert progress == sorted(progress)
    assert [job.is_finished for job in found] == [False] * (len(found) - 1) + [True]
    assert len(found) > 1
    check_record(found[-1], expected)


def check_error(found: AsyncjobsError, expected: Mapping[str, Any]) -> None:
    assert type(found) is getattr(asyncjobs_client, expected["kind"]), repr(found)
    names = {"status": "status", "code": "code", "jobId": "job_id", "retryAfter": "retry_after"}
    given = {name: value for name, value in expected.items() if name != "kind"}
    assert {name: getattr(found, names[name]) for name in given} == given


_CHECKS: dict[str, Callable[[Any, Any], None]] = {
    "error": check_error,
    "value": check_value,
    "bytes": lambda found, expected: check_value(found, expected.encode()),
    "length": check_length,
    "matches": check_pattern,
    "job": check_record,
    "last": check_changes,
    **dict.fromkeys(("jobs", "events", "types"), check_each),
}


def with_files(value: Any) -> Any:
    match value:
        case {"$file": text, "contentType": kind}:
            return File(text.encode(), kind)
        case dict():
            return {name: with_files(each) for name, each in value.items()}
    return value
