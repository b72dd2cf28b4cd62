"""The permissions of each function, by calls to the engine that enforces them (AUTH=true).

A probe is deployed with the function's own role, so that it calls with that role's credentials. Only the log groups are left
out: the engine does not enforce permissions for logs. tests/template has them.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs.core.job import JobKey
from asyncjobs.core.message import JobMessage
from local.sam import Tools
from local.stack import LocalStack, Outputs

PROBE = '''
import functools

import boto3

client = functools.cache(boto3.client)

def handler(calls, context):
    """How each call ended: the code of its error, or nothing."""
    return [outcome(*call) for call in calls]

def outcome(service, method, parameters):
    try:
        getattr(client(service, endpoint_url=parameters.pop("endpoint_url", None)), method)(**parameters)
    except Exception as error:
        return getattr(error, "response", {}).get("Error", {}).get("Code") or type(error).__name__
'''

QUEUES = {"high": "HighQueue", "standard": "Queue", "low": "LowQueue"}
ALLOWED = {
    "SubmitFunction": {
        *(f"dynamodb:PutItem {kind}" for kind in ("job", "name", "ticket", "webhooks")),
        *(f"dynamodb:GetItem {kind}" for kind in ("job", "lock", "durations", "webhooks")),
        *(f"dynamodb:UpdateItem {kind}" for kind in ("job", "lock", "rate", "slots")),
        "dynamodb:DeleteItem job",
        "dynamodb:BatchGetItem job",
        "dynamodb:Query waiting",
        *(f"sqs:SendMessage {name}" for name in (*QUEUES, "deliveries")),
        "s3:PutObject inputs/",
        "s3:PutObjectTagging uploads/",
        "s3:GetObjectTagging uploads/",
        "s3:PutObject results/",
        "s3:AbortMultipartUpload results/",
        "s3:GetObject inputs/",
        "s3:GetObject of an input",
        "s3:GetObject results/",
        "s3:ListBucket",
        "s3:DeleteObject inputs/",
        "s3:DeleteObject results/",
    },
    "StatusFunction": {
        "dynamodb:UpdateItem slots",
        *(f"dynamodb:GetItem {kind}" for kind in ("job", "durations", "events", "ticket")),
        "dynamodb:BatchGetItem job",
        "dynamodb:Query byOwner",
        "s3:GetObject of an input",
        "s3:GetObject results/",
    },
    "DialectsFunction": {
        *(f"dynamodb:PutItem {kind}" for kind in ("job", "name")),
        *(f"dynamodb:GetItem {kind}" for kind in ("job", "lock", "durations", "webhooks")),
        *(f"dynamodb:UpdateItem {kind}" for kind in ("job", "lock", "rate", "slots")),
        "dynamodb:BatchGetItem job",
        "dynamodb:DeleteItem job",
        "dynamodb:Query waiting",
        "dynamodb:Query byOwner",
        *(f"sqs:SendMessage {name}" for name in (*QUEUES, "deliveries")),
        "s3:PutObject inputs/",
        "s3:PutObjectTagging uploads/",
        "s3:GetObjectTagging uploads/",
        "s3:PutObject results/",
        "s3:AbortMultipartUpload results/",
        "s3:GetObject inputs/",
        "s3:GetObject of an input",
        "s3:GetObject results/",
        "s3:ListBucket",
        "s3:DeleteObject inputs/",
        "s3:DeleteObject results/",
    },
    "AdminFunction": {
        *(f"dynamodb:GetItem {kind}" for kind in ("job", "lock", "events", "part")),
        *(f"dynamodb:BatchGetItem {kind}" for kind in ("job", "durations", "audit")),
        *(f"dynamodb:UpdateItem {kind}" for kind in ("job", "lock")),
        "dynamodb:DeleteItem job",
        *(f"dynamodb:PutItem {kind}" for kind in ("job", "audit", "part")),
        "lambda:InvokeFunction of administration",
        *(f"sqs:GetQueueAttributes {name}" for name in (*QUEUES, "deliveries")),
        *(f"sqs:{action} of the dead letters" for action in ("GetQueueAttributes", "ReceiveMessage", "DeleteMessage")),
        "lambda:GetEventSourceMapping",
        "lambda:UpdateEventSourceMapping",
        *(f"dynamodb:Query {index}" for index in ("byOwner", "due", "waiting", "byGroup")),
        *(f"sqs:SendMessage {name}" for name in (*QUEUES, "deliveries")),
        "s3:GetObject inputs/",
        "s3:GetObject of an input",
        "s3:GetObject results/",
        "s3:DeleteObject inputs/",
        "s3:DeleteObject results/",
        "s3:GetObjectTagging uploads/",
        "s3:ListBucket",
    },
    "WorkerFunction": {
        *(f"dynamodb:{action} {kind}" for action in ("GetItem", "UpdateItem") for kind in ("job", "lock")),
        *(f"dynamodb:{action} webhooks" for action in ("GetItem", "PutItem")),
        "dynamodb:Query waiting",
        *(f"sqs:SendMessage {priority}" for priority in QUEUES),
        *(
            f"sqs:{action} {name}"
            for name in (*QUEUES, "deliveries")
            for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility")
        ),
        "s3:GetObject inputs/",
        "s3:GetObject of an input",
        "s3:ListBucket",
        "s3:PutObject results/",
        "s3:AbortMultipartUpload results/",
    },
    "SweeperFunction": {
        "dynamodb:GetItem job",
        "dynamodb:BatchGetItem job",
        "dynamodb:UpdateItem job",
        "dynamodb:Query due",
        "dynamodb:Query waiting",
        *(f"sqs:{action} {priority}" for priority in QUEUES for action in ("SendMessage", "GetQueueAttributes")),
        "sqs:SendMessage deliveries",
    },
    # The engine reads the stream without a permission; tests/template has it.
    "StreamFunction": {
        "dynamodb:BatchGetItem webhooks",
        "dynamodb:PutItem job",
        "sqs:SendMessage deliveries",
        "dynamodb:GetItem durations",
        "dynamodb:PutItem durations",
        "dynamodb:BatchGetItem filter",
        "dynamodb:BatchGetItem watchers",
        "dynamodb:UpdateItem watchers",
        "execute-api:ManageConnections",
        "dynamodb:UpdateItem events",
        "dynamodb:DeleteItem events",
    },
    "SocketFunction": {
        *(f"dynamodb:GetItem {kind}" for kind in ("job", "connection", "filter")),
        "dynamodb:BatchGetItem job",
        "dynamodb:PutItem connection",
        *(f"dynamodb:UpdateItem {kind}" for kind in ("connection", "watchers", "filter")),
        *(f"dynamodb:DeleteItem {kind}" for kind in ("connection", "ticket")),
    },
}
"""The calls that a function may make, of `calls`."""

Call = tuple[str, str, dict[str, Any]]
Physical = Callable[[str], str]


@pytest.fixture(scope="module")
def physical(stack: LocalStack) -> Physical:
    """Return a function that finds a resource's physical id by its name in the template."""
    cloudformation = stack.session.client("cloudformation", endpoint_url=stack.endpoint_url)
    stack_name = stack.outputs.stack_name

    def find(name: str) -> str:
        answer = cloudformation.describe_stack_resource(StackName=stack_name, LogicalResourceId=name)
        return answer["StackResourceDetail"]["PhysicalResourceId"]

    return find


