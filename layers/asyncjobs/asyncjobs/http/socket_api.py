"""The WebSocket API: from an event of API Gateway to its answer. A message of a client is answered by one message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncjobs.core.clock import rfc3339
from asyncjobs.core.errors import InputProblem, InvalidInput
from asyncjobs.core.events import event_body
from asyncjobs.core.exact_json import write_json
from asyncjobs.http.api import logged_problem
from asyncjobs.http.problems import invalid_request
from asyncjobs.http.request import id_of
from asyncjobs.http.schemas import UUID, Json
from asyncjobs.http.strict_json import parse_json
from asyncjobs.jobtypes import json_schema
from asyncjobs.push.subscriptions import Subscriptions

_ID: Json = {"type": "string", "maxLength": 64}
_JOB_OR_ALL: Json = {"asyncJobId": UUID, "scope": {"enum": ["owner"]}}
_AFTER: Json = {"type": "integer", "minimum": 0}
MESSAGES: Mapping[str, Json] = {
    action: json_schema.nulls_left_out(
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["action"],
            "properties": {"action": {"const": action}, **properties, "id": _ID},
        }
    )
    for action, properties in {
        "watch": {**_JOB_OR_ALL, "after": _AFTER},
        "unwatch": _JOB_OR_ALL,
        "ping": {},
    }.items()
}
"""The messages of clients, by their action."""
CODES = (
    *("INVALID_JSON", "INVALID_REQUEST", "INVALID_TICKET", "JOB_NOT_FOUND"),
    *("TOO_MANY_WATCHES", "TOO_MANY_WATCHERS", "INTERNAL_ERROR", "UNAVAILABLE"),
)
"""The codes of the problems by which messages are answered."""
_ANY_MESSAGE: Json = {"type": "object", "required": ["action"], "properties": {"action": {"enum": [*MESSAGES]}}}


class SocketApi:
    """Answers the events of connections."""

    def __init__(self, subscriptions: Subscriptions | None) -> None:
        """Make the API. Without subscriptions it refuses every connection."""
        self._subscriptions = subscriptions

    def handle(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an event. Only the body of the answer to a message reaches the client."""
        context = event["requestContext"]
        if self._subscriptions is None:
            return {"statusCode": 403}
        kind = context["eventType"].lower()
        if kind == "message":
            reply = self._reply(self._subscriptions, context["connectionId"], event.get("body") or "", context["requestId"])
            return {"statusCode": 200, "body": write_json(reply)}
        try:
            if kind == "connect":
                ticket = (event.get("queryStringParameters") or {}).get("ticket", "")
                self._subscriptions.connect(context["connectionId"], ticket)
            else:
                self._subscriptions.disconnect(context["connectionId"])
        except Exception as error:  # noqa: BLE001 - a bug, too, refuses the connection without a traceback of Lambda's
            return {"statusCode": logged_problem(context["routeKey"], error).status}
        return {"statusCode": 200}

    def _reply(self, subscriptions: Subscriptions, connection_id: str, body: str, request_id: str) -> Json:
        message: Json = {}
        try:
            message = _message(body)
            reply = _ANSWERS[message["action"]](subscriptions, connection_id, message)
        except Exception as error:  # noqa: BLE001 - see `Api`
            problem = logged_problem(f"socket {message.get('action', '')}".strip(), error)
            reply = {"type": "problem", "problem": {**problem.body, "requestId": request_id}}
        return {**reply, "id": message["id"]} if "id" in message else reply


def _message(body: str) -> Json:
    """Return the message without its nulls. Raise a `Problem` for anything but a message of the API."""
    found = parse_json(body.encode())
    try:
        json_schema.check(_ANY_MESSAGE, found)
        json_schema.check(MESSAGES[found["action"]], found)
    except InvalidInput as error:
        raise invalid_request(*error.problems) from error
    message = json_schema.without_nulls(found)
    if message["action"] != "ping" and ("asyncJobId" in message) == ("scope" in message):
        raise invalid_request(InputProblem("/asyncJobId", "is required, or `scope`, and not both"))
    if "after" in message and "scope" in message:
        raise invalid_request(InputProblem("/after", "cannot be combined with `scope`"))
    return message


def _watch(subscriptions: Subscriptions, connection_id: str, message: Json) -> Json:
    if "scope" in message:
        found = subscriptions.watch_owner(connection_id)
        return {"type": "watching", "scope": "owner", "endsAt": rfc3339(found.ends_at)}
    async_job_id = id_of(message["asyncJobId"])
    found = subscriptions.watch_job(connection_id, async_job_id, int(message.get("after", 0)))
    snapshot = None if found.snapshot is None else event_body(found.snapshot)
    return {"type": "watching", "asyncJobId": async_job_id, "snapshot": snapshot, "endsAt": rfc3339(found.ends_at)}


def _unwatch(subscriptions: Subscriptions, connection_id: str, message: Json) -> Json:
    if "scope" in message:
        subscriptions.unwatch_owner(connection_id)
        return {"type": "unwatched", "scope": "owner"}
    async_job_id = id_of(message["asyncJobId"])
    subscriptions.unwatch_job(connection_id, async_job_id)
    return {"type": "unwatched", "asyncJobId": async_job_id}


def _ping(subscriptions: Subscriptions, connection_id: str, _message: Json) -> Json:
    seen = subscriptions.ping(connection_id)
    return {"type": "pong", "seqs": dict(seen.seqs), "endsAt": rfc3339(seen.ends_at)}


_ANSWERS = {"watch": _watch, "unwatch": _unwatch, "ping": _ping}
