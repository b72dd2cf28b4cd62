"""The engines in memory: the store's contract suite over them, and the same random calls to moto."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.core.ports import Store
from tests.adapters.test_store import *  # noqa: F403 - the whole suite, run over the fixture below
from tests.proof.stateful.memory.dynamodb import MemoryDynamoDB
from tests.proof.stateful.memory.s3 import MemoryS3
from tests.proof.stateful.memory.sqs import MemorySqs
from tests.template.source import resource

TABLE = resource("Table")["Properties"]


@pytest.fixture(params=[None, 2], ids=["large pages", "small pages"])
def store(request: pytest.FixtureRequest) -> Store:
    """Replace the contract suite's own fixture."""
    client: Any = MemoryDynamoDB(TABLE, page_size=request.param)
    return DynamoStore("jobs", client)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


_NOT_READ = frozenset({"ResponseMetadata", "Count", "ScannedCount", "ConsumedCapacity"})
SIDE_BY_SIDE = settings(
    max_examples=30,
    derandomize=True,
    database=None,
    deadline=None,
    # A failure names the call; to shrink it with moto takes minutes.
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def outcome(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
    """Return the answer or the error of the call, without fields that no program reads."""
    try:
        answer = getattr(client, operation)(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response.get("Item")
    return {name: value for name, value in answer.items() if name not in _NOT_READ}


# ── DynamoDB ───────────────────────────────────────────────────────────────────────────────────────

PKS = st.sampled_from(["J#a#1", "J#a#2", "J#b#1"])
NUMBERS = st.integers(0, 3).map(lambda number: {"N": str(number)})
TEXTS = st.sampled_from(["a", "b"]).map(lambda text: {"S": text})
ITEMS = st.fixed_dictionaries(
    {"pk": PKS.map(lambda pk: {"S": pk})},
    optional={
        "owner": TEXTS,
        "createdAt": TEXTS,
        "dueShard": TEXTS,
        "dueAt": NUMBERS,
        "count": NUMBERS,
        "mark": TEXTS,
        "mixed": NUMBERS | TEXTS,
    },
)
CONDITIONS = st.sampled_from(
    [
        None,
        "attribute_not_exists(pk)",
        "attribute_exists(dueAt)",
        "attribute_not_exists(pk) OR #count <= :one",
        "#count = :one AND mark = :b",
        "#count < :one OR #count > :one AND NOT_THERE = :b",
        "(attribute_not_exists(mark) OR mark = :b) AND #count >= :one",
        "mixed <= :one",
        "mixed <> :b",
    ]
)
UPDATES = st.sampled_from(
    [
        "SET #count = :one",
        "SET #count = #count + :one",
        "SET #count = if_not_exists(#count, :one)",
        "SET mark = :b, #count = :one",
        "SET mark = :b REMOVE dueAt, dueShard",
        "REMOVE mark",
        "SET mixed = mixed + :one",
        "SET dueAt = :one, dueShard = :b",
        "SET dueAt = :b",
        "SET mark = #count",
        "SET mark = :b REMOVE mark",
        "SET pk = :b",
    ]
)


def write(operation: str, target: dict[str, Any], condition: str | None) -> tuple[str, dict[str, Any]]:
    """Return a conditional write with its placeholders."""
    parameters = {"TableName": "jobs", **target, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    if condition is not None:
        parameters["ConditionExpression"] = condition
    text = f"{condition} {target.get('UpdateExpression', '')}"
    values = {name: value for name, value in {":one": {"N": "1"}, ":b": {"S": "b"}}.items() if name in text}
    parameters |= {"ExpressionAttributeValues": values} if values else {}
    parameters |= {"ExpressionAttributeNames": {"#count": "count"}} if "#count" in text else {}
    return operation, parameters


PUTS = st.builds(lambda item, condition: write("put_item", {"Item": item}, condition), ITEMS, CONDITIONS)
CHANGES = st.builds(
    lambda pk, update, condition: write(
        "update_item", {"Key": {"pk": {"S": pk}}, "UpdateExpression": update, "ReturnValues": "ALL_NEW"}, condition
    ),
    PKS,
    UPDATES,
    CONDITIONS,
)
READS = st.builds(lambda pk: ("get_item", {"TableName": "jobs", "Key": {"pk": {"S": pk}}, "ConsistentRead": True}), PKS)


@pytest.fixture(scope="module")
def moto() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield


@contextmanager
def moto_table() -> Iterator[Any]:
    client = boto3.client("dynamodb", region_name="us-east-1")
    wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    client.create_table(TableName="jobs", **{name: TABLE[name] for name in wanted})
    try:
        yield client
    finally:
        client.delete_table(TableName="jobs")


@pytest.mark.usefixtures("moto")
@given(calls=st.lists(PUTS | CHANGES | READS, min_size=5, max_size=15))
@SIDE_BY_SIDE
def test_dynamodb_behaves_as_moto(calls: list[tuple[str, dict[str, Any]]]) -> None:
    memory = MemoryDynamoDB(TABLE)
    with moto_table() as real:
        for operation, parameters in calls:
            assert outcome(memory, operation, parameters) == outcome(real, operation, parameters), (operation, parameters)
        for query in (BY_DUE, BY_OWNER):
            assert pages(memory, query) == pages(real, query)


BY_DUE: dict[str, Any] = {
    "TableName": "jobs",
    "IndexName": "due",
    "KeyConditionExpression": "dueShard = :shard AND dueAt <= :now",
    "ExpressionAttributeValues": {":shard": {"S": "b"}, ":now": {"N": "2"}},
    "Limit": 1,
}


BY_OWNER: dict[str, Any] = {
    "TableName": "jobs",
    "IndexName": "byOwner",
    "KeyConditionExpression": "#owner = :owner",
    "ExpressionAttributeNames": {"#owner": "owner"},
    "ExpressionAttributeValues": {":owner": {"S": "a"}},
    "ScanIndexForward": False,
    "Limit": 2,
}


def pages(client: Any, query: dict[str, Any]) -> list[Any]:
    """Return everything that the query finds, page by page."""
    found: list[Any] = []
    start: dict[str, Any] = {}
    for _ in range(10):
        page = client.query(**query, **start)
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    return found


# ── SQS ────────────────────────────────────────────────────────────────────────────────────────────

QUEUE_CALLS = st.lists(
    st.sampled_from(
        ["send", "send", "receive", "receive", "return at once", "return late", "return never", "delete", "delete again"]
    ),
    min_size=5,
    max_size=25,
)


@pytest.mark.usefixtures("moto")
@given(calls=QUEUE_CALLS)
@SIDE_BY_SIDE
def test_sqs_behaves_as_moto(calls: list[str]) -> None:
    client = boto3.client("sqs", region_name="us-east-1")
    dead = client.create_queue(QueueName="dead")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 3}}'
    url = client.create_queue(QueueName="jobs", Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "1000"})["QueueUrl"]
    now = datetime.now(UTC)
    buried = MemorySqs(lambda: now)
    memory = MemorySqs(lambda: now, urls=(url,), visibility=timedelta(seconds=1000), max_receive_count=3, dead_letters=buried)
    try:
        assert played(memory, url, calls) == played(client, url, calls)
        assert len(buried.messages) == len(client.receive_message(QueueUrl=dead, MaxNumberOfMessages=10).get("Messages", []))
    finally:
        client.delete_queue(QueueUrl=url)
        client.delete_queue(QueueUrl=dead)


def played(client: Any, url: str, calls: list[str]) -> list[Any]:
    """Return what a consumer sees that makes these calls with its last received message."""
    seen: list[Any] = []
    handle = ""
    for number, call in enumerate(calls):
        match call:
            case "send":
                client.send_message(QueueUrl=url, MessageBody=f"message {number}")
            case "receive":
                received = client.receive_message(QueueUrl=url).get("Messages", [])
                handle = received[0]["ReceiptHandle"] if received else handle
                seen.append([message["Body"] for message in received])
            case _ if handle and call.startswith("return"):
                seconds = {"return at once": 0, "return late": 900, "return never": 43200 + 1}[call]
                seen.append(is_accepted(client.change_message_visibility, url, handle, VisibilityTimeout=seconds))
            case _ if handle:
                seen.append(is_accepted(client.delete_message, url, handle))
    return seen


def is_accepted(call: Any, url: str, handle: str, **parameters: Any) -> bool:
    try:
        call(QueueUrl=url, ReceiptHandle=handle, **parameters)
    except ClientError:
        return False
    return True


# ── S3 ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("moto")
def test_s3_behaves_as_moto() -> None:
    real = boto3.client("s3", region_name="us-east-1")
    real.create_bucket(Bucket="jobs")
    assert uploaded(MemoryS3()) == uploaded(real)


def uploaded(client: Any) -> list[Any]:
    """Return what a client sees that writes, reads, uploads in parts and deletes."""
    place = {"Bucket": "jobs", "Key": "results/1"}
    seen = [outcome(client, "get_object", place)]
    client.put_object(**place, Body=b"first", ContentType="application/json")
    client.put_object(**place, Body=b"second", ContentType="application/json")
    seen.append(client.get_object(**place)["Body"].read())
    upload = {**place, "UploadId": client.create_multipart_upload(**place, ContentType="text/plain")["UploadId"]}
    part = client.upload_part(**upload, PartNumber=1, Body=b"in parts")
    seen.append(client.get_object(**place)["Body"].read())
    wrong = {"Parts": [{"PartNumber": 1, "ETag": '"00000000000000000000000000000000"'}]}
    seen.append(outcome(client, "complete_multipart_upload", {**upload, "MultipartUpload": wrong})[0])
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    seen.append(client.get_object(**place)["Body"].read())
    seen.append(outcome(client, "abort_multipart_upload", upload)[0])
    keys = [{"Key": key} for key in ("results/1", "results/2")]
    seen.append(client.delete_objects(Bucket="jobs", Delete={"Objects": keys, "Quiet": True}).get("Errors"))
    seen.append(outcome(client, "get_object", place))
    return seen


# ── Stricter than moto ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "parameters",
    [
        {"ConditionExpression": "mark = :b", "ExpressionAttributeValues": {":b": {"S": "b"}, ":more": {"S": "b"}}},
        {"ConditionExpression": "mark = :b"},
        {"ConditionExpression": "mark = ", "ExpressionAttributeValues": {}},
        {"Item": {"pk": {"S": "J#a#1"}, "count": {"N": "1" * 39}}},
        {"Item": {"pk": {"S": "J#a#1"}, "mark": {"S": "x" * 400 * 1024}}},
    ],
    ids=["unused placeholder", "missing placeholder", "half an expression", "39 digits", "a large item"],
)
def test_invalid_request_of_aws_is_rejected(parameters: dict[str, Any]) -> None:
    memory = MemoryDynamoDB(TABLE)
    put = {"TableName": "jobs", "Item": {"pk": {"S": "J#a#1"}}, **parameters}
    assert outcome(memory, "put_item", put) == ("ValidationException", None)


def test_missing_attribute_equals_no_value_and_no_missing_attribute() -> None:
    memory = MemoryDynamoDB(TABLE)
    put = {"TableName": "jobs", "Item": {"pk": {"S": "J#a#1"}}, "ConditionExpression": "mark = owner"}
    assert outcome(memory, "put_item", put) == ("ConditionalCheckFailedException", None)


def test_lagging_index_shows_an_earlier_state() -> None:
    memory = MemoryDynamoDB(TABLE)
    item = {"pk": {"S": "J#a#1"}, "dueShard": {"S": "b"}, "dueAt": {"N": "1"}}
    memory.put_item(TableName="jobs", Item=item)
    memory.put_item(TableName="jobs", Item={"pk": {"S": "J#a#1"}})
    assert memory.query(**BY_DUE)["Items"] == []
    assert memory.query(**BY_DUE, behind=1)["Items"] == [item]
