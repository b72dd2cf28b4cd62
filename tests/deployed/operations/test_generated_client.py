"""A program on the generated Python client: it submits a job, waits for it, and reads its result and a problem."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import pytest

from tests.deployed.openapi.generators import python_client
from tests.support.deployed import UNKNOWN, Api, Caller


@pytest.fixture(scope="module")
def package(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return the package that is generated from the document that the deployment serves."""
    folder = tmp_path_factory.mktemp("client")
    document = folder / "openapi.json"
    document.write_text(json.dumps(api.checker.document))
    python_client(document, folder)
    # Our own client has this name.
    (folder / "asyncjobs_client").rename(folder / "generated_client")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("generated_client")


def part(package: Any, name: str) -> Any:
    """Return a module of the package."""
    return importlib.import_module(f"{package.__name__}.{name}")


@pytest.fixture
def client(package: Any, api: Api, alice: Caller) -> Iterator[Any]:
    token = alice.http.headers["authorization"].removeprefix("Bearer ")
    base_url = f"{api.outputs.api_url}/api/v1"
    with package.AuthenticatedClient(base_url=base_url, token=token, timeout=60, httpx_args={"trust_env": False}) as client:
        yield client


@pytest.mark.slow
@pytest.mark.e2e
def test_generated_client_submits_a_job_waits_for_it_and_gets_its_result(package: Any, client: Any) -> None:
    models, jobs = part(package, "models"), f"{package.__name__}.api.jobs"
    submit_job, get_job, get_job_result = (
        importlib.import_module(f"{jobs}.{name}") for name in ("submit_job", "get_job", "get_job_result")
    )
    body = models.TextSearchSubmit(job_type="text.search", input_=models.TextSearchInput(query="lease"))
    submitted = submit_job.sync_detailed(client=client, body=body, prefer="respond-async")
    assert submitted.status_code == 202
    job = submitted.parsed
    http = client.get_httpx_client()
    # The client has the headers as they were sent, and its own URL: here one with a prefix.
    location = urljoin(f"{http.base_url}jobs", submitted.headers["location"])
    assert http.get(location).json()["asyncJobId"] == str(job.async_job_id)
    while job.status not in {models.Status.COMPLETED, models.Status.FAILED}:
        job = get_job.sync(job.async_job_id, client=client, wait=20)
    assert (job.status, job.result_type, job.priority) == (
        models.Status.COMPLETED,
        models.ResultType.INLINE,
        models.Priority.STANDARD,
    )
    assert job.ended_at >= job.created_at
    result = get_job_result.sync(job.async_job_id, client=client)
    assert isinstance(result, models.TextSearchOutput)
    assert result == job.result


@pytest.mark.slow
@pytest.mark.e2e
def test_generated_client_reads_problems(package: Any, client: Any) -> None:
    models = part(package, "models")
    missing = part(package, "api.jobs.get_job").sync_detailed(UNKNOWN, client=client)
    assert (missing.status_code, type(missing.parsed)) == (404, models.Problem)
    assert (missing.parsed.code, missing.parsed.title) == ("JOB_NOT_FOUND", "Job not found")
    assert missing.parsed.request_id
    body = models.TextSearchSubmit(job_type="text.search", input_=models.TextSearchInput(query=""))
    invalid = part(package, "api.jobs.submit_job").sync(client=client, body=body)
    assert (invalid.status, invalid.code) == (400, "INVALID_REQUEST")
    assert {error.pointer for error in invalid.errors} == {"/input/query"}


@pytest.mark.slow
@pytest.mark.e2e
def test_generated_client_calls_the_route_of_a_job_type(package: Any, client: Any) -> None:
    found = part(package, "api.text_search.get_search").sync(client=client, query="lease", limit=2)
    assert type(found).__name__ == "TextSearchOutput"
