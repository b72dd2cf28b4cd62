"""The adapters under test: the fake, the real one over moto, and the real one over an engine of your choice."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.core.ports import Store
from tests.support.fakes import FakeStore
from tests.template.source import resource
from tests.unit.conftest import lines  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENGINE = os.environ.get("ASYNCJOBS_TEST_DYNAMODB_ENDPOINT")
"""The address of another DynamoDB, such as AWS's DynamoDB Local."""


@pytest.fixture(scope="module")
def aws_account() -> Iterator[None]:
    """Start an AWS account of moto in this process. One per module, since clients are slow to create."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        with mock_aws():
            yield


@pytest.fixture(scope="module")
def table(aws_account: None) -> Iterator[tuple[str, DynamoDBClient]]:  # noqa: ARG001 - the account holds it
    """Return the name of a table that the module's tests share, and its client."""
    with _new_table() as made:
        yield made


@pytest.fixture
def empty_table(aws_account: None) -> Iterator[tuple[str, DynamoDBClient]]:  # noqa: ARG001 - the account holds it
    """Return the name of an empty table, and its client."""
    with _new_table() as made:
        yield made


@pytest.fixture(scope="module")
def moto(aws_account: None) -> DynamoDBClient:  # noqa: ARG001 - the account answers it
    """Return a client of moto. One per module, since clients are slow to create."""
    return _client(None)


@pytest.fixture(scope="module")
def engine() -> DynamoDBClient:
    """Return a client of the engine of your choice."""
    return _client(ENGINE)


@pytest.fixture(params=["fake", "moto", *(["engine"] if ENGINE else [])])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Return a store with an empty table."""
    if request.param == "fake":
        yield FakeStore()
        return
    client: DynamoDBClient = request.getfixturevalue(request.param)
    name = create_table(client)
    yield DynamoStore(name, client)
    client.delete_table(TableName=name)


def _client(endpoint_url: str | None) -> DynamoDBClient:
    return boto3.client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@contextmanager
def _new_table() -> Iterator[tuple[str, DynamoDBClient]]:
    client = boto3.client("dynamodb")
    name = create_table(client)
    yield name, client
    client.delete_table(TableName=name)


def create_table(client: DynamoDBClient) -> str:
    """Create an empty table as in the template and return its name."""
    name = f"jobs-{uuid.uuid4().hex}"
    properties = resource("Table")["Properties"]
    created = client.create_table(
        TableName=name,
        **{key: properties[key] for key in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")},
    )
    # moto creates it while it answers, and a waiter takes long to make.
    if created["TableDescription"]["TableStatus"] != "ACTIVE":
        client.get_waiter("table_exists").wait(TableName=name)
    return name
