"""A finished job starts what a rule on the event bus says: the example of the documents, with the real stream and roles."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import jsonschema_rs
import pytest

from local.stack import LocalStack
from tests.support.deployed import LimitedDeployment
from tests.support.pace import SLOWNESS
from tests.template.source import ROOT

SECTION = (ROOT / "docs/notifications.md").read_text().partition("\n## EventBridge\n")[2].partition("\n## ")[0]
SUBMIT = {"jobType": "text.search", "input": {"query": "lock"}, "metadata": {"order": 7}}


def block(language: str) -> str:
    """Return the section's one code block in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def queue_url(stack: LocalStack) -> Iterator[str]:
    """Deploy the example; return the URL of its queue."""
    with closing(stack.session.client("cloudformation", endpoint_url=stack.endpoint_url)) as cloudformation:
        cloudformation.create_stack(StackName="finished", TemplateBody=block("yaml"))
        cloudformation.get_waiter("stack_create_complete").wait(StackName="finished", WaiterConfig={"Delay": 1})
        (described,) = cloudformation.describe_stacks(StackName="finished")["Stacks"]
        (output,) = described["Outputs"]
        yield output["OutputValue"]
        cloudformation.delete_stack(StackName="finished")


def received(stack: LocalStack, url: str, job_id: str) -> dict[str, Any]:
    """Wait for the event of this job."""
    deadline = time.monotonic() + 60 * SLOWNESS
    with closing(stack.session.client("sqs", endpoint_url=stack.endpoint_url)) as sqs:
        while time.monotonic() < deadline:
            for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MaxNumberOfMessages=10).get("Messages", []):
                event: dict[str, Any] = json.loads(message["Body"])
                if event["detail"]["asyncJobId"] == job_id:
                    return event
    raise AssertionError("no event")


def test_finished_job_is_an_event_in_the_queue_of_the_documents_rule(
    limited: LimitedDeployment, stack: LocalStack, queue_url: str
) -> None:
    owner = limited.api.caller("events")
    answer = owner.post("/jobs", json=SUBMIT)
    assert answer.status_code in {httpx.codes.OK, httpx.codes.ACCEPTED}, answer.text
    job = owner.wait_for(answer.json())
    event = received(stack, queue_url, job["asyncJobId"])
    assert (event["source"], event["detail-type"]) == ("asyncjobs", "asyncjobs.job.completed")
    detail = event["detail"]
    jsonschema_rs.validator_for(json.loads(block("json")), validate_formats=True).validate(detail)
    assert (detail["application"], detail["owner"], detail["metadata"]) == ("limited", owner.owner, {"order": 7})
    assert (detail["status"], detail["seq"], detail["at"]) == ("COMPLETED", job["seq"], job["endedAt"])
    assert owner.get(f"/{detail['link']}").json()["asyncJobId"] == job["asyncJobId"]
    assert "matchCount" not in json.dumps(event)
