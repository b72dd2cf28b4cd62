"""The catalog: the declared job types, without their modules."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from asyncjobs import JobContext, job
from asyncjobs.codegen.collect import collect
from asyncjobs.core.errors import StaleCatalog, UnknownJobType
from asyncjobs.core.job import Priority
from asyncjobs.jobtypes import catalog
from asyncjobs.jobtypes.catalog import OPENAPI, Catalog, catalog_path, document_text, to_json
from asyncjobs.jobtypes.decorator import GENERIC, Exclusive, tracked_job
from tests.support.factories import job_type, job_types_of
from tests.template.source import variables
from tests.unit.conftest import JOB, JobsPackage

# ── Committed catalog ────────────────────────────────────────────────────────────────────────────────


def test_committed_catalog_is_current() -> None:
    assert catalog_path().read_text() == to_json(collect())


def test_api_answers_without_importing_a_job_or_pydantic() -> None:
    # In its own process, since other tests have imported everything here. Each cold start pays for each import.
    script = """
import importlib.util, os, sys
os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
from tests.support.events import LambdaContext, sample

def handler(name):
    spec = importlib.util.spec_from_file_location(name, f"functions/{name}/app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler

submit = handler("submit")
status = handler("status")
assert not [name for name in sys.modules if name.split(".")[0] == "jsonschema_rs"], "before a submit"
answers = [
    status({**sample("status"), "routeKey": "GET /api/v1/job-types"}, LambdaContext()),
    submit({**sample("submit"), "body": '{"jobType": "text.search", "input": {"query": 7}}'}, LambdaContext()),
]
assert [answer["statusCode"] for answer in answers] == [200, 400], answers
print(*sorted({name.split(".")[0] for name in sys.modules} & {"pydantic", "pydantic_core", "jobs", "pypdf", "asyncio"}))
late = {"limits.locks", "limits.admission", "limits.backlog", "tracking.reports", "tracking.worker_token", "http.tracked_routes", "http.webhook_routes", "push.delivery", "core.webhook",
        "push.tickets", "core.watch", "http.ticket_routes", "http.ticket_query_routes", "aws.dynamodb_tickets",
        "worker.executor", "worker.attempt", "worker.heartbeat"}
print(*sorted({f"asyncjobs.{name}" for name in late} & sys.modules.keys()))
assert all(importlib.util.find_spec(f"asyncjobs.{name}") for name in late), "a name in this list is out of date"
"""
    root = Path(__file__).parents[3]
    given = variables(
        dict.fromkeys(("AWS::StackName", "Table", "Bucket", "HighQueue", "Queue", "LowQueue", "DeliveryQueue"), "x")
    )
    path = f"{root / 'layers/asyncjobs'}:{root / 'layers/jobs'}:{root}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        env={"PYTHONPATH": path, **given, "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.returncode) == ([], 0), done.stderr


# ── Reading ────────────────────────────────────────────────────────────────────────────────────────


def test_catalog_round_trips(tmp_path: Path) -> None:
    types = {name: job_type(name, input_schema={"type": "object"}) for name in ("a.b", "c")}
    path = tmp_path / "catalog.json"
    path.write_text(to_json(Catalog(types)))
    read = Catalog.read(path)
    assert list(read) == list(types.values())
    assert read["c"] == types["c"]


def test_type_without_a_retention_has_that_of_the_deployment(tmp_path: Path) -> None:
    def keeps(_input: None, _context: JobContext) -> None:
        pass

    found = job_types_of(job("a", dedupe_seconds=3 * 24 * 3600)(keeps)) | job_types_of(job("b", retention_seconds=60)(keeps))
    path = tmp_path / "catalog.json"
    path.write_text(to_json(Catalog({**found, "c": tracked_job("c")})))
    read = Catalog.read(path, default_retention=timedelta(days=2))
    assert [(each.retention, each.dedupe) for each in read] == [
        (timedelta(days=2), timedelta(days=2)),
        (timedelta(minutes=1), timedelta(0)),
        (timedelta(minutes=5), timedelta(0)),
    ]
    assert [each.retention for each in Catalog.read(path)] == [timedelta(days=7), timedelta(minutes=1), timedelta(minutes=5)]


def test_lock_round_trips() -> None:
    lock = Exclusive("cache", scope="INPUT", policy="JOIN", limit=3)
    found = Catalog({"a": job_type("a", exclusive=lock)})
    entry = json.loads(to_json(found))["a"]
    assert entry["exclusive"] == {"name": "cache", "scope": "INPUT", "policy": "JOIN", "limit": 3}
    assert catalog._from_entry("a", entry) == found["a"]


def test_priority_round_trips() -> None:
    found = Catalog({"a": job_type("a", priority=Priority.LOW)})
    entry = json.loads(to_json(found))["a"]
    assert entry["priority"] == "low"
    assert catalog._from_entry("a", entry) == found["a"]


def test_tracked_type_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(to_json(Catalog({GENERIC: tracked_job(GENERIC)})))
    assert json.loads(path.read_text())[GENERIC]["tracked"] is True
    assert list(Catalog.read(path)) == [tracked_job(GENERIC)]


def test_unknown_name_is_an_unknown_job_type() -> None:
    with pytest.raises(UnknownJobType, match=r"'no\.such'"):
        Catalog({})["no.such"]


def test_missing_catalog_names_the_command_to_make_it(jobs_package: JobsPackage) -> None:
    jobs_package(one=JOB.format(name="a.b", function="f"))
    with pytest.raises(StaleCatalog, match="make catalog"):
        Catalog.read()


def test_missing_openapi_document_names_the_command_to_make_it(jobs_package: JobsPackage) -> None:
    jobs_package()
    with pytest.raises(StaleCatalog, match="make catalog"):
        document_text(OPENAPI)


def test_missing_jobs_package_means_a_missing_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "JOBS_PACKAGE", "jobs_that_are_nowhere")
    with pytest.raises(StaleCatalog, match="the jobs layer is missing"):
        Catalog.read()


def test_reading_runs_no_code_of_the_jobs_package(jobs_package: JobsPackage) -> None:
    package = jobs_package()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "catalog.json").write_text("{}")
    assert list(Catalog.read()) == []
