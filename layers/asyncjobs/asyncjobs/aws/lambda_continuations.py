"""Asynchronous invocations of the administrators' function by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asyncjobs.aws import clients
from asyncjobs.core.administration import BulkTask
from asyncjobs.core.exact_json import write_json

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_TASK = "bulkAction"
"""The only member of such an event. No event of the gateway has it."""


class LambdaContinuations:
    """`Continuations` in Lambda: it keeps the event, and invokes the function again if that fails, twice."""

    def __init__(self, function_name: str, client: LambdaClient) -> None:
        self._function_name = function_name
        self._client = client

    def go_on(self, task: BulkTask) -> None:
        payload = write_json(event_of(task)).encode()
        with clients.unavailable("Lambda"):
            self._client.invoke(FunctionName=self._function_name, InvocationType="Event", Payload=payload)


def event_of(task: BulkTask) -> Mapping[str, Any]:
    """Return the event that has another invocation go on with the task."""
    fields = {
        "owner": task.owner,
        "asyncJobId": task.async_job_id,
        "requestId": task.request_id,
        "request": task.request,
        "part": task.part,
    }
    return {_TASK: fields}


def task_in(event: Mapping[str, Any]) -> BulkTask | None:
    """Return the task of such an event; None for an event of the gateway."""
    fields = event.get(_TASK)
    if fields is None:
        return None
    return BulkTask(
        owner=fields["owner"],
        async_job_id=fields["asyncJobId"],
        request_id=fields["requestId"],
        request=fields["request"],
        part=fields["part"],
    )
