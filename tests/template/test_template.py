"""What the template must promise and no linter knows: that it fits the code, and that its numbers fit each other."""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from asyncjobs import log
from asyncjobs.aws.dynamodb_history import _key as history_key
from asyncjobs.aws.items import to_item
from asyncjobs.core.job import (
    GRACE,
    MAX_ATTEMPTS_LIMIT,
    MAX_DEADLINE,
    MAX_QUEUE_DELAY,
    SWEEP_INTERVAL,
    WORKER_LOST,
    Priority,
    Status,
)
from asyncjobs.http.handlers import Api, commands_api, queries_api
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import MAX_RETENTION, MAX_TIMEOUT
from asyncjobs.settings import Settings
from tests.support.factories import new_job
from tests.template.source import ROOT, deployed, resource, resources, template

FUNCTIONS = ["SubmitFunction", "StatusFunction", "WorkerFunction", "SweeperFunction", "LearnerFunction"]
QUEUES = {"HighQueue": "HighConcurrency", "Queue": "StandardConcurrency", "LowQueue": "LowConcurrency"}
"""The queue of each priority, and the parameter that says how many of its jobs run at the same time."""
OPEN = {
    "GET /api/v1/health",
    "GET /api/v1/openapi.json",
    # Its token is one of ours: tests/deployed/security has what becomes of any other.
    "PATCH /api/v1/jobs/{asyncJobId}/report",
}


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = resource(name)["Properties"]
    return found


def events(function: str, kind: str) -> list[dict[str, Any]]:
    """The properties of a function's events of a kind."""
    return [event["Properties"] for event in properties(function).get("Events", {}).values() if event["Type"] == kind]


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def chosen(value: Any, **conditions: bool) -> Any:
    """The value as it is when the conditions hold or do not; None for `AWS::NoValue`."""
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


def test_these_tests_know_every_function() -> None:
    assert list(resources("AWS::Serverless::Function")) == FUNCTIONS


# ── Routes ─────────────────────────────────────────────────────────────────────────────────────────


def deployed_routes() -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Each route of the API, the function that answers it, and what a caller must have."""
    for path, methods in deployed()["Resources"]["Api"]["Properties"]["Body"]["paths"].items():
        for method, operation in methods.items():
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            yield f"{method.upper()} {path}", uri.split("${")[-1].split(".")[0], operation.get("security", [])


def api_of(function: str) -> Api:
    unused: Any = None
    if function == "SubmitFunction":
        catalog = Catalog.read(ROOT / "layers/jobs/jobs/catalog.json")
        return commands_api(unused, clock=unused, max_retention=timedelta(days=30), job_types=catalog)
    return queries_api(unused, clock=unused)


@pytest.mark.parametrize("function", ["SubmitFunction", "StatusFunction"])
def test_the_gateway_sends_each_function_exactly_the_routes_it_answers(function: str) -> None:
    assert {route for route, answers, _ in deployed_routes() if answers == function} == set(api_of(function)._routes)


def test_no_route_leads_to_a_function_that_answers_none() -> None:
    assert {answers for _, answers, _ in deployed_routes()} == {"SubmitFunction", "StatusFunction"}


def test_every_route_but_the_open_ones_needs_a_token_with_the_scope() -> None:
    # The scope is what tells an access token from an ID token: docs of the HTTP API's JWT authorizer.
    security = {route: found for route, _, found in deployed_routes()}
    assert [security.pop(route) for route in OPEN] == [[{"NONE": []}]] * len(OPEN)
    assert security
    assert all(found == [{"Jwt": [ref("JwtScope")]}] for found in security.values())
    assert template()["Parameters"]["JwtScope"]["MinLength"] >= 1


def test_the_api_is_reached_only_through_the_gateway() -> None:
    permissions = [
        found["Properties"] for found in deployed()["Resources"].values() if found["Type"] == "AWS::Lambda::Permission"
    ]
    assert permissions
    assert all(found["SourceArn"] for found in permissions)
    assert not [name for name in FUNCTIONS if "FunctionUrlConfig" in properties(name)]


def test_tokens_are_of_the_given_issuer_or_of_the_stacks_own_users() -> None:
    configuration = properties("Api")["Auth"]["Authorizers"]["Jwt"]["JwtConfiguration"]
    issuer, audience = configuration["issuer"]["Fn::If"], configuration["audience"]["Fn::If"]
    assert issuer[0] == audience[0] == "OwnUserPool"
    assert (issuer[2], audience[1:]) == (ref("JwtIssuer"), [[ref("UserPoolClient")], ref("JwtAudience")])
    assert issuer[1]["Fn::Sub"].endswith("/${UserPool}")
    assert template()["Conditions"]["OwnUserPool"] == {"Fn::Equals": [ref("JwtIssuer"), ""]}


def test_nobody_signs_up_by_himself() -> None:
    assert properties("UserPool")["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}


def test_a_browser_may_call_what_there_is_and_see_what_it_needs() -> None:
    condition, cors, without = properties("Api")["CorsConfiguration"]["Fn::If"]
    assert (condition, without) == ("WithOrigins", ref("AWS::NoValue"))
    assert set(cors["AllowMethods"]) == {route.split()[0] for route, _, _ in deployed_routes()}
    assert set(cors["AllowHeaders"]) == {"authorization", "content-type", "idempotency-key", "if-none-match", "prefer"}
    assert set(cors["ExposeHeaders"]) == {
        "etag",
        "location",
        "retry-after",
        "idempotency-replayed",
        "preference-applied",
        "ratelimit",
        "ratelimit-policy",
    }
    assert cors["AllowOrigins"] == {"Fn::Split": [",", ref("AllowedOrigins")]}
    assert "*" not in template()["Parameters"]["AllowedOrigins"]["Default"]


def test_the_transform_leaves_nothing_out_of_what_a_browser_may_do() -> None:
    cors = deployed()["Resources"]["Api"]["Properties"]["Body"]["x-amazon-apigateway-cors"]["Fn::If"][1]
    assert set(cors) == {"allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge"}


def test_the_api_is_throttled_and_keeps_an_access_log_without_tokens() -> None:
    api = properties("Api")
    assert {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= api["DefaultRouteSettings"].keys()
    assert api["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["ApiLog", "Arn"]}
    assert "authorization" not in api["AccessLogSettings"]["Format"].lower()


@pytest.mark.parametrize("function", ["SubmitFunction", "StatusFunction"])
def test_our_own_answer_comes_before_the_gateway_gives_up(function: str) -> None:
    assert properties(function)["Timeout"] < 30


# ── Queues ─────────────────────────────────────────────────────────────────────────────────────────


def worker_events() -> dict[str, dict[str, Any]]:
    """The worker's mappings, by the queue that each reads."""
    return {event["Queue"]["Fn::GetAtt"][0]: event for event in events("WorkerFunction", "SQS")}


