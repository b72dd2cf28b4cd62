"""The operations on webhooks."""

from __future__ import annotations

from typing import Any

from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.errors import InvalidInput, WebhookNotFound, WebhooksOff
from asyncjobs.core.webhook import ENDS, EVENTS, MAX_JOB_TYPES, MAX_URL, DisabledReason, Webhook
from asyncjobs.http.answers import Answer, answer, no_content
from asyncjobs.http.api import Handlers
from asyncjobs.http.bodies import checked
from asyncjobs.http.job_answers import job_answer
from asyncjobs.http.operations import Operation, Success, handlers_by_route, operations_of
from asyncjobs.http.problems import invalid_request
from asyncjobs.http.render import job_body, job_path
from asyncjobs.http.request import Request, id_of
from asyncjobs.http.schemas import BOOLEAN, STRING, TIME, URI, UUID, Json, Schema, answer_object, described, ref
from asyncjobs.jobtypes.json_schema import nullable, nulls_left_out
from asyncjobs.service.webhooks import WebhookCommands, WebhookRequest

_EVENT: Json = {"enum": list(EVENTS)}

WEBHOOK_REQUEST = Schema(
    "WebhookRequest",
    nulls_left_out(
        {
            "type": "object",
            "description": "The webhook to create.",
            "additionalProperties": False,
            "required": ["url"],
            "properties": {
                "url": described("Where to deliver: https, at a public address.", {"type": "string", "maxLength": MAX_URL}),
                "events": described(
                    "The events to deliver. Without it, those that end a job.",
                    {"type": "array", "items": _EVENT, "minItems": 1, "maxItems": len(EVENTS), "uniqueItems": True},
                ),
                "jobTypes": described(
                    "Only events of jobs of these types. Without it, of all types.",
                    {
                        "type": "array",
                        "items": {"type": "string", "minLength": 1, "maxLength": 50},
                        "maxItems": MAX_JOB_TYPES,
                        "uniqueItems": True,
                    },
                ),
                "namedOnly": described("Only events of jobs that were submitted with this webhook's id.", BOOLEAN),
                "includeResult": described("Deliver a job's result with `job.completed`, up to 1 KB of JSON.", BOOLEAN),
            },
        }
    ),
)

WEBHOOK = Schema(
    "Webhook",
    answer_object(
        "A webhook.",
        {
            "webhookId": UUID,
            "url": URI,
            "events": {"type": "array", "items": STRING},
            "jobTypes": described("Empty for all types.", {"type": "array", "items": STRING}),
            "namedOnly": BOOLEAN,
            "includeResult": BOOLEAN,
            "createdAt": TIME,
            "failingSince": described("Since when no delivery has succeeded; null if the last one has.", nullable(TIME)),
            "disabledAt": described("Since when there are no deliveries.", nullable(TIME)),
            "disabledReason": described(
                "REFUSED: the receiver answered 410. FAILING: it failed for five days.",
                nullable({"enum": [each.value for each in DisabledReason]}),
            ),
            "previousSecretValidUntil": described("Until when deliveries have two signatures.", nullable(TIME)),
            "secret": described(
                "The secret that signs deliveries. Only answers that create or rotate it have it: store it now.", STRING
            ),
        },
        optional=("secret",),
    ),
)
WEBHOOKS_LIST = Schema(
    "Webhooks", answer_object("All your webhooks, oldest first.", {"webhooks": {"type": "array", "items": ref("Webhook")}})
)

_ERRORS = ("WEBHOOKS_OFF", "UNAVAILABLE")
_RATE = "SUBMIT_RATE_EXCEEDED"


def webhook_handlers(commands: WebhookCommands | None, clock: Clock) -> Handlers:
    """Return the handlers of the operations on webhooks. Without commands, the deployment has no webhooks."""
    return handlers_by_route(WebhookRoutes(commands, clock), WEBHOOKS)