@pytest.fixture(scope="module")
def calls(outputs: Outputs, physical: Physical) -> dict[str, Call]:
    """Return calls that change nothing if they are allowed: for an unknown job, or with a false condition."""
    bucket, dead = outputs.bucket_name, outputs.dead_letter_queue_url
    pk = {"pk": {"S": "J#nobody#none"}}
    kinds = {
        "job": "J#nobody#none",
        "lock": "L#none",
        "name": "N#nobody#none",
        "rate": "R#nobody",
        "slots": "W#nobody",
        "durations": "D#none",
        "ticket": "T#none",
        "webhooks": "H#nobody",
        "connection": "C#none",
        "watchers": "V#O#nobody",
        "filter": "F#none",
        "events": "E#nobody#none#0#0",
        "audit": "A#none",
        "part": "B#none#0",
    }
    table = {"TableName": outputs.table_name}
    unknown_job = JobMessage(JobKey("nobody", "none"), "none", "sample.returns").to_body()
    none = {"ReceiptHandle": "none"}
    roles = {name: physical(name) for name in ("SubmitRole", "WorkerRole")}
    return {
        **{
            f"dynamodb:{action} {kind}": call
            for kind, value in kinds.items()
            for action, call in on_item({"pk": {"S": value}}, outputs.table_name).items()
        },
        "dynamodb:BatchWriteItem": (
            "dynamodb",
            "batch_write_item",
            {"RequestItems": {outputs.table_name: [{"DeleteRequest": {"Key": pk}}]}},
        ),
        "dynamodb:Scan": ("dynamodb", "scan", {**table, "Limit": 1}),
        "dynamodb:DescribeTable": ("dynamodb", "describe_table", table),
        "dynamodb:Query": ("dynamodb", "query", query(outputs, "pk")),
        "dynamodb:Query byOwner": ("dynamodb", "query", query(outputs, "owner", IndexName="byOwner")),
        "dynamodb:Query live": ("dynamodb", "query", query(outputs, "liveOwner", IndexName="live")),
        "dynamodb:Query due": ("dynamodb", "query", query(outputs, "dueShard", IndexName="due")),
        "dynamodb:Query byGroup": ("dynamodb", "query", query(outputs, "groupName", IndexName="byGroup")),
        "dynamodb:Query waiting": ("dynamodb", "query", query(outputs, "exclusiveKey", IndexName="waiting")),
        **{
            f"sqs:{action} {priority}": ("sqs", method, {"QueueUrl": physical(queue), **parameters})
            for priority, queue in {**QUEUES, "deliveries": "DeliveryQueue"}.items()
            for action, method, parameters in (
                ("SendMessage", "send_message", {"MessageBody": unknown_job}),
                ("ReceiveMessage", "receive_message", {"VisibilityTimeout": 0}),
                ("DeleteMessage", "delete_message", none),
                ("GetQueueAttributes", "get_queue_attributes", {"AttributeNames": ["QueueArn"]}),
                ("ChangeMessageVisibility", "change_message_visibility", {"VisibilityTimeout": 0, **none}),
            )
        },
        "sqs:SendMessage to the dead letters": ("sqs", "send_message", {"QueueUrl": dead, "MessageBody": unknown_job}),
        "sqs:GetQueueAttributes of the dead letters": (
            "sqs",
            "get_queue_attributes",
            {"QueueUrl": dead, "AttributeNames": ["QueueArn"]},
        ),
        "sqs:ReceiveMessage of the dead letters": ("sqs", "receive_message", {"QueueUrl": dead, "VisibilityTimeout": 0}),
        "sqs:DeleteMessage of the dead letters": ("sqs", "delete_message", {"QueueUrl": dead, **none}),
        "s3:PutObject": ("s3", "put_object", {"Bucket": bucket, "Key": "probe"}),
        "s3:PutObject inputs/": ("s3", "put_object", {"Bucket": bucket, "Key": "inputs/nobody/probe"}),
        "s3:PutObject results/": ("s3", "put_object", {"Bucket": bucket, "Key": "results/none/probe"}),
        "s3:PutObjectTagging inputs/": (
            "s3",
            "put_object_tagging",
            {"Bucket": bucket, "Key": "inputs/nobody/none", "Tagging": {"TagSet": []}},
        ),
        "s3:PutObjectTagging uploads/": (
            "s3",
            "put_object_tagging",
            {"Bucket": bucket, "Key": "inputs/nobody/uploads/none", "Tagging": {"TagSet": []}},
        ),
        "s3:GetObjectTagging inputs/": ("s3", "get_object_tagging", {"Bucket": bucket, "Key": "inputs/nobody/none"}),
        "s3:GetObjectTagging uploads/": (
            "s3",
            "get_object_tagging",
            {"Bucket": bucket, "Key": "inputs/nobody/uploads/none"},
        ),
        "s3:GetObject inputs/": ("s3", "get_object", {"Bucket": bucket, "Key": "inputs/nobody/none"}),
        "s3:GetObject of an input": ("s3", "get_object", {"Bucket": bucket, "Key": "inputs/nobody/none/none.json"}),
        "s3:GetObject results/": ("s3", "get_object", {"Bucket": bucket, "Key": "results/none/none"}),
        "s3:DeleteObject inputs/": ("s3", "delete_object", {"Bucket": bucket, "Key": "inputs/nobody/none"}),
        "s3:DeleteObject results/": ("s3", "delete_object", {"Bucket": bucket, "Key": "results/none/none"}),
        "s3:AbortMultipartUpload results/": (
            "s3",
            "abort_multipart_upload",
            {"Bucket": bucket, "Key": "results/none/none", "UploadId": "none"},
        ),
        "s3:ListBucket": ("s3", "list_objects_v2", {"Bucket": bucket, "MaxKeys": 1}),
        "s3:GetBucketPolicy": ("s3", "get_bucket_policy", {"Bucket": bucket}),
        "s3:ListAllMyBuckets": ("s3", "list_buckets", {}),
        "lambda:GetEventSourceMapping": (
            "lambda",
            "get_event_source_mapping",
            {"UUID": physical("WorkerFunctionLowQueue")},
        ),
        "lambda:UpdateEventSourceMapping": (
            "lambda",
            "update_event_source_mapping",
            {"UUID": physical("WorkerFunctionLowQueue"), "Enabled": True},
        ),
        "lambda:InvokeFunction": (
            "lambda",
            "invoke",
            {"FunctionName": physical("WorkerFunction"), "InvocationType": "DryRun"},
        ),
        "lambda:InvokeFunction of administration": (
            "lambda",
            "invoke",
            {"FunctionName": physical("AdminFunction"), "InvocationType": "DryRun"},
        ),
        "execute-api:ManageConnections": (
            "apigatewaymanagementapi",
            "post_to_connection",
            {
                "endpoint_url": f"{outputs.endpoint_url}/_aws/execute-api/{physical('SocketApi')}/v1",
                "ConnectionId": "none",
                "Data": "none",
            },
        ),
        "lambda:ListFunctions": ("lambda", "list_functions", {}),
        "iam:ListRoles": ("iam", "list_roles", {}),
        "cognito-idp:ListUsers": ("cognito-idp", "list_users", {"UserPoolId": outputs.user_pool_id}),
        "secretsmanager:ListSecrets": ("secretsmanager", "list_secrets", {}),
        "cloudformation:DescribeStacks": ("cloudformation", "describe_stacks", {}),
        **{
            f"sts:AssumeRole {name}": (
                "sts",
                "assume_role",
                {"RoleArn": f"arn:aws:iam::000000000000:role/{role}", "RoleSessionName": "probe"},
            )
            for name, role in roles.items()
        },
    }


