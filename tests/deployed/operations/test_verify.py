"""`make verify` against the local stack: each assumption holds there, or its line says why the stack cannot show it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from local.stack import LocalStack
from tests.support.deployed import Api, worker_paused
from tools import verify
from tools.verify import Deployment, Finding, Verdict

UNSEEN_LOCALLY = {
    "The issuer's keys are RSA keys with ids, and it answers in time",
    "A user's token changes no email address",
    "Time of a sweep with many due jobs",
    "The API writes its access log",
    "What a client gets when Lambda throttles a function",
    "S3 may write the access log of the bucket",
    "Lambda allows the worker's chain of lock hand-overs",
    "A problem's requestId is in the function's log",
    "Traces arrive in X-Ray",
    "The throttle of ApiRateLimit",
    "The surcharge for fair queues",
}


@pytest.fixture(scope="module")
def deployment(stack: LocalStack, api: Api) -> Iterator[Deployment]:
    outputs = api.outputs
    with verify.deployment_of(outputs.stack_name, stack.session, endpoint_url=outputs.endpoint_url) as deployment:
        yield deployment


def only(deployment: Deployment, assumption: str) -> Finding:
    (check,) = [each for each in verify.CHECKS if each[0] == assumption]
    (finding,) = verify.findings(deployment, [check])
    return finding


def test_every_assumption_holds_locally_or_its_line_says_why_it_is_unseen(deployment: Deployment) -> None:
    # Other tests put messages into the dead-letter queue: its check has a test of its own.
    checks = [each for each in verify.CHECKS if each[0] != "The dead-letter queue is empty"]
    found = list(verify.findings(deployment, checks))
    assert [str(finding) for finding in found if finding.verdict is Verdict.FAILS] == []
    assert {finding.assumption for finding in found if finding.verdict is Verdict.UNSEEN} == UNSEEN_LOCALLY


def test_message_in_the_dead_letter_queue_fails_its_line(deployment: Deployment, stack: LocalStack) -> None:
    with closing(stack.session.client("sqs", endpoint_url=stack.endpoint_url)) as queue:
        queue.send_message(QueueUrl=stack.outputs.dead_letter_queue_url, MessageBody="verify")
    assert only(deployment, "The dead-letter queue is empty").verdict is Verdict.FAILS


def test_disabled_mapping_fails_its_line(deployment: Deployment, stack: LocalStack) -> None:
    assumption = "Each queue and the table's stream invoke their function"
    with worker_paused(stack, stack.outputs.queue_url, worker_name=deployment.resources["WorkerFunction"]):
        assert only(deployment, assumption).verdict is Verdict.FAILS
    assert only(deployment, assumption).verdict is Verdict.HOLDS


def test_token_that_the_gateway_rejects_fails_the_lines_about_jobs(stack: LocalStack, api: Api) -> None:
    outputs = api.outputs
    with verify.deployment_of(outputs.stack_name, stack.session, endpoint_url=outputs.endpoint_url, token="bad") as deployment:
        assert only(deployment, "A worker runs a job, and its status is inline").verdict is Verdict.FAILS


def test_user_of_the_check_is_deleted_at_its_end(stack: LocalStack, api: Api) -> None:
    outputs = api.outputs

    def users() -> set[str]:
        with closing(stack.session.client("cognito-idp", endpoint_url=outputs.endpoint_url)) as pool:
            return {user["Username"] for user in pool.list_users(UserPoolId=outputs.user_pool_id or "")["Users"]}

    before = users()
    with verify.deployment_of(outputs.stack_name, stack.session, endpoint_url=outputs.endpoint_url):
        assert len(users() - before) == 1
    assert users() == before
