"""The `webhooks` section of the OpenAPI document: the requests that this API makes to a receiver."""

from __future__ import annotations

from collections.abc import Mapping

from asyncjobs.codegen.components import CUSTOM, EVENT
from asyncjobs.core.webhook import EVENTS, TEST
from asyncjobs.http.schemas import STRING, TIME, URI_REFERENCE, UUID, Json, answer_object, described, header, ref
from asyncjobs.jobtypes.json_schema import nullable

_WHEN = {
    "job.created": "The job was accepted.",
    "job.started": "An attempt began.",
    "job.released": "An attempt failed, and another one may follow.",
    "job.completed": "The job ended with a result.",
    "job.failed": "The job ended without a result.",
    "job.cancelled": "The job was canceled.",
    "job.retried": "A job that failed or was canceled starts again.",
    "job.custom": "The job's code sent an event, with a name and data.",
}

WEBHOOK_SCHEMAS: Mapping[str, Json] = {
    "WebhookEvent": answer_object(
        "An event, as it is delivered to a webhook.",
        {
            "type": described("The event.", {"enum": list(EVENTS)}),
            "timestamp": described("When the event happened.", TIME),
            "data": answer_object(
                "The event and its job, never with its input. Deliveries may arrive in another order, and more than once.",
                {
                    "asyncJobId": UUID,
                    "jobType": STRING,
                    **EVENT,
                    "metadata": nullable(ref("Metadata")),
                    "link": described("The job's URL, relative to the API's base URL.", URI_REFERENCE),
                    "result": described(
                        "The result, if the webhook has `includeResult` and it has 1 KB at most.", ref("Result")
                    ),
                },
                optional=("result", *CUSTOM),
            ),
        },
    ),
    "WebhookTest": answer_object(
        "A test event.",
        {"type": {"const": TEST}, "timestamp": TIME, "data": answer_object("The webhook.", {"webhookId": UUID})},
    ),
}

_PARAMETERS = [
    {
        **header("webhook-id", "Identifies the event: the same on every try. Ignore one that you have handled.", UUID),
        "required": True,
    },
    {
        **header(
            "webhook-timestamp", "When this try was made, in seconds since 1970.", {"type": "string", "pattern": "^[0-9]+$"}
        ),
        "required": True,
    },
    {
        **header(
            "webhook-signature",
            "`v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64 (Standard Webhooks). While a secret is replaced, there are "
            "two, with a space between them.",
            STRING,
        ),
        "required": True,
    },
]


def webhooks() -> dict[str, Json]:
    """Return the request of each event."""
    found = {event: _request(event, _WHEN[event], "WebhookEvent") for event in EVENTS}
    return {**found, TEST: _request(TEST, "A test was requested.", "WebhookTest")}


def _request(event: str, summary: str, schema: str) -> Json:
    return {
        "post": {
            "operationId": "on" + "".join(part.capitalize() for part in event.split(".")),
            "summary": summary,
            "security": [],
            "parameters": _PARAMETERS,
            "requestBody": {"required": True, "content": {"application/json": {"schema": ref(schema)}}},
            "responses": {
                "2XX": {"description": "The delivery succeeded."},
                "410": {"description": "The webhook is disabled."},
                "default": {
                    "description": "The delivery failed, as it does by a redirect, by an answer after 15 s and without one. It is tried "
                    "again after a growing delay, or later if `Retry-After` says so.",
                },
            },
        }
    }