class WebhookRoutes:
    """The operations on webhooks."""

    def __init__(self, commands: WebhookCommands | None, clock: Clock) -> None:
        self._given = commands
        self._clock = clock

    @Operation(
        "POST /webhooks",
        body=WEBHOOK_REQUEST,
        example={"url": "https://app.example.com/jobs/events", "events": ["job.completed", "job.failed"]},
        answers={201: Success("The webhook, with its secret.", WEBHOOK)},
        errors=("TOO_MANY_WEBHOOKS", _RATE, *_ERRORS),
    )
    def create_webhook(self, request: Request) -> Answer:
        """Create a webhook.

        Events of your jobs are delivered to its URL by POST, signed by Standard Webhooks. A delivery is tried ten times in three
        days. You may have ten webhooks.
        """
        owner, fields = request.owner, checked(WEBHOOK_REQUEST, request.json())
        commands = self._commands
        try:
            webhook = commands.create(
                owner,
                WebhookRequest(
                    url=fields["url"],
                    events=tuple(fields.get("events", ENDS)),
                    job_types=tuple(fields.get("jobTypes", ())),
                    named_only=fields.get("namedOnly", False),
                    with_result=fields.get("includeResult", False),
                ),
            )
        except InvalidInput as error:
            raise invalid_request(*error.problems) from error
        return answer(201, {**_body(webhook, self._clock), "secret": webhook.secret})

    @Operation("GET /webhooks", answers={200: Success("All your webhooks.", WEBHOOKS_LIST)}, errors=_ERRORS)
    def list_webhooks(self, request: Request) -> Answer:
        """List your webhooks."""
        return answer(200, {"webhooks": [_body(each, self._clock) for each in self._commands.own(request.owner)]})

    @Operation(
        "DELETE /webhooks/{webhookId}",
        answers={204: Success("The webhook is deleted.")},
        errors=("WEBHOOK_NOT_FOUND", *_ERRORS),
    )
    def delete_webhook(self, request: Request) -> Answer:
        """Delete a webhook.

        Deliveries that have not succeeded fail with `WEBHOOK_DELETED`.
        """
        self._commands.delete(request.owner, _webhook_id(request))
        return no_content()

    @Operation(
        "POST /webhooks/{webhookId}/rotate",
        answers={200: Success("The webhook, with its new secret.", WEBHOOK)},
        errors=("WEBHOOK_NOT_FOUND", *_ERRORS),
    )
    def rotate_webhook(self, request: Request) -> Answer:
        """Replace the secret of a webhook.

        For a day, deliveries have two signatures, by the new secret and by the previous one: change the receiver in that time.
        """
        webhook = self._commands.rotate(request.owner, _webhook_id(request))
        return answer(200, {**_body(webhook, self._clock), "secret": webhook.secret})

    @Operation(
        "POST /webhooks/{webhookId}/test",
        answers={
            202: Success("The delivery, which is a job.", "AsyncJob", always=("Location", "Retry-After"), links=("getJob",))
        },
        errors=("WEBHOOK_NOT_FOUND", _RATE, *_ERRORS),
    )
    def test_webhook(self, request: Request) -> Answer:
        """Deliver a test event to a webhook.

        The answer is the delivery: poll it as any job. It is tried once. If it succeeds, a disabled webhook is enabled again.
        """
        job = self._commands.test(request.owner, _webhook_id(request))
        return job_answer(202, job, job_body(job, request.base), self._clock(), {"location": job_path(job, request.base)})

    @property
    def _commands(self) -> WebhookCommands:
        if self._given is None:
            raise WebhooksOff
        return self._given


WEBHOOKS = operations_of(WebhookRoutes)


def _webhook_id(request: Request) -> str:
    return id_of(request.path_parameters.get("webhookId", ""), WebhookNotFound)


def _body(webhook: Webhook, clock: Clock) -> dict[str, Any]:
    """Return the webhook as its owner reads it, without its secret."""
    is_overlap = len(webhook.secrets(clock())) > 1
    return {
        "webhookId": webhook.webhook_id,
        "url": webhook.url,
        "events": list(webhook.events),
        "jobTypes": list(webhook.job_types),
        "namedOnly": webhook.named_only,
        "includeResult": webhook.with_result,
        "createdAt": rfc3339(webhook.created_at),
        "failingSince": webhook.failing_since and rfc3339(webhook.failing_since),
        "disabledAt": webhook.disabled_at and rfc3339(webhook.disabled_at),
        "disabledReason": webhook.disabled_reason,
        "previousSecretValidUntil": webhook.previous_until and rfc3339(webhook.previous_until) if is_overlap else None,
    }
