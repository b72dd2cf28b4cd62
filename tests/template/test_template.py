"""The template matches the code, and its numbers match each other: rules that no linter has."""

from __future__ import annotations

import ast
import functools
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from asyncjobs import log
from asyncjobs.aws import dynamodb_watchers
from asyncjobs.aws.dynamodb_audit import _key as audit_key
from asyncjobs.aws.dynamodb_bulk_parts import bulk_part_key
from asyncjobs.aws.dynamodb_events import _key as events_key
from asyncjobs.aws.dynamodb_history import history_key
from asyncjobs.aws.dynamodb_tickets import _key as ticket_key
from asyncjobs.aws.items import bucket_key, lock_key, to_dedupe_item, to_item, wait_slots_key, webhooks_key
from asyncjobs.aws.log_lines import NAMESPACE
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.core.job import (
    DEADLINE_EXCEEDED,
    DELIVERY,
    GRACE,
    MAX_ATTEMPTS_LIMIT,
    MAX_DEADLINE,
    MAX_QUEUE_DELAY,
    SWEEP_INTERVAL,
    WORKER_LOST,
    Priority,
    Result,
    Status,
)
from asyncjobs.core.message import DELIVERIES
from asyncjobs.core.placement import (
    MAX_RESULT,
    MAX_UPLOAD,
    UPLOADS,
    artifact_location,
    input_location,
    inputs_area,
    result_location,
)
from asyncjobs.core.watch import Topic
from asyncjobs.http.admin_routes import ADMIN
from asyncjobs.http.command_routes import COMMANDS, operations_of_job_type
from asyncjobs.http.dialects.api import ROUTE
from asyncjobs.http.event_routes import EVENTS
from asyncjobs.http.query_routes import QUERIES
from asyncjobs.http.ticket_query_routes import TICKET_QUERIES
from asyncjobs.http.ticket_routes import TICKETS
from asyncjobs.http.tracked_routes import TRACKED
from asyncjobs.http.webhook_routes import WEBHOOKS
from asyncjobs.jobtypes.built_in import BULK_ACTION_TYPE
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import DEFAULT_RETENTION, MAX_RETENTION, MAX_TIMEOUT
from asyncjobs.service.long_poll import MAX_WAIT
from asyncjobs.settings import Settings
from tests.conftest import ROUTES_OF_JOB_TYPES
from tests.support.factories import JOB_ID, NOW, new_job
from tests.support.stream import record_of
from tests.template.source import ROOT, deployed, resolved, resource, resources, template

FUNCTIONS = [
    *("SubmitFunction", "StatusFunction", "ConsoleFunction", "DialectsFunction", "AdminFunction"),
    *("WorkerFunction", "SweeperFunction", "StreamFunction", "SocketFunction"),
]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
QUEUES = {"HighQueue": "HighConcurrency", "Queue": "StandardConcurrency", "LowQueue": "LowConcurrency"}
"""The queue of each priority, and the parameter for the number of its concurrent jobs."""
READ = [*QUEUES, "DeliveryQueue"]
"""The queues that the worker reads."""
OPEN = {
    "GET /api/v1/health",
    "HEAD /api/v1/health",
    "GET /api/v1/openapi.json",
    "HEAD /api/v1/openapi.json",
    "GET /api/v1/asyncapi.json",
    "HEAD /api/v1/asyncapi.json",
    # It has a worker token, which the function checks: see tests/deployed/security.
    "PATCH /api/v1/jobs/{asyncJobId}/report",
    # So do these check a ticket.
    "GET /api/v1/tickets/jobs",
    "HEAD /api/v1/tickets/jobs",
    "GET /api/v1/tickets/jobs/{asyncJobId}",
    "HEAD /api/v1/tickets/jobs/{asyncJobId}",
    "GET /api/v1/tickets/jobs/{asyncJobId}/result",
    "HEAD /api/v1/tickets/jobs/{asyncJobId}/result",
    "GET /api/v1/tickets/jobs/{asyncJobId}/events",
    "HEAD /api/v1/tickets/jobs/{asyncJobId}/events",
    # The console's page and files, which show nothing of the stack.
    *("GET /console", "HEAD /console", "GET /console/{proxy+}", "HEAD /console/{proxy+}"),
}


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = resource(name)["Properties"]
    return found


def events(function: str, kind: str) -> list[dict[str, Any]]:
    """Return the properties of a function's events of a kind."""
    return [event["Properties"] for event in properties(function).get("Events", {}).values() if event["Type"] == kind]


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def chosen(value: Any, **conditions: bool) -> Any:
    """Return the value under these conditions; None for `AWS::NoValue`."""
    if isinstance(value, list):
        return [chosen(part, **conditions) for part in value]
    if not isinstance(value, dict):
        return value
    if value == ref("AWS::NoValue"):
        return None
    if "Fn::If" in value and value["Fn::If"][0] in conditions:
        condition, then, otherwise = value["Fn::If"]
        return chosen(then if conditions[condition] else otherwise, **conditions)
    return {name: chosen(part, **conditions) for name, part in value.items()}


def test_every_function_is_tested() -> None:
    assert list(resources("AWS::Serverless::Function")) == FUNCTIONS


# ── Routes ─────────────────────────────────────────────────────────────────────────────────────────


def deployed_routes() -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Yield each route of the API, its function, and its authorization."""
    # SAM makes the routes of a conditional function conditional, too.
    conditions = {"WithDialects": True, "WithAdmin": True, "WithConsole": True}
    paths = chosen(deployed()["Resources"]["Api"]["Properties"]["Body"]["paths"], **conditions)
    for path, methods in paths.items():
        for method, operation in methods.items():
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            yield f"{method.upper()} {path}", uri.split("${")[-1].split(".")[0], operation.get("security", [])


def handled_routes() -> dict[str, set[str]]:
    """Return the routes that each function handles: with each GET also HEAD."""
    own = [
        operation
        for type_ in Catalog.read(ROOT / "layers/jobs/jobs/catalog.json")
        for operation in operations_of_job_type(type_)
    ]
    operations = {
        "SubmitFunction": [*COMMANDS, *TRACKED, *TICKETS, *WEBHOOKS, *own],
        "StatusFunction": [*QUERIES, *EVENTS, *TICKET_QUERIES],
        "AdminFunction": [*ADMIN],
    }
    handled = {
        function: {route for each in found for route in (each.route_key, re.sub("^GET ", "HEAD ", each.route_key))}
        for function, found in operations.items()
    }
    return {
        **handled,
        "DialectsFunction": {f"{method} {ROUTE}" for method in METHODS},
        "ConsoleFunction": {f"{method} /console{more}" for method in ("GET", "HEAD") for more in ("", "/{proxy+}")},
    }


def test_gateway_sends_each_function_exactly_its_routes() -> None:
    sent: dict[str, set[str]] = {}
    for route, function, _ in deployed_routes():
        sent.setdefault(function, set()).add(route)
    assert sent == handled_routes()


def test_routes_of_job_types_have_one_place() -> None:
    # The deployed tests add the routes of their job types there.
    assert (ROOT / "template.yaml").read_text().count(ROUTES_OF_JOB_TYPES) == 1


def test_every_route_but_the_open_ones_needs_a_token_with_the_scope() -> None:
    # Only the scope distinguishes an access token from an ID token: see the HTTP API's JWT authorizer.
    security = {route: found for route, _, found in deployed_routes()}
    assert [security.pop(route) for route in OPEN] == [[{"NONE": []}]] * len(OPEN)
    assert security
    for found in security.values():
        ((required,),) = (alternative.values() for alternative in found)
        assert resolved(required) == ["asyncjobs/jobs", "aws.cognito.signin.user.admin", "-"]


def test_open_route_has_a_low_rate_unless_its_function_checks_a_token() -> None:
    settings = chosen(properties("Api")["RouteSettings"], WithConsole=True)
    checked = {route for route in OPEN if "/report" in route or "/tickets/" in route}
    assert settings.keys() == {route for route in OPEN if route not in checked}
    assert all(rate["ThrottlingRateLimit"] <= 50 for rate in settings.values())


def test_functions_are_reached_only_through_the_gateway() -> None:
    permissions = [
        found["Properties"] for found in deployed()["Resources"].values() if found["Type"] == "AWS::Lambda::Permission"
    ]
    assert permissions
    # But administration, which goes on by itself with an action on many jobs.
    without_source = [found for found in permissions if "SourceArn" not in found]
    assert [found["Principal"] for found in without_source] == [{"Fn::GetAtt": ["AdminRole", "Arn"]}]
    assert not [name for name in FUNCTIONS if "FunctionUrlConfig" in properties(name)]


def test_tokens_come_from_the_given_issuer_or_the_stacks_user_pool() -> None:
    configuration = properties("Api")["Auth"]["Authorizers"]["Jwt"]["JwtConfiguration"]
    issuer = configuration["issuer"]["Fn::If"]
    assert (issuer[0], issuer[2]) == ("OwnUserPool", ref("JwtIssuer"))
    assert issuer[1]["Fn::Sub"].endswith("/${UserPool}")
    assert template()["Conditions"]["OwnUserPool"] == {"Fn::Equals": [ref("JwtIssuer"), ""]}


def test_user_pool_has_the_cheapest_tier() -> None:
    assert properties("UserPool")["UserPoolTier"] == "LITE"


def test_sign_up_is_disabled() -> None:
    assert properties("UserPool")["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}


def test_cors_allows_every_method_and_needed_header() -> None:
    condition, cors, without = properties("Api")["CorsConfiguration"]["Fn::If"]
    assert (condition, without) == ("WithOrigins", ref("AWS::NoValue"))
    assert set(cors["AllowMethods"]) == {route.split()[0] for route, _, _ in deployed_routes()}
    assert set(cors["AllowHeaders"]) == {
        *("authorization", "content-type", "content-encoding", "idempotency-key", "if-none-match", "prefer"),
        *("traceparent", "tracestate", "baggage"),
    }
    assert set(cors["ExposeHeaders"]) == {
        "etag",
        "location",
        "retry-after",
        "idempotency-replayed",
        "preference-applied",
        "ratelimit",
        "ratelimit-policy",
        "x-request-id",
    }
    assert cors["AllowOrigins"] == {"Fn::Split": [",", ref("AllowedOrigins")]}


def test_no_origin_is_allowed_by_default() -> None:
    assert template()["Parameters"]["AllowedOrigins"]["Default"] == ""
    assert template()["Conditions"]["WithOrigins"] == {"Fn::Not": [{"Fn::Equals": [ref("AllowedOrigins"), ""]}]}


def test_transform_keeps_the_cors_configuration() -> None:
    cors = deployed()["Resources"]["Api"]["Properties"]["Body"]["x-amazon-apigateway-cors"]["Fn::If"][1]
    assert set(cors) == {"allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge"}


def test_api_is_throttled_and_has_an_access_log_without_tokens() -> None:
    api = properties("Api")
    assert {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= api["DefaultRouteSettings"].keys()
    assert api["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["ApiLog", "Arn"]}
    assert "authorization" not in api["AccessLogSettings"]["Format"].lower()


def test_access_log_has_no_part_of_a_url_that_may_have_a_ticket() -> None:
    # `$context.path`, `$context.requestUri` and the like would write the query down, `$context.protocol` and the route would not.
    named = set(re.findall(r"\$context\.([A-Za-z.]+)", properties("Api")["AccessLogSettings"]["Format"]))
    assert named == {
        *("requestId", "requestTime", "routeKey", "status", "identity.sourceIp", "responseLatency", "responseLength"),
        *("integrationErrorMessage", "authorizer.error"),
    }


def test_policies_of_functions_have_room_for_the_documented_number_of_own_routes() -> None:
    # SAM writes a statement into the function's own policy for each route, and cannot be kept from it.
    longest = max(len(route) for route, _, _ in deployed_routes())
    arn = "arn:aws:lambda:ap-southeast-2:123456789012:function:" + "x" * 64
    source = "arn:aws:execute-api:ap-southeast-2:123456789012:a1b2c3d4e5/*/" + "x" * longest
    statement = {
        "Sid": "x" * 100,
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": arn,
        "Condition": {"ArnLike": {"AWS:SourceArn": source}},
    }
    used = Counter(function for _, function, _ in deployed_routes())
    most = 20_480 // len(json.dumps(statement))
    assert max(used.values()) <= most
    # Own routes are those of job types, which the submit function answers: with each GET also HEAD.
    own = sum(
        len(type_.routes) + 2 * len(type_.synchronous_routes) for type_ in Catalog.read(ROOT / "layers/jobs/jobs/catalog.json")
    )
    room = most - (used["SubmitFunction"] - own)
    (documented,) = re.findall(r"about (\d+) routes of your own", (ROOT / "docs/operations.md").read_text())
    assert int(documented) <= room


@pytest.mark.parametrize("function", ["SubmitFunction", "StatusFunction", "DialectsFunction", "AdminFunction"])
def test_function_times_out_before_the_gateway(function: str) -> None:
    assert properties(function)["Timeout"] < 30


# ── Queues ─────────────────────────────────────────────────────────────────────────────────────────


def worker_events() -> dict[str, dict[str, Any]]:
    """Return the worker's event source mappings by their queue."""
    found = {event["Queue"]["Fn::GetAtt"][0]: event for event in events("WorkerFunction", "SQS")}
    assert found.keys() == QUEUES.keys()
    return found


