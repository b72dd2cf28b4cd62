"""The AsyncAPI 3.0 document of the WebSocket API: made of the schemas by which its messages are checked.

`python -m asyncjobs.codegen` writes it beside the OpenAPI document, and the status function returns the file.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncjobs.codegen.components import CUSTOM, EVENT, SCHEMAS
from asyncjobs.codegen.openapi import VERSION
from asyncjobs.http.schemas import STRING, TIME, UUID, Json, answer_object, described, ref
from asyncjobs.http.socket_api import CODES, MESSAGES
from asyncjobs.jobtypes.json_schema import nullable

_INFO: Json = {
    "title": "asyncjobs: live changes of jobs",
    "version": VERSION,
    "description": (
        "Watch jobs over a WebSocket. `POST /tickets` of the HTTP API with `use` connect returns the URL, with a ticket that is "
        "valid once, within a minute. The connection ends at `connectionEndsAt`, 15 minutes later at most: connect again with a "
        "new ticket before that, then close the old connection.\n\n"
        "Send `ping` every 5 minutes: the gateway closes a connection that is idle for 10. A message may be lost, come twice or "
        "overtake another one. So each state of a job has a number, `seq`: drop states that are not newer than what you have, "
        "and read the job (or its events) if a `pong` has a higher number. Objects may get further members: ignore those that you "
        "do not use."
    ),
    "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
}
_ID = described("The `id` of the message that this answers, if it had one.", STRING)
_ENDS_AT = described("When the connection ends.", TIME)
_SEQS = described(
    "The `seq` of each watched job. A deleted job has none.",
    {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
)


def _answer(kind: str, description: str, properties: Mapping[str, Json], *, optional: tuple[str, ...] = ()) -> Json:
    return answer_object(description, {"type": {"const": kind}, **properties, "id": _ID}, optional=("id", *optional))


_SENT: Mapping[str, Json] = {
    "watching": _answer(
        "watching",
        "The job, or with `scope` all jobs of the owner, is watched from now on.",
        {
            "asyncJobId": UUID,
            "scope": {"const": "owner"},
            "snapshot": described(
                "The job as it is; null if its `seq` is `after`. Not with `scope`: get the list afterwards.",
                nullable(ref("State")),
            ),
            "endsAt": _ENDS_AT,
        },
        optional=("asyncJobId", "scope", "snapshot"),
    ),
    "unwatched": _answer(
        "unwatched",
        "The watch has ended.",
        {"asyncJobId": UUID, "scope": {"const": "owner"}},
        optional=("asyncJobId", "scope"),
    ),
    "pong": _answer("pong", "The connection is open.", {"seqs": _SEQS, "endsAt": _ENDS_AT}),
    "problem": _answer(
        "problem",
        f"The message had no effect. The codes are {', '.join(f'`{code}`' for code in CODES)}.",
        {"problem": ref("Problem")},
    ),
    "changes": answer_object(
        "The newest state of watched jobs that have changed, and before it each custom event: at most two messages a second.",
        {
            "type": {"const": "changes"},
            "changes": {"type": "array", "items": ref("Change")},
            "more": described("Whether further jobs have changed, for which the message has no room.", {"type": "boolean"}),
        },
    ),
}
"""The messages to clients, by their type."""

_REPLIES = {"watch": "watching", "unwatch": "unwatched", "ping": "pong"}
_SUMMARIES = {
    "watch": "Watch a job from a state on (`after`), or with `scope` all jobs of the ticket's owner",
    "unwatch": "End a watch",
    "ping": "Keep the connection open, and check what was missed",
}


def document() -> Json:
    """Return the document."""
    messages = {**{name: _SUMMARIES[name] for name in MESSAGES}, **{name: each["description"] for name, each in _SENT.items()}}
    return {
        "asyncapi": "3.0.0",
        "info": _INFO,
        "defaultContentType": "application/json",
        "servers": {
            "socket": {
                "host": "{api}",
                "pathname": "/v1",
                "protocol": "wss",
                "description": "`POST /tickets` returns its URL.",
                "variables": {"api": {"description": "The stack's output `SocketUrl` has it."}},
                "security": [{"$ref": "#/components/securitySchemes/ticket"}],
            }
        },
        "channels": {
            "jobs": {
                "address": "/",
                "description": "A connection. It has the ticket's jobs.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {
                    "ws": {"query": {"type": "object", "required": ["ticket"], "properties": {"ticket": {"type": "string"}}}}
                },
            }
        },
        "operations": {
            **{name: _operation(name, reply) for name, reply in _REPLIES.items()},
            "changes": {"action": "send", "channel": _CHANNEL, "messages": [_message_of("changes")]},
        },
        "components": {
            "messages": {
                name: {"name": name, "summary": summary, "payload": {"$ref": f"#/components/schemas/{name}"}}
                for name, summary in messages.items()
            },
            "schemas": {
                **MESSAGES,
                **_SENT,
                "State": answer_object("A state of a job: never its input or result.", EVENT, optional=CUSTOM),
                "Change": answer_object(
                    "A change of a job, and its state after it.", {"asyncJobId": UUID, **EVENT}, optional=CUSTOM
                ),
                **{name: SCHEMAS[name] for name in ("Status", "Problem", "InputProblem", "JobError")},
            },
            "securitySchemes": {"ticket": {"type": "httpApiKey", "name": "ticket", "in": "query"}},
        },
    }


_CHANNEL = {"$ref": "#/channels/jobs"}


def _operation(name: str, reply: str) -> Json:
    return {
        "action": "receive",
        "channel": _CHANNEL,
        "summary": _SUMMARIES[name],
        "messages": [_message_of(name)],
        "reply": {"channel": _CHANNEL, "messages": [_message_of(reply), _message_of("problem")]},
    }


def _message_of(name: str) -> Json:
    return {"$ref": f"#/channels/jobs/messages/{name}"}
