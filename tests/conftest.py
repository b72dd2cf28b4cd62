"""The real template with the tests' jobs, deployed by the real `sam deploy` on an engine of its own.

One stack serves all tests of deployed/operations and deployed/http.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from asyncjobs.worker.process_state import STATE
from local.stack import FOR_DEVELOPERS, LocalStack, Outputs
from tests.proof.crash import tree as trees
from tests.support.deployed import Api, Caller, LimitedDeployment, deploy_again
from tests.support.node import NEWER
from tests.support.pace import SLOWNESS

# The Node.js that `make test` installs, if it does, for every program that a test starts.
os.environ["PATH"] = os.pathsep.join([str(NEWER), os.environ["PATH"]])

TESTS = Path(__file__).parent
JOBS = {
    "sample_jobs": TESTS / "support/sample_jobs.py",
    "contract": TESTS / "deployed/http/jobs.py",
    "dialects_jobs": TESTS / "deployed/http/dialects/jobs.py",
}
DIALECTS = "daemon,entity,executor,polling,tracking"
ROUTES_OF_JOB_TYPES = "        # Routes of job types: one for each that a `@job` declares.\n"
# A busy machine must not fail a property.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

WORKERS = 8
"""More than the default: the tests' jobs mostly sleep, many at the same time."""
TOKEN_SECONDS = next(seconds for seconds in (2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60) if seconds >= min(60, 1.6 * SLOWNESS))
"""The seconds between two submits at the limited rate. Some tests submit faster than that, as fast as this machine can."""
LIMITS = {
    "SubmitRatePerMinute": str(60 // TOKEN_SECONDS),
    "SubmitBurst": "6",
    "MaxLiveJobsPerOwner": "12",
    "MaxBacklog": "40",
    "TellQueueDepth": "true",
    "Webhooks": "OFF",
}
EVENTS = {"EventBusName": "default"}


def pytest_configure() -> None:
    """Let Ctrl-C interrupt, also where a shell started the tests in the background and made them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    deployed = tuple(f"{TESTS}/deployed/{name}/" for name in ("operations", "http", "clients", "console"))
    for item in items:
        if str(item.path).startswith(deployed):
            item.add_marker("e2e")


@pytest.fixture(autouse=True)
def state_of_this_process() -> None:
    """Note what is to be restored after a job at each test's first job: tests change this process, too."""
    STATE._modules, STATE._is_behind = 0, False


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project and add two files of jobs and their routes, as a user does."""
    tree = tmp_path_factory.mktemp("project") / "tree"
    trees.copy(tree, jobs=JOBS)
    template = (tree / "template.yaml").read_text()
    assert template.count(ROUTES_OF_JOB_TYPES) == 1
    events = (TESTS / "deployed/http/routes.yaml").read_text()
    (tree / "template.yaml").write_text(template.replace(ROUTES_OF_JOB_TYPES, ROUTES_OF_JOB_TYPES + events))
    trees.generate(tree)
    return tree


@pytest.fixture(scope="session")
def stack(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tree, tmp_path_factory.mktemp("state")) as stack:
        stack.deploy({"StandardConcurrency": str(WORKERS), "Dialects": DIALECTS})
        yield stack


@pytest.fixture(scope="session")
def outputs(stack: LocalStack) -> Outputs:
    return stack.outputs


@pytest.fixture(scope="session")
def api(stack: LocalStack, outputs: Outputs) -> Iterator[Api]:
    with Api.of(stack, outputs) as api:
        yield api


@pytest.fixture(scope="session")
def limited(stack: LocalStack) -> Iterator[LimitedDeployment]:
    found = deploy_again(stack, "limited", {**FOR_DEVELOPERS, **LIMITS, **EVENTS})
    outputs = replace(
        stack.outputs,
        api_url=f"{stack.endpoint_url}/_aws/execute-api/{found['Api']}",
        table_name=found["Table"],
        queue_url=found["Queue"],
        user_pool_id=found["UserPool"],
        user_pool_client_id=found["UserPoolClient"],
    )
    with Api.of(stack, outputs) as api:
        yield LimitedDeployment(api, found["WorkerFunction"])


@pytest.fixture(scope="session")
def caller(api: Api) -> Callable[[str], Caller]:
    """Sign a user in, by name."""
    return api.caller


@pytest.fixture(scope="session")
def alice(api: Api) -> Caller:
    return api.caller("alice")


@pytest.fixture(scope="session")
def bob(api: Api) -> Caller:
    return api.caller("bob")


@pytest.fixture
def key() -> str:
    """Return an idempotency key that no other test uses."""
    return uuid.uuid4().hex
