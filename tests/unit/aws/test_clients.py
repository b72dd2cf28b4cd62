"""Which AWS errors are temporary, and how clients are configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config
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
from botocore.session import Session, get_session

from asyncjobs.aws import clients
from asyncjobs.aws.clients import error_code, translated
from asyncjobs.core.errors import Unavailable

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
        client_error("KMS.ThrottlingException"),
        client_error("KmsThrottled"),
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
def test_temporary_error_is_unavailable(error: ClientError | BotoCoreError) -> None:
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
def test_permanent_error_is_raised_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translated("The queue"):
        raise error
    assert raised.value is error


def test_message_names_the_operation_and_the_code_but_not_the_text() -> None:
    with pytest.raises(Unavailable, match=r"^The table is not available: ThrottlingException$"), translated("The table"):
        raise client_error("ThrottlingException")


def test_error_without_a_code_has_an_empty_one() -> None:
    assert error_code(ClientError({}, "PutItem")) == ""


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set credentials and a region for a new session."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    clients._session.cache_clear()
    yield
    clients._session.cache_clear()


@pytest.mark.usefixtures("account")
def test_clients_share_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = iter([get_session()])
    monkeypatch.setattr(clients, "get_session", lambda: next(sessions))
    for make in (clients.dynamodb, clients.sqs, clients.s3):
        make()


@pytest.mark.parametrize("make", [clients.dynamodb, clients.sqs, clients.s3])
@pytest.mark.usefixtures("account")
def test_call_ends_within_18_seconds(make: Callable[[], Any]) -> None:
    config = make().meta.config
    assert config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout) <= 18
    assert config.retries["mode"] == "standard"


@pytest.mark.parametrize("make", [clients.dynamodb, clients.sqs, clients.s3])
@pytest.mark.usefixtures("account")
def test_empty_endpoint_is_aws(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    meta = make().meta
    assert meta.endpoint_url == f"https://{meta.service_model.endpoint_prefix}.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("make", [clients.dynamodb, clients.sqs, clients.s3])
@pytest.mark.usefixtures("account")
def test_endpoint_of_the_environment_is_used(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert make().meta.endpoint_url == "http://127.0.0.1:1"


@pytest.mark.usefixtures("account")
def test_link_names_the_buckets_region() -> None:
    # For a new bucket in another region the global host redirects, and the signature no longer matches.
    link = clients.s3().generate_presigned_url("get_object", Params={"Bucket": "jobs", "Key": "results/x"}, ExpiresIn=300)
    assert link.startswith("https://jobs.s3.eu-west-1.amazonaws.com/results/x?")


@pytest.mark.usefixtures("account")
def test_completion_of_an_upload_may_take_longer_than_other_calls() -> None:
    quick: Any = clients.s3().meta.config
    patient: Any = clients.patient_s3().meta.config
    assert (quick.read_timeout, patient.read_timeout) == (5, 60)
    assert patient.s3 == quick.s3


SINCE_2023 = {
    "connect_timeout",
    "parameter_validation",
    "read_timeout",
    "retries",
    "s3",
    "signature_version",
    "user_agent",
}
"""The options that every botocore of a Lambda runtime has: each region updates its runtimes at another time."""


@pytest.mark.parametrize("make", [clients.dynamodb, clients.sqs, clients.s3])
@pytest.mark.usefixtures("account")
def test_older_botocore_of_a_runtime_has_every_option(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    given: set[str] = set()

    class RecordedConfig(Config):
        def __init__(self, **options: Any) -> None:
            given.update(options)
            super().__init__(**options)

    given.update(*(vars(clients)[name]._user_provided_options for name in ("_QUICK", "_BULKY")))
    monkeypatch.setattr(clients, "Config", RecordedConfig)
    make()
    assert given <= SINCE_2023


@pytest.mark.usefixtures("account")
def test_upload_has_no_checksum_that_it_was_not_created_with() -> None:
    link = clients.s3().generate_presigned_url("put_object", Params={"Bucket": "jobs", "Key": "inputs/x"}, ExpiresIn=300)
    assert "checksum" not in link


def test_unknown_setting_of_a_session_is_no_error() -> None:
    # So a runtime with a botocore from before a setting still starts.
    Session().set_config_variable("no_such_setting", "when_required")