def test_each_priority_has_a_queue_of_its_own_and_all_are_alike() -> None:
    urls = Settings.from_environment({**dict.fromkeys(["APPLICATION", "TABLE_NAME"], "x"), **worker_urls()}).queue_urls
    assert urls == {Priority.HIGH: "HighQueue", Priority.STANDARD: "Queue", Priority.LOW: "LowQueue"}
    assert {*urls.values()} == QUEUES.keys() == resources("AWS::SQS::Queue").keys() - {"DeadLetterQueue"}
    assert all(properties(name) == properties("Queue") for name in QUEUES)


def worker_urls() -> dict[str, str]:
    variables = properties("WorkerFunction")["Environment"]["Variables"]
    return {name: value["Ref"] for name, value in variables.items() if name.endswith("QUEUE_URL")}


@pytest.mark.parametrize("function", ["SubmitFunction", "StatusFunction", "SweeperFunction"])
def test_all_functions_agree_on_which_queue_is_which(function: str) -> None:
    assert (
        worker_urls().items()
        <= {
            name: value.get("Ref") if isinstance(value, dict) else value
            for name, value in properties(function)["Environment"]["Variables"].items()
        }.items()
    )


def test_each_queue_has_pollers_of_its_own_so_that_no_priority_can_take_anothers() -> None:
    assert worker_events().keys() == QUEUES.keys()
    for queue, parameter in QUEUES.items():
        assert worker_events()[queue]["ScalingConfig"] == {"MaximumConcurrency": ref(parameter)}


def test_all_pollers_together_leave_the_api_room_in_a_new_account() -> None:
    # A new account has 10 concurrent executions. What is capped and could not be had would not be a bound.
    jobs = sum(template()["Parameters"][parameter]["Default"] for parameter in QUEUES.values())
    assert jobs + 3 <= 10


def test_the_longest_job_fits_into_the_worker_with_what_an_attempt_needs_around_it() -> None:
    assert timedelta(seconds=properties("WorkerFunction")["Timeout"]) >= MAX_TIMEOUT + 2 * GRACE