def test_each_priority_has_its_own_queue_and_all_are_alike() -> None:
    urls = Settings(worker_urls()).queue_urls
    priorities: dict[str, str] = {Priority.HIGH: "HighQueue", Priority.STANDARD: "Queue", Priority.LOW: "LowQueue"}
    assert urls == priorities | {DELIVERIES: "DeliveryQueue"}
    assert {*urls.values()} == {*READ} == resources("AWS::SQS::Queue").keys() - {"DeadLetterQueue", "StreamFailuresQueue"}
    assert all(properties(name) == properties("Queue") for name in READ)


def test_deliveries_are_polled_like_jobs_and_only_with_webhooks() -> None:
    mapping: dict[str, Any] = resource("DeliveryMapping")
    like = events("WorkerFunction", "SQS")[0]
    assert mapping["Condition"] == "WithWebhooks"
    assert mapping["Properties"] == {
        "FunctionName": ref("WorkerFunction"),
        "EventSourceArn": {"Fn::GetAtt": ["DeliveryQueue", "Arn"]},
        **{name: like[name] for name in ("BatchSize", "FunctionResponseTypes")},
        "ScalingConfig": {"MaximumConcurrency": ref("WebhookConcurrency")},
    }
    concurrency = template()["Parameters"]["WebhookConcurrency"]
    assert (concurrency["Default"], concurrency["MinValue"], concurrency["MaxValue"]) == (2, 2, 1000)


def worker_urls() -> dict[str, str]:
    variables = properties("WorkerFunction")["Environment"]["Variables"]
    return {name: value["Ref"] for name, value in variables.items() if name.endswith("QUEUE_URL")}


@pytest.mark.parametrize(
    "function", ["SubmitFunction", "StatusFunction", "DialectsFunction", "AdminFunction", "SweeperFunction"]
)
def test_all_functions_receive_the_same_queues(function: str) -> None:
    assert (
        worker_urls().items()
        <= {
            name: value.get("Ref") if isinstance(value, dict) else value
            for name, value in properties(function)["Environment"]["Variables"].items()
        }.items()
    )


def test_each_queue_has_its_own_pollers() -> None:
    assert worker_events().keys() == QUEUES.keys()
    for queue, parameter in QUEUES.items():
        assert worker_events()[queue]["ScalingConfig"] == {"MaximumConcurrency": ref(parameter)}


def test_pollers_leave_concurrency_for_the_api_in_a_new_account() -> None:
    # A new account has 10 concurrent executions. A cap above that would be no bound.
    jobs = sum(template()["Parameters"][parameter]["Default"] for parameter in QUEUES.values())
    assert jobs + 3 <= 10


def test_longest_attempt_fits_into_the_workers_timeout() -> None:
    assert timedelta(seconds=properties("WorkerFunction")["Timeout"]) >= MAX_TIMEOUT + 2 * GRACE


def test_visibility_timeout_is_six_times_the_workers_timeout() -> None:
    for name, event in worker_events().items():
        window = event.get("MaximumBatchingWindowInSeconds", 0)
        assert properties(name)["VisibilityTimeout"] >= 6 * properties("WorkerFunction")["Timeout"] + window


def test_pollers_are_capped_and_the_worker_is_not() -> None:
    # A function with reserved concurrency throttles messages after their receive, which uses up their receives.
    for parameter in QUEUES.values():
        assert template()["Parameters"][parameter]["MinValue"] >= 2
    reserving = {name: value for name in FUNCTIONS if (value := properties(name).get("ReservedConcurrentExecutions"))}
    assert reserving == {
        f"{name}Function": {"Fn::If": [f"With{name}Concurrency", ref(f"{name}Concurrency"), ref("AWS::NoValue")]}
        for name in ("Submit", "Status")
    }


def test_waits_are_limited_by_default_and_end_before_the_gateways_timeout() -> None:
    longest, waits = (template()["Parameters"][name] for name in ("MaxWaitSeconds", "MaxWaitsPerOwner"))
    assert longest["MinValue"] == waits["MinValue"] == 0
    assert longest["Default"] == longest["MaxValue"] == MAX_WAIT.total_seconds()
    # Of a new account's 10 executions, one caller holds half at most.
    assert 1 <= waits["Default"] <= 5
    for name in ("SubmitFunction", "StatusFunction", "DialectsFunction"):
        variables = properties(name)["Environment"]["Variables"]
        assert variables["MAX_WAIT_SECONDS"] == ref("MaxWaitSeconds")
        assert variables["MAX_WAITS_PER_OWNER"] == ref("MaxWaitsPerOwner")


def test_slots_for_waits_fit_into_one_write_unit() -> None:
    item = {**wait_slots_key("a" * 128), **{f"s{slot}": {"N": "1767225600000"} for slot in range(50)}}
    assert template()["Parameters"]["MaxWaitsPerOwner"]["MaxValue"] == 50
    assert sum(len(name) + len(next(iter(value.values()))) for name, value in item.items()) < 1024 - len("recordExpiresAt") - 10