def on_item(pk: dict[str, Any], table_name: str) -> dict[str, Call]:
    """Return the calls on one item, by action."""
    only_if_there = {"TableName": table_name, "ConditionExpression": "attribute_exists(pk)"}
    update = {"UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": {"S": "nobody"}}}
    return {
        "GetItem": ("dynamodb", "get_item", {"TableName": table_name, "Key": pk}),
        "BatchGetItem": ("dynamodb", "batch_get_item", {"RequestItems": {table_name: {"Keys": [pk]}}}),
        "PutItem": ("dynamodb", "put_item", {**only_if_there, "Item": pk}),
        "UpdateItem": ("dynamodb", "update_item", {**only_if_there, "Key": pk, **update}),
        "DeleteItem": ("dynamodb", "delete_item", {**only_if_there, "Key": pk}),
    }


def query(outputs: Outputs, key: str, **options: str) -> dict[str, Any]:
    return {
        "TableName": outputs.table_name,
        "KeyConditionExpression": "#key = :x",
        "ExpressionAttributeNames": {"#key": key},
        "ExpressionAttributeValues": {":x": {"S": "nobody"}},
        **options,
    }


@pytest.mark.parametrize("function", ALLOWED)
def test_function_may_do_what_its_code_does_and_is_denied_everything_else(
    stack: LocalStack, physical: Physical, calls: dict[str, Call], function: str
) -> None:
    functions: Any = stack.session.client("lambda", endpoint_url=stack.endpoint_url)
    role = functions.get_function_configuration(FunctionName=physical(function))["Role"]
    probe = functions.create_function(
        FunctionName=f"probe-of-{function}",
        Role=role,
        Runtime=Tools().runtime(),
        Handler="probe.handler",
        Timeout=60,
        Code={"ZipFile": zipped(PROBE)},
    )["FunctionName"]
    answer = functions.invoke(FunctionName=probe, Payload=json.dumps(list(calls.values())))
    outcomes = dict(zip(calls, json.loads(answer["Payload"].read()), strict=True))
    allowed = {name for name, code in outcomes.items() if not is_denial(code)}
    assert allowed == ALLOWED[function], outcomes


def is_denial(code: str | None) -> bool:
    return code is not None and code.startswith("AccessDenied")


def zipped(source: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("probe.py", source)
    return archive.getvalue()
