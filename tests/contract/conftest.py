"""The adapters under test: the fake, the real one over moto, and the real one over any engine you name."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import boto3
import pytest
from asyncjobs.objects import Objects, S3Objects
from asyncjobs.queue import Queue, SqsQueue
from asyncjobs.store import DynamoStore, Store
from moto import mock_aws

from tests.fakes import FakeObjects, FakeStore
from tests.template.source import resource

ENGINE = os.environ.get("ASYNCJOBS_TEST_DYNAMODB_ENDPOINT")
"""The address of a DynamoDB of your own, such as AWS's DynamoDB Local."""


@pytest.fixture
def aws_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty AWS account of moto's, in this process."""
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


@pytest.fixture(params=["fake", "moto", *(["engine"] if ENGINE else [])])
def store(request: pytest.FixtureRequest) -> Store:
    """A store with an empty table."""
    if request.param == "fake":
        return FakeStore()
    if request.param == "moto":
        request.getfixturevalue("aws_account")
    client = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=ENGINE if request.param == "engine" else None,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    name = f"jobs-{uuid.uuid4().hex}"
    properties = resource("Table")["Properties"]
    client.create_table(
        TableName=name,
        **{key: properties[key] for key in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")},
    )
    client.get_waiter("table_exists").wait(TableName=name)
    request.addfinalizer(lambda: client.delete_table(TableName=name))
    return DynamoStore(name, client)


@pytest.fixture
def sqs_queue(aws_account: None) -> Queue:
    """A queue in moto."""
    url = boto3.client("sqs").create_queue(QueueName="jobs")["QueueUrl"]
    return SqsQueue(url)


@pytest.fixture(params=["fake", "moto"])
def objects(request: pytest.FixtureRequest) -> Objects:
    """An empty bucket."""
    if request.param == "fake":
        return FakeObjects()
    request.getfixturevalue("aws_account")
    boto3.client("s3").create_bucket(Bucket="jobs")
    return S3Objects("jobs")
