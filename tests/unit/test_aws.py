"""Which errors mean "not now"."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from asyncjobs.aws import error_code, translated
from asyncjobs.errors import Unavailable

URL = "https://sqs.example"


def client_error(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "canary"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutItem")


@pytest.mark.parametrize(
    "error",
    [
        client_error("ProvisionedThroughputExceededException"),
        client_error("ThrottlingException"),
        client_error("RequestLimitExceeded"),
        client_error("TransactionInProgressException"),
        client_error("RequestThrottled", 403),
        client_error("RequestTimeout"),
        client_error("SlowDown", 503),
        client_error("InternalServerError", 500),
        client_error("any at all", 502),
        client_error("any at all", 429),
        ConnectTimeoutError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
        EndpointConnectionError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        HTTPClientError(error="reset"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
    ],
    ids=repr,
)
def test_what_may_pass_is_unavailable(error: ClientError | BotoCoreError) -> None:
    with pytest.raises(Unavailable) as raised, translated("The queue"):
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        client_error("ConditionalCheckFailedException"),
        client_error("ValidationException"),
        client_error("ResourceNotFoundException"),
        client_error("AccessDeniedException"),
        client_error("NoSuchKey", 404),
        NoCredentialsError(),
        ParamValidationError(report="wrong"),
        KeyError("a mistake of ours"),
    ],
    ids=repr,
)
def test_a_mistake_of_ours_or_of_the_deployment_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translated("The queue"):
        raise error
    assert raised.value is error


def test_the_sentence_names_who_did_not_answer_and_the_code_but_not_what_was_said() -> None:
    with pytest.raises(Unavailable, match=r"^The table is not available: ThrottlingException$"), translated("The table"):
        raise client_error("ThrottlingException")


def test_an_error_without_a_code_has_an_empty_one() -> None:
    assert error_code(ClientError({}, "PutItem")) == ""