def test_worker_reports_partial_batch_failures() -> None:
    assert all(event["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for event in worker_events().values())


def test_batch_size_is_one_by_default() -> None:
    assert all(event["BatchSize"] == ref("WorkerBatchSize") for event in worker_events().values())
    assert template()["Parameters"]["WorkerBatchSize"]["Default"] == 1


def test_dead_letter_queue_receives_no_message_of_a_live_job() -> None:
    for name in READ:
        redrive = properties(name)["RedrivePolicy"]
        assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
        assert redrive["maxReceiveCount"] >= 2 * MAX_ATTEMPTS_LIMIT


def test_dead_letters_are_kept_longer_than_messages() -> None:
    # A message keeps its age when it moves.
    assert properties("DeadLetterQueue")["MessageRetentionPeriod"] > properties("Queue")["MessageRetentionPeriod"]


def test_message_is_kept_longer_than_the_longest_deadline() -> None:
    assert timedelta(seconds=properties("Queue")["MessageRetentionPeriod"]) > MAX_DEADLINE + MAX_QUEUE_DELAY


def test_no_function_reads_the_dead_letter_queue() -> None:
    read = [event["Queue"]["Fn::GetAtt"] for name in FUNCTIONS for event in events(name, "SQS")]
    assert sorted(read) == sorted([name, "Arn"] for name in QUEUES)


def test_sweeper_runs_as_often_as_the_leases_assume() -> None:
    (schedule,) = events("SweeperFunction", "Schedule")
    assert timedelta(minutes=1) == SWEEP_INTERVAL
    assert schedule["Schedule"] == "rate(1 minute)"
    assert properties("SweeperFunction")["Timeout"] <= SWEEP_INTERVAL.total_seconds()
    assert properties("SweeperFunction")["EventInvokeConfig"]["MaximumRetryAttempts"] == 0


# ── Stream ─────────────────────────────────────────────────────────────────────────────────────────


def stream_event(**conditions: bool) -> dict[str, Any]:
    """Return the mapping of the stream, by default without anything that follows each change."""
    (event,) = events("StreamFunction", "DynamoDB")
    found: dict[str, Any] = chosen(event, **{"EachChange": False, **conditions})
    return {**found, "FilterCriteria": {"Filters": [each for each in found["FilterCriteria"]["Filters"] if each]}}


def test_stream_function_receives_each_numbered_change_of_a_job_but_of_no_delivery() -> None:
    event = stream_event(EachChange=True, WithSocket=False)
    only_without, pattern = [json.loads(found["Pattern"]) for found in event["FilterCriteria"]["Filters"]]
    assert only_without["eventName"] == ["MODIFY"]
    assert pattern == {
        "dynamodb": {"NewImage": {"seq": {"N": [{"exists": True}]}, "jobType": {"S": [{"anything-but": [DELIVERY]}]}}}
    }
    assert event["MaximumBatchingWindowInSeconds"] == 1


def passes(record: dict[str, Any], **conditions: bool) -> bool:
    """Return whether the mapping's filter passes the record, by the rules of Lambda that the filter uses."""
    patterns = [json.loads(found["Pattern"]) for found in stream_event(**conditions)["FilterCriteria"]["Filters"] if found]
    return any(matches(record, pattern) for pattern in patterns)


def matches(value: Any, pattern: Any) -> bool:
    if isinstance(pattern, dict):
        return all(matches(value.get(name) if isinstance(value, dict) else None, part) for name, part in pattern.items())
    return any(
        value is not None and (value not in part["anything-but"] if "anything-but" in part else part == {"exists": True})
        if isinstance(part, dict)
        else value == part
        for part in pattern
    )


NEW = new_job()
RUNNING = NEW.claimed(by="w", now=NEW.created_at, lease_until=NEW.created_at)
ENDS = {
    Status.COMPLETED: RUNNING.completed(now=NEW.created_at, result=Result(text="1")),
    Status.FAILED: RUNNING.failed(now=NEW.created_at, error=DEADLINE_EXCEEDED),
    Status.CANCELLED: NEW.cancelled(now=NEW.created_at),
}


def test_stream_function_receives_only_completed_and_failed_jobs_if_nothing_follows_each_change() -> None:
    assert {status for status, job in ENDS.items() if passes(record_of(RUNNING, job))} == {Status.COMPLETED, Status.FAILED}
    assert {status for status, job in ENDS.items() if passes(record_of(NEW, job))} == {Status.COMPLETED, Status.FAILED}
    assert not passes(record_of(None, NEW))
    assert not passes(record_of(NEW, RUNNING))
    assert not passes(record_of(ENDS[Status.COMPLETED], ENDS[Status.COMPLETED]))


def test_stream_function_receives_each_change_of_a_job_if_something_follows_it() -> None:
    writes = [(None, NEW), (NEW, RUNNING), *((RUNNING, job) for job in ENDS.values())]
    assert all(passes(record_of(*jobs), EachChange=True) for jobs in writes)
    removed = record_of(RUNNING, RUNNING)
    del removed["dynamodb"]["NewImage"]
    assert not passes(removed, EachChange=True)


def test_stream_function_receives_no_item_of_another_kind() -> None:
    for name, key in KEYS.items():
        if name != "job":
            image = {"pk": {"S": key}, "seq": {"N": "1"}, "revision": {"N": "1"}}
            record = {"eventName": "MODIFY", "dynamodb": {"Keys": {"pk": {"S": key}}, "OldImage": image, "NewImage": image}}
            assert not passes(record, EachChange=True)


def test_job_of_an_earlier_release_counts_when_it_ends() -> None:
    ends = record_of(RUNNING, ENDS[Status.COMPLETED])
    del ends["dynamodb"]["NewImage"]["seq"]
    assert passes(ends, EachChange=True)


def test_stream_is_that_of_the_jobs_and_has_both_images() -> None:
    assert stream_event()["Stream"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
    assert properties("Table")["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"


def test_each_change_is_followed_without_delay_and_otherwise_batches_are_gathered() -> None:
    live, logged = (stream_event(EachChange=True, WithSocket=with_socket) for with_socket in (True, False))
    gathered = stream_event()
    windows = [event["MaximumBatchingWindowInSeconds"] for event in (live, logged, gathered)]
    assert windows == [0, 1, 60]
    assert (live["BatchSize"], gathered["BatchSize"]) == (100, 1000)
    # Durations are gathered in one of the two places.
    assert properties("StreamFunction")["Environment"]["Variables"]["HISTORY_PAUSE_SECONDS"] == {
        "Fn::If": ["EachChange", "60", "0"]
    }
    assert properties("StreamFunction")["Timeout"] >= 60


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, True),
        ({"WebSocket": "OFF"}, True),
        ({"EventLog": "OFF"}, True),
        ({"WebSocket": "OFF", "EventLog": "OFF"}, False),
        ({"WebSocket": "OFF", "EventLog": "OFF", "Webhooks": "ON"}, True),
        ({"WebSocket": "OFF", "EventLog": "OFF", "EventBusName": "default"}, True),
    ],
)
def test_each_change_is_followed_only_for_an_option(parameters: dict[str, str], expected: bool) -> None:
    assert resolved(template()["Conditions"]["EachChange"], parameters) is expected


def test_stream_function_reports_what_failed() -> None:
    assert stream_event()["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_changes_by_which_the_stream_function_dies_are_given_up_and_named_in_a_queue() -> None:
    event = stream_event()
    assert 10 <= event["MaximumRetryAttempts"] <= 100
    assert event["BisectBatchOnFunctionError"] is True
    assert event["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": {"Fn::GetAtt": ["StreamFailuresQueue", "Arn"]},
    }


def test_no_record_is_given_up_for_its_age() -> None:
    # A new mapping begins a day ago: an upgrade would otherwise report the records of that day, and fire the alarm.
    assert "MaximumRecordAgeInSeconds" not in stream_event()
    assert stream_event()["StartingPosition"] == "TRIM_HORIZON"


# ── Table ──────────────────────────────────────────────────────────────────────────────────────────


def test_time_to_live_uses_the_expiry_attribute() -> None:
    found = properties("Table")["TimeToLiveSpecification"]
    assert found == {"AttributeName": "recordExpiresAt", "Enabled": True}
    assert list(to_item(new_job())["recordExpiresAt"]) == ["N"]


def test_keys_are_those_of_a_new_job() -> None:
    table, item = properties("Table"), to_item(new_job())
    keys = [*table["KeySchema"], *(key for index in table["GlobalSecondaryIndexes"] for key in index["KeySchema"])]
    item |= to_item(new_job().counted().exclusively("1#lock"))
    # Only a failure has a place among the groups.
    item |= {
        name: value for name, value in to_item(new_job().failed(now=NOW, error=WORKER_LOST)).items() if name.startswith("group")
    }
    types = {found["AttributeName"]: found["AttributeType"] for found in table["AttributeDefinitions"]}
    assert {key["AttributeName"] for key in keys} == types.keys()
    assert {name: next(iter(item[name])) for name in types} == types


def test_indexes_are_those_of_the_store_and_hold_keys_only() -> None:
    # Keys do not change while a job runs: so an index is written when the job comes and goes, and not in between.
    indexes = properties("Table")["GlobalSecondaryIndexes"]
    asked = {
        node.value
        for module in ("aws/dynamodb_jobs", "aws/dynamodb_indexes")
        for node in ast.walk(source_of(module))
        if isinstance(node, ast.Constant) and node.value in {"byOwner", "due", "live", "waiting", "byGroup"}
    }
    assert {index["IndexName"] for index in indexes} == asked == {"byOwner", "due", "live", "waiting", "byGroup"}
    assert all(index["Projection"] == {"ProjectionType": "KEYS_ONLY"} for index in indexes)


def test_table_is_on_demand_with_recovery_and_a_stream() -> None:
    table = properties("Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert "ProvisionedThroughput" not in table
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


@pytest.mark.parametrize("name", ["Table", "Bucket"])
def test_table_and_bucket_outlive_a_deleted_stack(name: str) -> None:
    assert resource(name)["DeletionPolicy"] in {"Retain", "RetainExceptOnCreate"}
    assert resource(name)["UpdateReplacePolicy"] == "Retain"


# ── Bucket ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("days", template()["Parameters"]["MaxRetentionDays"]["AllowedValues"])
def test_object_lives_as_long_as_its_job(days: str) -> None:
    lifetime = timedelta(days=template()["Mappings"]["ObjectLifetime"][days]["Days"])
    # A result is kept from the job's end; an input until the end, which may be the longest delay and a deadline later.
    # The sweeper may end a job two rounds after its deadline.
    # An upload may be older than its job: a rule of a day applies at the midnight after it.
    assert lifetime >= timedelta(days=2) + MAX_DEADLINE + 2 * SWEEP_INTERVAL + timedelta(days=int(days))


def test_bucket_answers_a_browser_that_was_redirected() -> None:
    # It then sends the origin "null", which only a rule for all origins allows. The signed link protects the object.
    (rule,) = properties("Bucket")["CorsConfiguration"]["CorsRules"]
    assert (rule["AllowedOrigins"], set(rule["AllowedMethods"])) == (["*"], {"GET", "PUT"})


def test_sweep_has_a_whole_processor_and_a_throttled_one_is_not_made_up_for() -> None:
    assert properties("SweeperFunction")["MemorySize"] == 1769
    assert properties("SweeperFunction")["EventInvokeConfig"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}


def test_bucket_removes_objects_and_unfinished_uploads() -> None:
    rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" and "Prefix" not in rule and "Filter" not in rule for rule in rules)
    (of_uploads,) = (rule for rule in rules if "TagFilters" in rule)
    merged = {name: value for rule in rules if rule is not of_uploads for name, value in rule.items()}
    assert merged["ExpirationInDays"] == {"Fn::FindInMap": ["ObjectLifetime", ref("MaxRetentionDays"), "Days"]}
    assert merged["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert of_uploads["ExpirationInDays"] == 1


def test_bucket_removes_uploads_by_the_tag_that_their_links_have() -> None:
    (tag,) = next(
        found["TagFilters"] for found in properties("Bucket")["LifecycleConfiguration"]["Rules"] if "TagFilters" in found
    )
    client: Any = Session().create_client("s3", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    headers = S3Objects("bucket", client).upload_link("alice", "uploads/x", content_type="text/plain", size=1).headers
    assert headers["x-amz-tagging"] == f"{tag['Key']}={tag['Value']}"


def test_largest_upload_fits_into_one_put() -> None:
    parameter = template()["Parameters"]["MaxUploadMegabytes"]
    assert parameter["MaxValue"] * 1_000_000 <= MAX_UPLOAD
    assert parameter["Default"] == 100


def test_largest_result_fits_into_the_parts_of_one_upload() -> None:
    parameter = template()["Parameters"]["MaxResultMegabytes"]
    assert parameter["MaxValue"] * 1_000_000 <= 10_000 * 8 * 1024 * 1024
    assert parameter["Default"] * 1_000_000 == MAX_RESULT


def test_allowed_retention_is_that_of_the_code() -> None:
    parameter = template()["Parameters"]["MaxRetentionDays"]
    assert max(timedelta(days=int(days)) for days in parameter["AllowedValues"]) == MAX_RETENTION
    default = template()["Parameters"]["DefaultRetentionDays"]
    assert (timedelta(days=default["Default"]), timedelta(days=default["MaxValue"])) == (DEFAULT_RETENTION, MAX_RETENTION)


def test_bucket_is_private() -> None:
    bucket = properties("Bucket")
    assert bucket["PublicAccessBlockConfiguration"] == dict.fromkeys(
        ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"], True
    )
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert not {"WebsiteConfiguration", "AccessControl"} & bucket.keys()


@pytest.mark.parametrize(
    ("policy", "action", "covered"),
    [
        ("BucketPolicy", "s3:*", [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}]),
        (
            "QueuePolicy",
            "sqs:*",
            [{"Fn::GetAtt": [name, "Arn"]} for name in (*READ, "DeadLetterQueue", "StreamFailuresQueue")],
        ),
    ],
)
def test_only_encrypted_connections_are_allowed(policy: str, action: str, covered: list[Any]) -> None:
    (statement,) = properties(policy)["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", action)
    assert statement["Resource"] == covered
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_policies_are_attached_to_their_resources() -> None:
    assert properties("BucketPolicy")["Bucket"] == ref("Bucket")
    assert properties("QueuePolicy")["Queues"] == [ref(name) for name in (*READ, "DeadLetterQueue", "StreamFailuresQueue")]


@pytest.mark.parametrize("own_key", [False, True], ids=["AWS's key", "own key"])
def test_everything_at_rest_is_encrypted(own_key: bool) -> None:
    key = ref("KmsKeyArn") if own_key else None
    for name in (*READ, "DeadLetterQueue", "StreamFailuresQueue"):
        queue = chosen(properties(name), OwnKey=own_key)
        assert (queue["SqsManagedSseEnabled"], queue["KmsMasterKeyId"]) == ((None, key) if own_key else (True, None))
    (rule,) = chosen(properties("Bucket"), OwnKey=own_key)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == (
        {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if own_key else {"SSEAlgorithm": "AES256"}
    )
    assert all(
        chosen(found["Properties"], OwnKey=own_key)["KmsKeyId"] == key for found in resources("AWS::Logs::LogGroup").values()
    )


@pytest.mark.parametrize(
    ("origins", "is_accepted"),
    [
        ("", True),
        ("*", True),
        ("https://app.example.com", True),
        ("https://app.example.com,http://localhost:3000", True),
        ("https://a.example, https://b.example", False),
        ("https://a.example/", False),
        ("a.example", False),
        ("https://*.example", False),
        ("https://a.example,", False),
    ],
)
def test_origin_that_no_browser_sends_fails_the_deployment(origins: str, is_accepted: bool) -> None:
    pattern = template()["Parameters"]["AllowedOrigins"]["AllowedPattern"]
    assert (re.fullmatch(pattern, origins) is not None) == is_accepted


@pytest.mark.parametrize(
    ("issuer", "is_accepted"),
    [
        ("", True),
        ("https://issuer.example", True),
        ("https://issuer.example/", True),
        ("https://issuer.example/realms/one", True),
        ("http://127.0.0.1:8080", True),
        ("http://issuer.example", False),
        ("http://127.0.0.1.issuer.example", False),
        ("https://issuer.example ", False),
        ("issuer.example", False),
    ],
)
def test_issuer_without_tls_fails_the_deployment(issuer: str, is_accepted: bool) -> None:
    pattern = template()["Parameters"]["JwtIssuer"]["AllowedPattern"]
    assert (re.fullmatch(pattern, issuer) is not None) == is_accepted


def broken_rules(**given: str) -> list[str]:
    """Return the template's rules that these parameters break; all others have their defaults."""
    values = {name: str(parameter["Default"]) for name, parameter in template()["Parameters"].items()} | given
    return [
        name
        for name, rule in template()["Rules"].items()
        if _holds(rule["RuleCondition"], values) and not all(_holds(each["Assert"], values) for each in rule["Assertions"])
    ]


def _holds(expression: Any, values: dict[str, str]) -> Any:
    if not isinstance(expression, dict):
        return expression
    ((function, arguments),) = expression.items()
    if function == "Ref":
        return values[arguments]
    parts = [_holds(each, values) for each in arguments]
    match function:
        case "Fn::Equals":
            return parts[0] == parts[1]
        case "Fn::Not":
            return not parts[0]
        case "Fn::Or":
            return any(parts)
    raise NotImplementedError(function)


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        ({}, []),
        ({"JwtIssuer": "https://issuer.example", "JwtAudience": "app"}, []),
        ({"JwtIssuer": "https://issuer.example"}, ["IssuerHasAudience"]),
        ({"JwtIssuer": "https://issuer.example", "JwtAudience": ""}, ["IssuerHasAudience"]),
        ({"JwtAudience": "app"}, []),
        ({"DirectSignIn": "NONE"}, ["SomebodyCanSignIn"]),
        ({"DirectSignIn": "NONE", "SignInUrls": "https://app.example"}, []),
        ({"DirectSignIn": "NONE", "JwtIssuer": "https://issuer.example", "JwtAudience": "app"}, []),
        ({"MaxBacklog": "100"}, ["BacklogIsShared"]),
        ({"MaxBacklog": "100", "SubmitRatePerMinute": "10"}, []),
        ({"MaxBacklog": "100", "MaxLiveJobsPerOwner": "10"}, []),
    ],
)
def test_parameters_that_are_unsafe_together_fail_the_deployment(given: dict[str, str], broken: list[str]) -> None:
    assert broken_rules(**given) == broken


# ── Functions ──────────────────────────────────────────────────────────────────────────────────────


LIBRARY = ROOT / "layers" / "asyncjobs" / "asyncjobs"


@functools.cache
def source_of(module: str) -> ast.AST:
    return ast.parse((LIBRARY / f"{module}.py").read_text())


@functools.cache
def app(function: str) -> ast.AST:
    """Return the handler module of a function."""
    text: str = (ROOT / properties(function)["CodeUri"] / "app.py").read_text()
    return ast.parse(text)


def environment(function: str) -> set[str]:
    """Return the environment variables of a function."""
    everywhere = template()["Globals"]["Function"]["Environment"]["Variables"]
    own = properties(function).get("Environment", {}).get("Variables", {})
    return set(everywhere) | set(own)


def settings_variables() -> dict[str, set[str]]:
    """Return the environment variables of each setting."""
    return {
        setting.name: {
            str(node.args[0].value)
            for node in ast.walk(setting)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._read" and isinstance(node.args[0], ast.Constant)
        }
        for setting in class_of("settings", "Settings").body
        if isinstance(setting, ast.FunctionDef) and not setting.name.startswith("_")
    }


OF_THE_SDK = {"AWS_ENDPOINT_URL"}
"""Variables that botocore reads."""
OF_LAMBDA = {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION"}
"""Variables that Lambda gives each function."""


def test_functions_call_aws_unless_sam_local_sets_another_endpoint() -> None:
    assert template()["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] == ""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_has_exactly_the_variables_that_it_reads(function: str) -> None:
    asked = attributes_of(app(function), "settings")
    if "Admission" in {node.id for node in ast.walk(app(function)) if isinstance(node, ast.Name)}:
        asked |= attributes_of(source_of("limits/admission"), "settings")
    assert asked
    read = set().union(*(settings_variables()[name] for name in asked))
    unread = (
        {"TABLE_NAME"} if function == "ConsoleFunction" else set()
    )  # all functions are given it, and this one reads no table
    assert read - OF_LAMBDA == environment(function) - OF_THE_SDK - unread


def test_every_setting_is_read_by_a_function() -> None:
    given = set().union(*map(environment, FUNCTIONS)) - OF_THE_SDK
    assert set().union(*settings_variables().values()) == given | OF_LAMBDA


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_reads_all_its_settings_while_it_starts(function: str) -> None:
    # A missing variable then fails the first invocation, not the first one that happens to need it.
    deferred = [node for node in ast.walk(app(function)) if isinstance(node, ast.FunctionDef | ast.Lambda)]
    assert not [node for node in deferred if attributes_of(node, "settings")]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_handler_is_a_thin_module(function: str) -> None:
    text = (ROOT / properties(function)["CodeUri"] / "app.py").read_text()
    assert len([line for line in text.splitlines() if line.strip()]) < 130
    [handler] = [node for node in ast.walk(app(function)) if isinstance(node, ast.FunctionDef) and node.name == "handler"]
    assert len(handler.body) <= 3
    assert template()["Globals"]["Function"]["Handler"] == "app.handler"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_that_reads_the_catalog_has_the_jobs_layer(function: str) -> None:
    reads = "Catalog" in {node.id for node in ast.walk(app(function)) if isinstance(node, ast.Name)}
    layers = [layer["Ref"] for layer in properties(function)["Layers"]]
    assert layers == ["AsyncjobsLayer", *(["JobsLayer"] if reads else [])]


@pytest.mark.parametrize("name", ["AsyncjobsLayer", "JobsLayer"])
def test_layer_is_built_for_the_functions_runtime(name: str) -> None:
    assert template()["Globals"]["Function"]["Runtime"] == ref("PythonRuntime")
    assert properties(name)["CompatibleRuntimes"] == [ref("PythonRuntime")]
    assert resource(name)["Metadata"]["BuildArchitecture"] == ref("Architecture")
    assert template()["Globals"]["Function"]["Architectures"] == [ref("Architecture")]


# ── Permissions ────────────────────────────────────────────────────────────────────────────────────

ACTIONS = {
    "put_item": "dynamodb:PutItem",
    "get_item": "dynamodb:GetItem",
    "batch_get_item": "dynamodb:BatchGetItem",
    "update_item": "dynamodb:UpdateItem",
    "delete_item": "dynamodb:DeleteItem",
    "query": "dynamodb:Query",
    "send_message": "sqs:SendMessage",
    "send_message_batch": "sqs:SendMessage",
    "get_queue_attributes": "sqs:GetQueueAttributes",
    "change_message_visibility": "sqs:ChangeMessageVisibility",
    "receive_message": "sqs:ReceiveMessage",
    "delete_message_batch": "sqs:DeleteMessage",
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "get_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "delete_objects": "s3:DeleteObject",
    "delete_object": "s3:DeleteObject",
    "put_object_tagging": "s3:PutObjectTagging",
    "get_object_tagging": "s3:GetObjectTagging",
    "generate_presigned_url": "s3:GetObject",
    "post_to_connection": "execute-api:ManageConnections",
    "put_events": "events:PutEvents",
    "get_event_source_mapping": "lambda:GetEventSourceMapping",
    "update_event_source_mapping": "lambda:UpdateEventSourceMapping",
    "invoke": "lambda:InvokeFunction",
}
"""The permission for each client method."""

WITHOUT_CODE = {
    "AdminFunction": {"s3:ListBucket"},
    # Used by Lambda's pollers of the queue.
    "WorkerFunction": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
    # Used by Lambda's poller of the stream.
    "StreamFunction": {
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
        "sqs:SendMessage",
    },
}
"""Permissions without a call in the code. With `s3:ListBucket`, S3 answers 404 instead of 403 for a missing object."""

OPTIONAL = {
    "SubmitFunction": {"sqs:GetQueueAttributes"},
    "StatusFunction": {"sqs:GetQueueAttributes", "dynamodb:UpdateItem"},
    "WorkerFunction": {"dynamodb:PutItem", "s3:DeleteObject"},  # a job that deletes uploads brings its own permission
    "DialectsFunction": {"sqs:GetQueueAttributes"},
    "StreamFunction": {
        "dynamodb:BatchGetItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "execute-api:ManageConnections",
        "events:PutEvents",
        "sqs:SendMessage",
    },
}
"""Permissions that a function has only with an option."""

GIVEN_BY_OTHERS = {"AdminFunction": {"lambda:InvokeFunction"}}
"""Permissions that are in the policy of the resource, and not in the role: see `test_administration_may_invoke_only_itself`."""

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}

CLASSES = {
    # A quick job runs in the submit function.
    "SubmitFunction": [
        ("service/commands", "Commands"),
        ("service/submit", "SubmitPipeline"),
        ("service/sender", "Sender"),
        ("service/webhooks", "WebhookCommands"),
        ("push/tickets", "TicketIssuer"),
        ("limits/admission", "Admission"),
        ("limits/backlog", "Backlog"),
        ("limits/locks", "Locks"),
        ("limits/waits", "WaitSlots"),
        ("estimates/history", "CachedHistory"),
        ("worker/executor", "Executor"),
        ("worker/attempt", "Attempt"),
        ("worker/heartbeat", "Heartbeat"),
    ],
    "StatusFunction": [
        ("service/queries", "Queries"),
        ("limits/backlog", "Backlog"),
        ("limits/waits", "WaitSlots"),
        ("estimates/history", "CachedHistory"),
        ("service/event_feed", "EventFeed"),
    ],
    # The operations of both, and the contents of jobs.
    "DialectsFunction": [
        ("service/contents", "Contents"),
        ("service/queries", "Queries"),
        ("service/commands", "Commands"),
        ("service/submit", "SubmitPipeline"),
        ("service/sender", "Sender"),
        ("limits/admission", "Admission"),
        ("limits/backlog", "Backlog"),
        ("limits/locks", "Locks"),
        ("limits/waits", "WaitSlots"),
        ("estimates/history", "CachedHistory"),
        ("worker/executor", "Executor"),
        ("worker/attempt", "Attempt"),
        ("worker/heartbeat", "Heartbeat"),
    ],
    "WorkerFunction": [
        ("worker/sqs_batch", "BatchWorker"),
        ("limits/locks", "Locks"),
        ("worker/executor", "Executor"),
        ("worker/attempt", "Attempt"),
        ("worker/heartbeat", "Heartbeat"),
        ("push/delivery", "Deliverer"),
    ],
    "SweeperFunction": [("worker/sweeper", "_Run"), ("limits/locks", "Locks"), ("limits/backlog", "Backlog")],
    "StreamFunction": [
        ("push/durations", "DurationAggregator"),
        ("push/event_log", "EventLogWriter"),
        ("push/webhooks", "WebhookConsumer"),
        ("push/watchers", "WatcherPushes"),
        ("push/eventbridge", "EventBridgePublisher"),
    ],
    "SocketFunction": [("push/subscriptions", "Subscriptions")],
    "AdminFunction": [
        ("service/administration", "Administration"),
        ("service/bulk_actions", "BulkActions"),
        ("tracking/reports", "Reports"),
        ("service/dead_letters", "DeadLetterRedrive"),
        ("service/commands", "Commands"),
        ("service/sender", "Sender"),
        ("service/queries", "Queries"),
        ("service/event_feed", "EventFeed"),
        ("limits/locks", "Locks"),
    ],
    "ConsoleFunction": [],
}
"""The classes that a function runs, over the adapters."""

METHODS_RUN = {
    ("AdminFunction", "Commands"): {"cancel", "retry", "delete", "_remove", "_uploads_of"},
    ("AdminFunction", "Reports"): {"by_bulk_action", "_read", "_record"},
}
"""The methods of a class that a function runs, if not all."""

ADAPTERS = {
    "_store": ("aws/dynamodb_jobs", "DynamoStore"),
    "_history": ("aws/dynamodb_history", "DynamoHistory"),
    "_log": ("aws/dynamodb_events", "DynamoEventLog"),
    "_queue": ("aws/sqs", "SqsQueue"),
    "_objects": ("aws/s3", "S3Objects"),
    "_bus": ("aws/eventbridge", "EventBridgeBus"),
    "_webhooks": ("aws/dynamodb_webhooks", "DynamoWebhooks"),
    "_tickets": ("aws/dynamodb_tickets", "DynamoTickets"),
    "_watchers": ("aws/dynamodb_watchers", "DynamoWatchers"),
    "_connections": ("aws/websocket", "WebSocketConnections"),
    "_indexes": ("aws/dynamodb_indexes", "DynamoIndexes"),
    "_audit": ("aws/dynamodb_audit", "DynamoAuditLog"),
    "_parts": ("aws/dynamodb_bulk_parts", "DynamoBulkParts"),
    "_continuations": ("aws/lambda_continuations", "LambdaContinuations"),
    "_queues": ("aws/sqs_queue_depths", "SqsQueueDepths"),
    "_pollers": ("aws/lambda_pollers", "LambdaPollers"),
    "_letters": ("aws/sqs_dead_letters", "SqsDeadLetters"),
    "_histories": ("aws/dynamodb_type_histories", "DynamoTypeHistories"),
}

RESOURCES = {
    "SubmitFunction": {
        "dynamodb:PutItem": "Table",
        "dynamodb:GetItem": "Table",
        "dynamodb:UpdateItem": "Table",
        "dynamodb:DeleteItem": "Table",
        "dynamodb:BatchGetItem": "Table",
        "dynamodb:Query": "Table/index/waiting",
        "sqs:SendMessage": "HighQueue Queue LowQueue DeliveryQueue",
        "s3:GetObject": "Bucket/inputs/* Bucket/results/*",
        "s3:ListBucket": "Bucket",
        "s3:PutObject": "Bucket/inputs/* Bucket/results/*",
        "s3:PutObjectTagging": "Bucket/inputs/*/uploads/*",
        "s3:GetObjectTagging": "Bucket/inputs/*/uploads/*",
        "s3:AbortMultipartUpload": "Bucket/results/*",
        "s3:DeleteObject": "Bucket/inputs/* Bucket/results/*",
    },
    "StatusFunction": {
        "dynamodb:GetItem": "Table",
        "dynamodb:BatchGetItem": "Table",
        "dynamodb:Query": "Table/index/byOwner",
        "s3:GetObject": "Bucket/inputs/*.json Bucket/results/*",
    },
    "DialectsFunction": {
        "dynamodb:PutItem": "Table",
        "dynamodb:GetItem": "Table",
        "dynamodb:BatchGetItem": "Table",
        "dynamodb:UpdateItem": "Table",
        "dynamodb:DeleteItem": "Table",
        "dynamodb:Query": "Table/index/waiting Table/index/byOwner",
        "sqs:SendMessage": "HighQueue Queue LowQueue DeliveryQueue",
        "s3:GetObject": "Bucket/inputs/* Bucket/results/*",
        "s3:ListBucket": "Bucket",
        "s3:PutObject": "Bucket/inputs/* Bucket/results/*",
        "s3:PutObjectTagging": "Bucket/inputs/*/uploads/*",
        "s3:GetObjectTagging": "Bucket/inputs/*/uploads/*",
        "s3:AbortMultipartUpload": "Bucket/results/*",
        "s3:DeleteObject": "Bucket/inputs/* Bucket/results/*",
    },
    "AdminFunction": {
        "dynamodb:GetItem": "Table",
        "dynamodb:BatchGetItem": "Table",
        "dynamodb:UpdateItem": "Table",
        "dynamodb:DeleteItem": "Table",
        "dynamodb:PutItem": "Table",
        "dynamodb:Query": "Table/index/byOwner Table/index/due Table/index/waiting Table/index/byGroup",
        "sqs:SendMessage": "HighQueue Queue LowQueue DeliveryQueue",
        "sqs:GetQueueAttributes": "HighQueue Queue LowQueue DeliveryQueue DeadLetterQueue",
        **dict.fromkeys(("sqs:ReceiveMessage", "sqs:DeleteMessage"), "DeadLetterQueue"),
        **dict.fromkeys(
            ("lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"),
            "Mapping/WorkerFunctionHighQueue Mapping/WorkerFunctionQueue Mapping/WorkerFunctionLowQueue",
        ),
        "s3:GetObject": "Bucket/inputs/* Bucket/results/*",
        "s3:DeleteObject": "Bucket/inputs/* Bucket/results/*",
        "s3:GetObjectTagging": "Bucket/inputs/*/uploads/*",
        "s3:ListBucket": "Bucket",
    },
    "WorkerFunction": {
        "dynamodb:GetItem": "Table",
        "dynamodb:UpdateItem": "Table",
        "dynamodb:Query": "Table/index/waiting",
        "sqs:SendMessage": "HighQueue Queue LowQueue",
        "sqs:ReceiveMessage": "HighQueue Queue LowQueue",
        "sqs:DeleteMessage": "HighQueue Queue LowQueue",
        "sqs:GetQueueAttributes": "HighQueue Queue LowQueue",
        "sqs:ChangeMessageVisibility": "HighQueue Queue LowQueue",
        "s3:GetObject": "Bucket/inputs/*",
        "s3:ListBucket": "Bucket",
        "s3:PutObject": "Bucket/results/*",
        "s3:AbortMultipartUpload": "Bucket/results/*",
    },
    "SweeperFunction": {
        "dynamodb:GetItem": "Table",
        "dynamodb:BatchGetItem": "Table",
        "dynamodb:UpdateItem": "Table",
        "dynamodb:Query": "Table/index/due Table/index/waiting",
        "sqs:SendMessage": "HighQueue Queue LowQueue DeliveryQueue",
        "sqs:GetQueueAttributes": "HighQueue Queue LowQueue",
    },
    "StreamFunction": {
        "dynamodb:DescribeStream": "Table/stream",
        "dynamodb:GetRecords": "Table/stream",
        "dynamodb:GetShardIterator": "Table/stream",
        "dynamodb:ListStreams": "Table/stream",
        "sqs:SendMessage": "StreamFailuresQueue",
        "dynamodb:GetItem": "Table",
        "dynamodb:PutItem": "Table",
    },
    "ConsoleFunction": {},
    "SocketFunction": {
        "dynamodb:GetItem": "Table",
        "dynamodb:BatchGetItem": "Table",
        "dynamodb:PutItem": "Table",
        "dynamodb:UpdateItem": "Table",
        "dynamodb:DeleteItem": "Table",
    },
}


@functools.cache
def class_of(module: str, name: str) -> ast.ClassDef:
    return next(node for node in ast.walk(source_of(module)) if isinstance(node, ast.ClassDef) and node.name == name)


def attributes_of(node: ast.AST, name: str) -> set[str]:
    """Return every `x` of `name.x` in the code."""
    return {found.attr for found in ast.walk(node) if isinstance(found, ast.Attribute) and ast.unparse(found.value) == name}


@functools.cache
def client_calls(module: str, class_name: str, method: str) -> frozenset[str]:
    """Return the client methods that an adapter's method calls, directly or through its class."""
    methods = {node.name: node for node in class_of(module, class_name).body if isinstance(node, ast.FunctionDef)}
    todo, seen, calls = [method], set[str](), set[str]()
    while todo:
        name = todo.pop()
        seen.add(name)
        calls |= attributes_of(methods[name], "self._client")
        todo += (attributes_of(methods[name], "self") & methods.keys()) - seen
        if "_S3ResultWriter" in {node.id for node in ast.walk(methods[name]) if isinstance(node, ast.Name)}:
            calls |= attributes_of(class_of(module, "_S3ResultWriter"), "self._client")
    return frozenset(calls)


def nodes_of(function: str, place: tuple[str, str]) -> list[ast.AST]:
    """Return the parts of the class that the function runs."""
    found, methods = class_of(*place), METHODS_RUN.get((function, place[1]))
    return [found] if methods is None else [node for node in found.body if getattr(node, "name", None) in methods]


@functools.cache
def actions_in_code(function: str) -> frozenset[str]:
    """Return the actions that a function's code needs."""
    return frozenset(
        ACTIONS[call]
        for place in CLASSES[function]
        for adapter, (module, class_name) in ADAPTERS.items()
        for node in nodes_of(function, place)
        for method in attributes_of(node, f"self.{adapter}")
        for call in client_calls(module, class_name, method)
    )


def role(function: str) -> dict[str, Any]:
    name, attribute = properties(function)["Role"]["Fn::GetAtt"]
    assert attribute == "Arn"
    return properties(name)


OPTIONS = {
    **dict.fromkeys(
        (
            "WithEventLog",
            "WithWebhooks",
            "WithEventBus",
            "WithMaxWaits",
            "WithMaxLiveJobs",
            "WithMaxBacklog",
            "WithQueueDepth",
            "WithSocket",
            "Traced",
            "OwnKey",
        ),
        False,
    ),
}
"""The conditions of a role's optional statements, as they are without any option."""


def statements(function: str, **options: bool) -> list[dict[str, Any]]:
    """Return the statements of a function's role, without those of other options."""
    (policy,) = role(function)["Policies"]
    found = chosen(policy["PolicyDocument"]["Statement"], **OPTIONS | options)
    return [statement for statement in found if statement is not None]


def optional_statements(function: str, option: str) -> list[dict[str, Any]]:
    """Return the statements that a role has with this option only."""
    return [each for each in statements(function, **{option: True}) if each not in statements(function)]


def grants(function: str) -> list[tuple[str, str]]:
    """Return what a role allows without options, as pairs of an action and a resource."""
    pairs: list[tuple[str, str]] = []
    for statement in statements(function):
        assert statement["Effect"] == "Allow"
        assert "NotAction" not in statement
        pairs += itertools.product(listed(statement["Action"]), map(named, listed(statement["Resource"])))
    return pairs


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named(arn: dict[str, Any]) -> str:
    """Return the short name of a resource, such as `Bucket/inputs/*`."""
    if "Fn::Sub" in arn:
        mapping = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:event-source-mapping:${"
        if str(arn["Fn::Sub"]).startswith(mapping):
            return f"Mapping/{arn['Fn::Sub'].removeprefix(mapping).removesuffix('}')}"
        return str(arn["Fn::Sub"]).replace("${", "").replace(".Arn}", "")
    name, attribute = arn["Fn::GetAtt"]
    return f"{name}{ {'Arn': '', 'StreamArn': '/stream'}[attribute] }"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_permission_is_a_call_in_the_code_and_each_call_has_its_permission(function: str) -> None:
    allowed = {action for action, _ in grants(function)} - LOGS - WITHOUT_CODE.get(function, set())
    assert allowed | OPTIONAL.get(function, set()) | GIVEN_BY_OTHERS.get(function, set()) == actions_in_code(function)
    assert not allowed & OPTIONAL.get(function, set())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_permission_is_on_its_one_resource(function: str) -> None:
    log = properties(function)["LoggingConfig"]["LogGroup"]["Ref"]
    on = {**RESOURCES[function], **dict.fromkeys(LOGS, log)}
    assert sorted(grants(function)) == sorted((action, name) for action, names in on.items() for name in names.split())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_objects_of_one_area_have_a_wildcard(function: str) -> None:
    for action, name in grants(function):
        assert "*" not in action
        assert "*" not in re.sub(r"^Bucket/(inputs/\*(/uploads/\*|\.json)?|results/\*)$", "", name)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_adapter_is_made_for_a_role_that_may_or_may_not_list_the_bucket(function: str) -> None:
    made = [ast.unparse(node) for node in ast.walk(app(function)) if isinstance(node, ast.Call)]
    stores = [call for call in made if call.startswith("S3Objects(")]
    may_list = ("s3:ListBucket", "Bucket") in grants(function)
    assert stores == [f"S3Objects(settings.bucket_name{'' if may_list else ', may_list=False'})"] * len(stores)


def test_status_reads_inputs_and_results_and_no_uploads() -> None:
    patterns = [name.removeprefix("Bucket/") for action, name in grants("StatusFunction") if action == "s3:GetObject"]
    job, upload = new_job(), f"{inputs_area('alice')}{UPLOADS}{JOB_ID}"
    locations = [input_location(job), result_location(job, 1), artifact_location(job, 1, 1), upload]
    assert [any(fnmatch(each, pattern) for pattern in patterns) for each in locations] == [True, True, True, False]


KEYS = {
    "job": to_item(new_job())["pk"]["S"],
    "lock": lock_key("name")["pk"]["S"],
    "name": to_dedupe_item("alice", "name", "id", datetime.now(UTC))["pk"]["S"],
    "rate": bucket_key("alice")["pk"]["S"],
    "slots": wait_slots_key("alice")["pk"]["S"],
    "durations": history_key("text.search")["pk"]["S"],
    "ticket": ticket_key("0" * 32)["pk"]["S"],
    "webhooks": webhooks_key("alice")["pk"]["S"],
    "connection": dynamodb_watchers._connection_key("JKJaXcPLvHcCESA=")["pk"]["S"],
    "watchers": dynamodb_watchers._topic_key(Topic("alice").text)["pk"]["S"],
    "filter": dynamodb_watchers._FILTER_KEY["pk"]["S"],
    "events": events_key(new_job(), 0)["pk"]["S"],
    "audit": audit_key("0")["pk"]["S"],
    "part": bulk_part_key("0", 0)["pk"]["S"],
}
"""A key of each kind of item in the table."""

ITEMS = {
    "SubmitFunction": {
        "PutItem": {"job", "name", "ticket"},
        "GetItem": {"job", "lock", "durations"},
        "UpdateItem": {"job", "lock", "rate"},
        "DeleteItem": {"job"},
        "BatchGetItem": {"job"},
    },
    "StatusFunction": {"GetItem": {"job", "durations", "events", "ticket"}, "BatchGetItem": {"job"}},
    "DialectsFunction": {
        "PutItem": {"job", "name"},
        "GetItem": {"job", "lock", "durations"},
        "UpdateItem": {"job", "lock", "rate"},
        "DeleteItem": {"job"},
        "BatchGetItem": {"job"},
    },
    "AdminFunction": {
        "GetItem": {"job", "lock", "events", "part"},
        "BatchGetItem": {"job", "durations", "audit"},
        "UpdateItem": {"job", "lock"},
        "DeleteItem": {"job"},
        "PutItem": {"job", "audit", "part"},
    },
    "WorkerFunction": {"GetItem": {"job", "lock"}, "UpdateItem": {"job", "lock"}},
    "SweeperFunction": {"GetItem": {"job"}, "BatchGetItem": {"job"}, "UpdateItem": {"job"}},
    "StreamFunction": {"GetItem": {"durations"}, "PutItem": {"durations"}},
    "ConsoleFunction": {},
    "SocketFunction": {
        "GetItem": {"job", "connection", "filter"},
        "BatchGetItem": {"job"},
        "PutItem": {"connection"},
        "UpdateItem": {"connection", "watchers", "filter"},
        "DeleteItem": {"connection", "ticket"},
    },
}
"""The kinds of items that each function may touch, by action."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_reaches_only_the_kinds_of_items_that_its_code_uses(function: str) -> None:
    allowed: dict[str, set[str]] = {}
    for statement in statements(function):
        if statement["Resource"] == {"Fn::GetAtt": ["Table", "Arn"]}:
            patterns = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
            kinds = {kind for kind, key in KEYS.items() if any(fnmatch(key, pattern) for pattern in patterns)}
            assert len(kinds) == len(patterns)
            allowed |= {action.removeprefix("dynamodb:"): kinds for action in listed(statement["Action"])}
    assert allowed == ITEMS[function]


def test_event_log_lets_the_stream_function_write_and_delete_events() -> None:
    (statement,) = optional_statements("StreamFunction", "WithEventLog")
    assert statement["Action"] == ["dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    (pattern,) = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    assert [kind for kind, key in KEYS.items() if fnmatch(key, pattern)] == ["events"]


def test_event_bus_is_off_by_default_and_only_the_stream_function_may_use_it() -> None:
    assert template()["Parameters"]["EventBusName"]["Default"] == ""
    bus = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}"
    publish = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": {"Fn::Sub": bus}}
    assert {name: found for name in FUNCTIONS if (found := optional_statements(name, "WithEventBus"))} == {
        "StreamFunction": [publish]
    }


def test_event_log_is_on_by_default_and_its_values_are_text() -> None:
    # YAML 1.1 reads ON and OFF without quotes as booleans.
    assert template()["Parameters"]["EventLog"]["Default"] == "ON"
    assert template()["Parameters"]["EventLog"]["AllowedValues"] == ["ON", "OFF"]
    assert template()["Conditions"]["WithEventLog"] == {"Fn::Equals": [ref("EventLog"), "ON"]}
    for function in ("StatusFunction", "AdminFunction", "StreamFunction"):
        assert properties(function)["Environment"]["Variables"]["EVENT_LOG"] == ref("EventLog")


def test_status_only_reads() -> None:
    reading = ("Get", "BatchGet", "Query")
    actions = {action for action, _ in grants("StatusFunction")} - LOGS
    assert all(action.split(":")[1].startswith(reading) for action in actions)


def test_api_functions_write_slots_of_waiting_requests_if_they_are_limited_and_no_other_function_does() -> None:
    found = {name: optional_statements(name, "WithMaxWaits") for name in FUNCTIONS}
    (slots,) = found.pop("StatusFunction")
    assert found.pop("SubmitFunction") == found.pop("DialectsFunction") == [slots]
    assert not any(found.values())
    assert (slots["Action"], slots["Resource"]) == ("dynamodb:UpdateItem", {"Fn::GetAtt": ["Table", "Arn"]})
    (prefix,) = slots["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    assert [kind for kind, key in KEYS.items() if fnmatch(key, prefix)] == ["slots"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_has_its_own_role_and_log_group(function: str) -> None:
    others = [name for name in FUNCTIONS if name != function]
    assert properties(function)["Role"] not in [properties(other)["Role"] for other in others]
    log = properties(function)["LoggingConfig"]["LogGroup"]
    assert log not in [properties(other)["LoggingConfig"]["LogGroup"] for other in others]
    assert properties(log["Ref"])["RetentionInDays"] == ref("LogRetentionDays")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_role_is_only_for_lambda_and_has_no_managed_policy(function: str) -> None:
    (trust,) = role(function)["AssumeRolePolicyDocument"]["Statement"]
    assert trust == {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    assert "ManagedPolicyArns" not in role(function)
    assert "Policies" not in properties(function)


def test_role_holds_every_permission_so_that_a_function_waits_for_it() -> None:
    # A policy of its own is attached while the functions are updated: an option would be on before its permission.
    kinds = ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::RolePolicy")
    assert [name for kind in kinds for name in resources(kind)] == []


def test_optional_permissions_are_off_by_default() -> None:
    parameters = template()["Parameters"]
    assert parameters["KmsKeyArn"]["Default"] == ""
    assert parameters["Tracing"]["Default"] == "PassThrough"
    assert parameters["TellQueueDepth"]["Default"] == "false"
    assert {parameters[name]["Default"] for name in ("MaxLiveJobsPerOwner", "MaxBacklog")} == {0}


WRITES = {
    "dynamodb": {"kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"},
    "sqs": {"kms:GenerateDataKey"},
    "s3": {"kms:GenerateDataKey"},
    "lambda": set[str](),
}
"""What a service does with the key of a principal that writes, apart from decrypting."""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_role_uses_the_own_key_only_by_way_of_the_services_that_its_function_uses(function: str) -> None:
    calls = {action for action, _ in grants(function)}
    writes = {"dynamodb", *(service for service, call in (("sqs", "sqs:SendMessage"), ("s3", "s3:PutObject")) if call in calls)}
    used = {"lambda", *(action.split(":")[0] for action in calls - LOGS)}  # Lambda decrypts the environment
    found: dict[str, set[str]] = {}
    for statement in optional_statements(function, "OwnKey"):
        assert statement["Resource"] == ref("KmsKeyArn")
        service, region = statement["Condition"]["StringLike"]["kms:ViaService"]["Fn::Sub"].split(".", 1)
        assert region == "${AWS::Region}.amazonaws.com*"
        found[service] = set(listed(statement["Action"]))
    assert found == {service: {"kms:Decrypt", *(WRITES[service] if service in writes else ())} for service in used}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_tracing_has_a_wildcard(function: str) -> None:
    (trace,) = optional_statements(function, "Traced")
    assert trace["Resource"] == "*", "X-Ray has no finer resource"
    assert set(trace["Action"]) == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


LISTS = [
    each
    for each in optional_statements("SubmitFunction", "WithMaxBacklog")
    if each["Action"] in {"dynamodb:BatchGetItem", "dynamodb:Query"}
]
COUNTS_MESSAGES = {"Action": "sqs:GetQueueAttributes", "Resource": [{"Fn::GetAtt": [name, "Arn"]} for name in QUEUES]}


@pytest.mark.parametrize(
    ("option", "function", "statements"),
    [
        ("WithMaxLiveJobs", "Submit", [{"Action": "dynamodb:Query", "Resource": {"Fn::Sub": "${Table.Arn}/index/live"}}]),
        (
            "WithMaxBacklog",
            "Submit",
            [
                COUNTS_MESSAGES,
                {"Action": "dynamodb:Query", "Resource": {"Fn::Sub": "${Table.Arn}/index/byOwner"}},
            ],
        ),
        ("WithQueueDepth", "Status", [COUNTS_MESSAGES]),
        (
            "WithSocket",
            "Stream",
            [
                {
                    "Action": "dynamodb:BatchGetItem",
                    "Resource": {"Fn::GetAtt": ["Table", "Arn"]},
                    "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["F#*", "V#*"]}},
                },
                {
                    "Action": "dynamodb:UpdateItem",
                    "Resource": {"Fn::GetAtt": ["Table", "Arn"]},
                    "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["V#*"]}},
                },
                {
                    "Action": "execute-api:ManageConnections",
                    "Resource": {
                        "Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${SocketApi}/v1/POST/@connections/*"
                    },
                },
            ],
        ),
    ],
)
def test_option_allows_its_function_to_count_and_no_other(option: str, function: str, statements: list[Any]) -> None:
    for each in statements:
        assert not {(each["Action"], named(on)) for on in listed(each["Resource"])} & set(grants(f"{function}Function"))
    expected = {f"{function}Function": [{"Effect": "Allow", **each} for each in statements]}
    # The dialects function does what both do. It lists jobs in any case.
    found = {name: found for name in FUNCTIONS if (found := optional_statements(name, option))}
    assert found.pop("DialectsFunction", []) == [each for each in expected.get("SubmitFunction", []) if each not in LISTS]
    assert found == expected


def test_webhooks_allow_their_item_to_the_functions_that_use_it_and_their_queue_to_the_worker() -> None:
    item = {
        "Effect": "Allow",
        "Action": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "Resource": {"Fn::GetAtt": ["Table", "Arn"]},
        "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["H#*"]}},
    }
    poll = {
        "Effect": "Allow",
        "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"],
        "Resource": {"Fn::GetAtt": ["DeliveryQueue", "Arn"]},
    }
    assert {name: found for name in FUNCTIONS if (found := optional_statements(name, "WithWebhooks"))} == {
        "SubmitFunction": [item],
        "DialectsFunction": [{**item, "Action": "dynamodb:GetItem"}],
        "WorkerFunction": [poll, item],
        "StreamFunction": [
            {**item, "Action": "dynamodb:BatchGetItem"},
            {
                **item,
                "Action": "dynamodb:PutItem",
                "Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["J#*"]}},
            },
            {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["DeliveryQueue", "Arn"]}},
        ],
    }


def test_transform_adds_no_role() -> None:
    made = [name for name, found in deployed()["Resources"].items() if found["Type"] == "AWS::IAM::Role"]
    assert sorted(made) == sorted(resources("AWS::IAM::Role"))


# ── Recursive loops ────────────────────────────────────────────────────────────────────────────────
# Lambda stops a chain function -> queue -> the same function after 16 messages.


def test_worker_sends_to_its_own_queues_only_when_it_hands_a_lock_over() -> None:
    assert senders("WorkerFunction") == {"limits.locks"}


def test_loops_are_allowed_to_functions_that_send_to_queues_that_they_read_or_invoke_themselves() -> None:
    looping = {name for name in FUNCTIONS if (events(name, "SQS") and senders(name)) or "invoke" in calls_of(name)}
    assert looping == {name for name in FUNCTIONS if "RecursiveLoop" in properties(name)} == {"WorkerFunction", "AdminFunction"}
    assert {deployed()["Resources"][name]["Properties"]["RecursiveLoop"] for name in looping} == {"Allow"}


def test_administration_may_invoke_only_itself() -> None:
    # A statement of the role would name the function, which names the role.
    given = resources("AWS::Lambda::Permission")
    assert [found["Properties"] for found in given.values()] == [
        {
            "FunctionName": ref("AdminFunction"),
            "Action": "lambda:InvokeFunction",
            "Principal": {"Fn::GetAtt": ["AdminRole", "Arn"]},
        }
    ]
    assert {found["Condition"] for found in given.values()} == {"WithAdmin"}
    assert not any("lambda:InvokeFunction" in action for name in FUNCTIONS for action, _ in grants(name))


def test_invocation_of_administration_by_itself_is_repeated_while_its_action_may_go_on() -> None:
    config = properties("AdminFunction")["EventInvokeConfig"]
    assert config == {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 2}
    assert timedelta(seconds=config["MaximumEventAgeInSeconds"]) < BULK_ACTION_TYPE.deadline
    # An action on one job is begun only if it can end.
    (least,) = re.findall(r"^ENOUGH_MILLISECONDS = ([0-9_]+)$", (ROOT / "functions/admin/app.py").read_text(), re.MULTILINE)
    assert int(least) / 1000 <= properties("AdminFunction")["Timeout"] / 2


def calls_of(function: str) -> set[str]:
    """Return the client methods that the function's adapters call."""
    actions = actions_in_code(function)
    return {call for call, action in ACTIONS.items() if action in actions}


def senders(function: str) -> set[str]:
    """Return the library's modules that send messages, among those that a function imports."""
    trees = {"": app(function)}
    new = {""}
    while new:
        new = {name for tree in map(trees.__getitem__, new) for name in imported(tree)} - trees.keys()
        trees |= {name: source_of(name.replace(".", "/")) for name in new}
    sends = {"self._queue.send", "self._queue.send_all"}
    return {name for name, tree in trees.items() if sends & {ast.unparse(node.func) for node in calls(tree)}}


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def imported(tree: ast.AST) -> set[str]:
    """Return the library's modules that a module imports, wherever in it."""
    froms = [
        node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asyncjobs")
    ]
    names = {name for node in froms for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))}
    return {str(name).removeprefix("asyncjobs.") for name in names} & library_modules()


@functools.cache
def library_modules() -> frozenset[str]:
    return frozenset(".".join(file.relative_to(LIBRARY).with_suffix("").parts) for file in LIBRARY.rglob("*.py"))


def called(tree: ast.AST) -> set[str]:
    """Return the names of the methods that a module calls."""
    return {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}


# ── Alarms ─────────────────────────────────────────────────────────────────────────────────────────

ALARMS = resources("AWS::CloudWatch::Alarm")


@pytest.mark.parametrize("name", ALARMS)
def test_alarms_exist_only_with_a_recipient(name: str) -> None:
    conditions = {
        "DialectsErrorsAlarm": "WithDialectsAlarm",
        "AdminErrorsAlarm": "WithAdminAlarm",
        "ConsoleErrorsAlarm": "WithConsoleAlarm",
    }
    assert resource(name)["Condition"] == conditions.get(name, "WithAlarms")
    assert properties(name)["AlarmActions"] == [ref("AlarmTopicArn")]
    assert template()["Conditions"]["WithAlarms"] == {"Fn::Not": [{"Fn::Equals": [ref("AlarmTopicArn"), ""]}]}


def test_alarms_use_the_metric_names_of_the_code() -> None:
    written = {metric for metrics in log.METRICS.values() for metric in metrics}
    watched = [found["Properties"] for found in ALARMS.values() if found["Properties"].get("Namespace") == NAMESPACE]
    by_code = [found for found in watched if isinstance(found["MetricName"], str)]
    by_filter = [found for found in watched if not isinstance(found["MetricName"], str)]
    assert by_code
    assert {found["MetricName"] for found in by_code} <= written
    assert all(found["Dimensions"] == [{"Name": "application", "Value": ref("AWS::StackName")}] for found in by_code)
    (filtered,) = properties("WorkersLost")["MetricTransformations"]
    assert [found["MetricName"] for found in by_filter] == [filtered["MetricName"]]
    assert filtered["MetricNamespace"] == NAMESPACE


def test_lost_worker_filter_matches_its_log_line() -> None:
    assert properties("WorkersLost")["LogGroupName"] == properties("SweeperFunction")["LoggingConfig"]["LogGroup"]
    pattern = properties("WorkersLost")["FilterPattern"]
    assert pattern == f'{{ $.message = "JOB_FAILED" && $.errorCode = "{WORKER_LOST.code}" }}'


def test_queue_age_alarm_ignores_a_delay_and_a_dead_worker() -> None:
    alarms = {
        found["Properties"]["Dimensions"][0]["Value"]["Fn::GetAtt"][0]: found["Properties"]["Threshold"]
        for found in ALARMS.values()
        if found["Properties"].get("MetricName") == "ApproximateAgeOfOldestMessage"
    }
    assert alarms.keys() == QUEUES.keys()
    normal = MAX_QUEUE_DELAY.total_seconds() + max(properties(name)["VisibilityTimeout"] for name in QUEUES)
    assert normal < alarms["HighQueue"] < alarms["Queue"] < alarms["LowQueue"]


# ── Names and outputs ──────────────────────────────────────────────────────────────────────────────


def test_no_resource_has_a_physical_name() -> None:
    # Two stacks must fit into one account, and a resource must be replaceable.
    names = {
        "FunctionName",
        "TableName",
        "QueueName",
        "BucketName",
        "RoleName",
        "LogGroupName",
        "UserPoolName",
        "LayerName",
        "Name",
    }
    named = {
        f"{resource_name}.{name}": value
        for resource_name, found in template()["Resources"].items()
        for name, value in found.get("Properties", {}).items()
        if name in names and not (isinstance(value, dict) and "Ref" in value)
    }
    assert named == {}


def test_outputs_are_those_the_local_stack_reads() -> None:
    needed = {
        "ApiUrl",
        "ApiId",
        "TableName",
        "QueueUrl",
        "HighQueueUrl",
        "LowQueueUrl",
        "DeadLetterQueueUrl",
        "BucketName",
        "UserPoolId",
        "UserPoolClientId",
    }
    assert needed <= template()["Outputs"].keys()


def test_each_output_refers_to_a_resource() -> None:
    for name, output in template()["Outputs"].items():
        value = output["Value"]
        if name == "ConsoleUrl":
            assert output["Condition"] == resource("ConsoleFunction")["Condition"]
            continue
        target = value.get("Ref") or value.get("Fn::GetAtt", re.findall(r"\{(\w+)", str(value)))[0]
        assert output.get("Condition") == resource(target).get("Condition"), name


def test_every_referenced_path_exists() -> None:
    for name in [*FUNCTIONS, "AsyncjobsLayer", "JobsLayer"]:
        path = Path(properties(name).get("CodeUri") or properties(name)["ContentUri"])
        assert (ROOT / path).is_dir()