def test_a_message_stays_hidden_six_times_as_long_as_the_worker_may_take() -> None:
    for name, event in worker_events().items():
        window = event.get("MaximumBatchingWindowInSeconds", 0)
        assert properties(name)["VisibilityTimeout"] >= 6 * properties("WorkerFunction")["Timeout"] + window


def test_the_pollers_are_capped_and_the_function_is_not() -> None:
    # A function with reserved concurrency throttles messages that were received already, and that uses up their receives.
    for parameter in QUEUES.values():
        assert template()["Parameters"][parameter]["MinValue"] >= 2
    assert not [name for name in FUNCTIONS if "ReservedConcurrentExecutions" in properties(name)]


def test_the_worker_names_the_messages_that_come_back() -> None:
    assert all(event["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for event in worker_events().values())


def test_a_job_that_takes_its_worker_down_takes_no_other_with_it_by_default() -> None:
    assert all(event["BatchSize"] == ref("WorkerBatchSize") for event in worker_events().values())
    assert template()["Parameters"]["WorkerBatchSize"]["Default"] == 1


def test_the_dead_letter_queue_never_cuts_a_job_short() -> None:
    for name in QUEUES:
        redrive = properties(name)["RedrivePolicy"]
        assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
        assert redrive["maxReceiveCount"] >= 2 * MAX_ATTEMPTS_LIMIT


def test_dead_letters_are_kept_longer_than_the_queue_keeps_messages() -> None:
    # A message keeps its age when it moves.
    assert properties("DeadLetterQueue")["MessageRetentionPeriod"] > properties("Queue")["MessageRetentionPeriod"]


def test_a_message_is_kept_longer_than_a_job_may_go_on() -> None:
    assert timedelta(seconds=properties("Queue")["MessageRetentionPeriod"]) > MAX_DEADLINE + MAX_QUEUE_DELAY


def test_nobody_reads_the_dead_letters_as_if_they_were_the_truth() -> None:
    read = [event["Queue"]["Fn::GetAtt"] for name in FUNCTIONS for event in events(name, "SQS")]
    assert sorted(read) == sorted([name, "Arn"] for name in QUEUES)


def test_the_sweeper_runs_as_often_as_the_leases_reckon_with() -> None:
    (schedule,) = events("SweeperFunction", "Schedule")
    assert timedelta(minutes=1) == SWEEP_INTERVAL
    assert schedule["Schedule"] == "rate(1 minute)"
    assert properties("SweeperFunction")["Timeout"] <= SWEEP_INTERVAL.total_seconds()
    assert properties("SweeperFunction")["EventInvokeConfig"]["MaximumRetryAttempts"] == 0


# ── Stream ─────────────────────────────────────────────────────────────────────────────────────────


def learner_event() -> dict[str, Any]:
    (event,) = events("LearnerFunction", "DynamoDB")
    return event


def test_the_learner_hears_of_jobs_that_end_by_themselves_and_of_nothing_else() -> None:
    (pattern,) = [json.loads(found["Pattern"]) for found in learner_event()["FilterCriteria"]["Filters"]]
    before, after = (pattern["dynamodb"][image]["status"]["S"] for image in ("OldImage", "NewImage"))
    assert pattern["eventName"] == ["MODIFY"]
    assert set(before) == {status for status in Status if not status.is_finished}
    assert set(after) == {status for status in Status if status.is_finished} - {Status.CANCELLED}
    assert learner_event()["Stream"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
    assert set(pattern["dynamodb"]) <= {"OldImage", "NewImage"}
    assert properties("Table")["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"


def test_what_cannot_be_learnt_holds_up_nothing_for_long() -> None:
    event = learner_event()
    assert event["MaximumRetryAttempts"] <= 3
    assert event["MaximumRecordAgeInSeconds"] <= 3600
    assert event["BisectBatchOnFunctionError"] is True


def test_the_learner_is_rung_for_many_jobs_at_once() -> None:
    event = learner_event()
    assert event["BatchSize"] >= 1000
    assert event["MaximumBatchingWindowInSeconds"] >= 60
    assert properties("LearnerFunction")["Timeout"] >= 60


# ── Table ──────────────────────────────────────────────────────────────────────────────────────────


def test_expired_records_are_deleted_by_the_attribute_that_says_when() -> None:
    found = properties("Table")["TimeToLiveSpecification"]
    assert found == {"AttributeName": "recordExpiresAt", "Enabled": True}
    assert list(to_item(new_job())["recordExpiresAt"]) == ["N"]


def test_the_keys_are_what_a_new_job_has() -> None:
    table, item = properties("Table"), to_item(new_job())
    keys = [*table["KeySchema"], *(key for index in table["GlobalSecondaryIndexes"] for key in index["KeySchema"])]
    item |= to_item(new_job().counted().exclusively("1#lock"))
    types = {found["AttributeName"]: found["AttributeType"] for found in table["AttributeDefinitions"]}
    assert {key["AttributeName"] for key in keys} == types.keys()
    assert {name: next(iter(item[name])) for name in types} == types


def test_the_indexes_are_those_the_store_asks_and_hold_keys_only() -> None:
    # Keys do not change while a job runs: so an index is written when the job comes and goes, and not in between.
    indexes = properties("Table")["GlobalSecondaryIndexes"]
    asked = {
        node.value
        for node in ast.walk(source_of("aws/dynamodb_jobs"))
        if isinstance(node, ast.Constant) and node.value in {"byOwner", "due", "live", "waiting"}
    }
    assert {index["IndexName"] for index in indexes} == asked == {"byOwner", "due", "live", "waiting"}
    assert all(index["Projection"] == {"ProjectionType": "KEYS_ONLY"} for index in indexes)


def test_the_table_costs_nothing_while_idle_and_can_be_restored_and_followed() -> None:
    table = properties("Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert "ProvisionedThroughput" not in table
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


@pytest.mark.parametrize("name", ["Table", "Bucket"])
def test_what_holds_jobs_outlives_a_deleted_stack(name: str) -> None:
    assert resource(name)["DeletionPolicy"] in {"Retain", "RetainExceptOnCreate"}
    assert resource(name)["UpdateReplacePolicy"] == "Retain"


# ── Bucket ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("days", template()["Parameters"]["MaxRetentionDays"]["AllowedValues"])
def test_an_object_is_there_as_long_as_the_job_that_names_it(days: str) -> None:
    lifetime = timedelta(days=template()["Mappings"]["ObjectLifetime"][days]["Days"])
    # A result is kept from the job's end on; an input until it ends, which may be a delay of as many days and a deadline later.
    # The sweeper may be two rounds late in ending a job past its deadline.
    assert lifetime >= MAX_DEADLINE + 2 * SWEEP_INTERVAL + timedelta(days=int(days))


def test_the_bucket_removes_objects_and_unfinished_uploads() -> None:
    rules = properties("Bucket")["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" and "Prefix" not in rule and "Filter" not in rule for rule in rules)
    merged = {name: value for rule in rules for name, value in rule.items()}
    assert merged["ExpirationInDays"] == {"Fn::FindInMap": ["ObjectLifetime", ref("MaxRetentionDays"), "Days"]}
    assert merged["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_the_retention_that_can_be_chosen_is_what_the_code_knows() -> None:
    parameter = template()["Parameters"]["MaxRetentionDays"]
    assert max(timedelta(days=int(days)) for days in parameter["AllowedValues"]) == MAX_RETENTION
    unset = Settings.from_environment({"APPLICATION": "a", "TABLE_NAME": "t"})
    assert unset.max_retention == timedelta(days=int(parameter["Default"]))


def test_the_bucket_is_private() -> None:
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
        ("QueuePolicy", "sqs:*", [{"Fn::GetAtt": [name, "Arn"]} for name in (*QUEUES, "DeadLetterQueue")]),
    ],
)
def test_only_encrypted_connections_are_taken(policy: str, action: str, covered: list[Any]) -> None:
    (statement,) = properties(policy)["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", action)
    assert statement["Resource"] == covered
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_policies_are_attached_to_what_they_protect() -> None:
    assert properties("BucketPolicy")["Bucket"] == ref("Bucket")
    assert properties("QueuePolicy")["Queues"] == [ref(name) for name in (*QUEUES, "DeadLetterQueue")]


@pytest.mark.parametrize("own_key", [False, True], ids=["AWS's key", "own key"])
def test_everything_at_rest_is_encrypted(own_key: bool) -> None:
    key = ref("KmsKeyArn") if own_key else None
    for name in (*QUEUES, "DeadLetterQueue"):
        queue = chosen(properties(name), OwnKey=own_key)
        assert (queue["SqsManagedSseEnabled"], queue["KmsMasterKeyId"]) == ((None, key) if own_key else (True, None))
    (rule,) = chosen(properties("Bucket"), OwnKey=own_key)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == (
        {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if own_key else {"SSEAlgorithm": "AES256"}
    )
    assert all(
        chosen(found["Properties"], OwnKey=own_key)["KmsKeyId"] == key for found in resources("AWS::Logs::LogGroup").values()
    )


# ── Functions ──────────────────────────────────────────────────────────────────────────────────────


def source_of(module: str) -> ast.AST:
    return ast.parse((ROOT / "layers" / "asyncjobs" / "asyncjobs" / f"{module}.py").read_text())


def app(function: str) -> ast.AST:
    """The doorbell of a function."""
    text: str = (ROOT / properties(function)["CodeUri"] / "app.py").read_text()
    return ast.parse(text)


def environment(function: str) -> set[str]:
    """The variables a function is given."""
    everywhere = template()["Globals"]["Function"]["Environment"]["Variables"]
    own = properties(function).get("Environment", {}).get("Variables", {})
    return set(everywhere) | set(own)


def settings_variables() -> dict[str, set[str]]:
    """The environment variables behind each setting."""
    (made,) = (
        node for node in ast.walk(source_of("settings")) if isinstance(node, ast.Call) and ast.unparse(node.func) == "cls"
    )
    return {
        str(keyword.arg): {
            node.value
            for node in ast.walk(keyword.value)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isupper()
        }
        for keyword in made.keywords
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_told_what_it_asks_for_and_nothing_more(function: str) -> None:
    asked = attributes_of(app(function), "settings")
    if "Admission" in {node.id for node in ast.walk(app(function)) if isinstance(node, ast.Name)}:
        asked |= attributes_of(source_of("limits/admission"), "settings")
    assert asked
    assert set().union(*(settings_variables()[name] for name in asked)) == environment(function)


def test_every_setting_is_asked_for_by_some_function() -> None:
    assert settings_variables().keys() == Settings.__dataclass_fields__.keys()
    assert set().union(*settings_variables().values()) == set().union(*map(environment, FUNCTIONS))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_a_doorbell(function: str) -> None:
    text = (ROOT / properties(function)["CodeUri"] / "app.py").read_text()
    assert len([line for line in text.splitlines() if line.strip()]) < 40
    assert "handler" in {node.name for node in ast.walk(app(function)) if isinstance(node, ast.FunctionDef)}
    assert template()["Globals"]["Function"]["Handler"] == "app.handler"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_that_reads_the_catalog_has_the_jobs_layer(function: str) -> None:
    reads = "Catalog" in {node.id for node in ast.walk(app(function)) if isinstance(node, ast.Name)}
    layers = [layer["Ref"] for layer in properties(function)["Layers"]]
    assert layers == ["AsyncjobsLayer", *(["JobsLayer"] if reads else [])]


@pytest.mark.parametrize("name", ["AsyncjobsLayer", "JobsLayer"])
def test_a_layer_is_built_for_the_runtime_that_runs_it(name: str) -> None:
    assert resource(name)["Metadata"]["BuildMethod"] == template()["Globals"]["Function"]["Runtime"] == ref("PythonRuntime")
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
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "get_object": "s3:GetObject",
    "delete_objects": "s3:DeleteObject",
    "generate_presigned_url": "s3:GetObject",
}
"""What calling a client's method takes."""

WITHOUT_CODE = {
    "SubmitFunction": {"s3:ListBucket"},
    # Lambda's own doing: the pollers of the queue.
    "WorkerFunction": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "s3:ListBucket"},
    # And of the stream.
    "LearnerFunction": {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"},
}
"""What no call of ours shows. `s3:ListBucket` makes S3 call a missing object missing instead of forbidden."""

OPTIONAL = {
    "SubmitFunction": {"sqs:GetQueueAttributes": "BacklogPolicy"},
    "StatusFunction": {"sqs:GetQueueAttributes": "QueueDepthPolicy"},
}
"""What a function may only with an option, and the policy that lets it."""

LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}

CLASSES = {
    # A job that runs at once does so where it is submitted.
    "SubmitFunction": [
        ("service/commands", "Commands"),
        ("limits/admission", "Admission"),
        ("limits/backlog", "Backlog"),
        ("limits/locks", "Locks"),
        ("estimates/history", "CachedHistory"),
        ("worker/executor", "Executor"),
        ("worker/attempt", "Attempt"),
        ("worker/heartbeat", "Heartbeat"),
    ],
    "StatusFunction": [("service/queries", "Queries"), ("limits/backlog", "Backlog"), ("estimates/history", "CachedHistory")],
    "WorkerFunction": [
        ("worker/sqs_batch", "BatchWorker"),
        ("limits/locks", "Locks"),
        ("worker/executor", "Executor"),
        ("worker/attempt", "Attempt"),
        ("worker/heartbeat", "Heartbeat"),
    ],
    "SweeperFunction": [("worker/sweeper", "Sweeper"), ("limits/locks", "Locks")],
    "LearnerFunction": [("estimates/aggregator", "DurationAggregator")],
}
"""The classes that do a function's work, through the adapters."""

ADAPTERS = {
    "_store": ("aws/dynamodb_jobs", "DynamoStore"),
    "_history": ("aws/dynamodb_history", "DynamoHistory"),
    "_queue": ("aws/sqs", "SqsQueue"),
    "_objects": ("aws/s3", "S3Objects"),
}

RESOURCES = {
    "SubmitFunction": {
        "dynamodb:PutItem": "Table",
        "dynamodb:GetItem": "Table",
        "dynamodb:UpdateItem": "Table",
        "dynamodb:DeleteItem": "Table",
        "dynamodb:Query": "Table/index/waiting",
        "sqs:SendMessage": "HighQueue Queue LowQueue",
        "s3:GetObject": "Bucket/inputs/*",
        "s3:ListBucket": "Bucket",
        "s3:PutObject": "Bucket/inputs/* Bucket/results/*",
        "s3:AbortMultipartUpload": "Bucket/results/*",
        "s3:DeleteObject": "Bucket/inputs/* Bucket/results/*",
    },
    "StatusFunction": {
        "dynamodb:GetItem": "Table",
        "dynamodb:BatchGetItem": "Table",
        "dynamodb:Query": "Table/index/byOwner",
        "s3:GetObject": "Bucket/results/*",
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
        "dynamodb:UpdateItem": "Table",
        "dynamodb:Query": "Table/index/due Table/index/waiting",
        "sqs:SendMessage": "HighQueue Queue LowQueue",
    },
    "LearnerFunction": {
        "dynamodb:DescribeStream": "Table/stream",
        "dynamodb:GetRecords": "Table/stream",
        "dynamodb:GetShardIterator": "Table/stream",
        "dynamodb:ListStreams": "Table/stream",
        "dynamodb:GetItem": "Table",
        "dynamodb:PutItem": "Table",
    },
}


def class_of(module: str, name: str) -> ast.ClassDef:
    return next(node for node in ast.walk(source_of(module)) if isinstance(node, ast.ClassDef) and node.name == name)


def attributes_of(node: ast.AST, name: str) -> set[str]:
    """Every `x` of `name.x` in the code."""
    return {found.attr for found in ast.walk(node) if isinstance(found, ast.Attribute) and ast.unparse(found.value) == name}


def client_calls(module: str, class_name: str, method: str) -> set[str]:
    """The client's methods that an adapter's method calls, itself or through others of its class."""
    methods = {node.name: node for node in class_of(module, class_name).body if isinstance(node, ast.FunctionDef)}
    todo, seen, calls = [method], set[str](), set[str]()
    while todo:
        name = todo.pop()
        seen.add(name)
        calls |= attributes_of(methods[name], "self._client")
        todo += (attributes_of(methods[name], "self") & methods.keys()) - seen
        if "_S3ResultWriter" in {node.id for node in ast.walk(methods[name]) if isinstance(node, ast.Name)}:
            calls |= attributes_of(class_of(module, "_S3ResultWriter"), "self._client")
    return calls


def actions_in_code(function: str) -> set[str]:
    """The actions that a function's code can be seen to need."""
    return {
        ACTIONS[call]
        for place in CLASSES[function]
        for adapter, (module, class_name) in ADAPTERS.items()
        for method in attributes_of(class_of(*place), f"self.{adapter}")
        for call in client_calls(module, class_name, method)
    }


def role(function: str) -> dict[str, Any]:
    name, attribute = properties(function)["Role"]["Fn::GetAtt"]
    assert attribute == "Arn"
    return properties(name)


def grants(function: str) -> list[tuple[str, str]]:
    """What a role allows: pairs of an action and a resource."""
    pairs: list[tuple[str, str]] = []
    for policy in role(function)["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            assert "NotAction" not in statement
            pairs += itertools.product(listed(statement["Action"]), map(named, listed(statement["Resource"])))
    return pairs


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named(arn: dict[str, Any]) -> str:
    """A resource as this file calls it: `Bucket/inputs/*`."""
    if "Fn::Sub" in arn:
        return str(arn["Fn::Sub"]).replace("${", "").replace(".Arn}", "")
    name, attribute = arn["Fn::GetAtt"]
    return f"{name}{ {'Arn': '', 'StreamArn': '/stream'}[attribute] }"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_permission_is_a_call_that_can_be_seen_and_each_call_has_its_permission(function: str) -> None:
    allowed = {action for action, _ in grants(function)} - LOGS - WITHOUT_CODE.get(function, set())
    assert allowed | OPTIONAL.get(function, {}).keys() == actions_in_code(function)
    assert not allowed & OPTIONAL.get(function, {}).keys()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_permission_is_on_the_one_thing_it_is_for(function: str) -> None:
    log = properties(function)["LoggingConfig"]["LogGroup"]["Ref"]
    on = {**RESOURCES[function], **dict.fromkeys(LOGS, log)}
    assert sorted(grants(function)) == sorted((action, name) for action, names in on.items() for name in names.split())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_permission_has_a_wildcard_but_for_the_objects_of_one_area(function: str) -> None:
    for action, name in grants(function):
        assert "*" not in action
        assert "*" not in name.removesuffix("inputs/*").removesuffix("results/*")


def test_the_learner_can_write_to_no_job() -> None:
    statements = [found for policy in role("LearnerFunction")["Policies"] for found in policy["PolicyDocument"]["Statement"]]
    (on_items,) = [found for found in statements if found["Resource"] == {"Fn::GetAtt": ["Table", "Arn"]}]
    (prefix,) = on_items["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    assert history_key("text.search")["pk"]["S"].startswith(prefix.removesuffix("*"))
    assert not to_item(new_job())["pk"]["S"].startswith(prefix.removesuffix("*"))


def test_status_can_write_nothing() -> None:
    reading = ("Get", "BatchGet", "Query")
    actions = {action for action, _ in grants("StatusFunction")} - LOGS
    assert all(action.split(":")[1].startswith(reading) for action in actions)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_a_role_and_a_log_group_of_its_own(function: str) -> None:
    others = [name for name in FUNCTIONS if name != function]
    assert properties(function)["Role"] not in [properties(other)["Role"] for other in others]
    log = properties(function)["LoggingConfig"]["LogGroup"]
    assert log not in [properties(other)["LoggingConfig"]["LogGroup"] for other in others]
    assert properties(log["Ref"])["RetentionInDays"] == ref("LogRetentionDays")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_is_lambdas_alone_and_says_all_it_allows_itself(function: str) -> None:
    (trust,) = role(function)["AssumeRolePolicyDocument"]["Statement"]
    assert trust == {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    assert "ManagedPolicyArns" not in role(function)
    assert "Policies" not in properties(function)


def test_what_a_role_is_allowed_besides_is_off_until_it_is_asked_for() -> None:
    extra = resources("AWS::IAM::ManagedPolicy") | resources("AWS::IAM::Policy") | resources("AWS::IAM::RolePolicy")
    conditions = {name: found["Condition"] for name, found in extra.items()}
    assert conditions == {
        "KeyPolicy": "OwnKey",
        "TracingPolicy": "Traced",
        "LiveJobsPolicy": "WithMaxLiveJobs",
        "BacklogPolicy": "WithMaxBacklog",
        "QueueDepthPolicy": "WithQueueDepth",
    }
    assert template()["Parameters"]["KmsKeyArn"]["Default"] == ""
    assert template()["Parameters"]["Tracing"]["Default"] == "PassThrough"


def test_an_own_key_is_the_one_key_that_may_be_used_and_traces_the_one_thing_without_a_name() -> None:
    on = {
        name: {json.dumps(statement["Resource"]) for statement in properties(name)["PolicyDocument"]["Statement"]}
        for name in ("KeyPolicy", "TracingPolicy")
    }
    # X-Ray knows no finer resource.
    assert on == {"KeyPolicy": {'{"Ref": "KmsKeyArn"}'}, "TracingPolicy": {'"*"'}}
    actions = [
        action
        for name in ("KeyPolicy", "TracingPolicy")
        for statement in properties(name)["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    ]
    assert not [action for action in actions if "*" in action]


@pytest.mark.parametrize(
    ("policy", "function", "action", "on"),
    [
        ("LiveJobsPolicy", "Submit", "dynamodb:Query", {"Fn::Sub": "${Table.Arn}/index/live"}),
        ("BacklogPolicy", "Submit", "sqs:GetQueueAttributes", [{"Fn::GetAtt": [name, "Arn"]} for name in QUEUES]),
        ("QueueDepthPolicy", "Status", "sqs:GetQueueAttributes", [{"Fn::GetAtt": [name, "Arn"]} for name in QUEUES]),
    ],
)
def test_an_option_lets_a_function_look_at_what_it_counts(policy: str, function: str, action: str, on: Any) -> None:
    assert not {(action, named(each)) for each in listed(on)} & set(grants(f"{function}Function"))
    assert properties(policy)["Roles"] == [ref(f"{function}Role")]
    assert properties(policy)["PolicyDocument"]["Statement"] == [{"Effect": "Allow", "Action": action, "Resource": on}]


def test_the_transform_adds_no_role_of_its_own() -> None:
    made = [name for name, found in deployed()["Resources"].items() if found["Type"] == "AWS::IAM::Role"]
    assert sorted(made) == sorted(resources("AWS::IAM::Role"))


@pytest.mark.parametrize("module", ["attempt", "sqs_batch", "executor", "heartbeat"])
def test_no_code_of_the_worker_sends_to_the_queue_it_reads(module: str) -> None:
    # Lambda stops such a chain after 16 hops: only the sweeper, whose chain starts at the schedule, sends again.
    sends = {"send", "send_all"}
    assert not sends & {node.attr for node in ast.walk(source_of(f"worker/{module}")) if isinstance(node, ast.Attribute)}


# ── Alarms ─────────────────────────────────────────────────────────────────────────────────────────

ALARMS = resources("AWS::CloudWatch::Alarm")


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_is_there_when_somebody_wants_to_hear_it(name: str) -> None:
    assert resource(name)["Condition"] == "WithAlarms"
    assert properties(name)["AlarmActions"] == [ref("AlarmTopicArn")]
    assert template()["Conditions"]["WithAlarms"] == {"Fn::Not": [{"Fn::Equals": [ref("AlarmTopicArn"), ""]}]}


def test_our_own_metrics_are_watched_under_the_names_that_the_code_writes() -> None:
    written = {metric for metrics in log._METRICS.values() for metric in metrics}
    watched = [found["Properties"] for found in ALARMS.values() if found["Properties"].get("Namespace") == log.NAMESPACE]
    by_code = [found for found in watched if isinstance(found["MetricName"], str)]
    by_filter = [found for found in watched if not isinstance(found["MetricName"], str)]
    assert by_code
    assert {found["MetricName"] for found in by_code} <= written
    assert all(found["Dimensions"] == [{"Name": "application", "Value": ref("AWS::StackName")}] for found in by_code)
    (filtered,) = properties("WorkersLost")["MetricTransformations"]
    assert [found["MetricName"] for found in by_filter] == [filtered["MetricName"]]
    assert filtered["MetricNamespace"] == log.NAMESPACE


def test_a_lost_worker_is_found_in_the_line_that_tells_of_it() -> None:
    assert properties("WorkersLost")["LogGroupName"] == properties("SweeperFunction")["LoggingConfig"]["LogGroup"]
    pattern = properties("WorkersLost")["FilterPattern"]
    assert pattern == f'{{ $.message = "JOB_FAILED" && $.errorCode = "{WORKER_LOST.code}" }}'


def test_a_queue_whose_messages_grow_old_is_told_of_but_not_for_a_delay_and_a_dead_worker() -> None:
    alarms = {
        found["Properties"]["Dimensions"][0]["Value"]["Fn::GetAtt"][0]: found["Properties"]["Threshold"]
        for found in ALARMS.values()
        if found["Properties"].get("MetricName") == "ApproximateAgeOfOldestMessage"
    }
    assert alarms.keys() == QUEUES.keys()
    normal = MAX_QUEUE_DELAY.total_seconds() + max(properties(name)["VisibilityTimeout"] for name in QUEUES)
    assert normal < alarms["HighQueue"] < alarms["Queue"] < alarms["LowQueue"]


# ── Names and outputs ──────────────────────────────────────────────────────────────────────────────


def test_nothing_has_a_physical_name() -> None:
    # So that two stacks fit into one account, and whatever must be replaced can be.
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


def test_the_outputs_are_what_a_person_and_the_local_twin_look_for() -> None:
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


def test_each_output_leads_to_something_that_there_is() -> None:
    for name, output in template()["Outputs"].items():
        value = output["Value"]
        target = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
        assert output.get("Condition") == resource(target).get("Condition"), name


def test_everything_the_template_points_to_is_there() -> None:
    for name in [*FUNCTIONS, "AsyncjobsLayer", "JobsLayer"]:
        path = Path(properties(name).get("CodeUri") or properties(name)["ContentUri"])
        assert (ROOT / path).is_dir()
