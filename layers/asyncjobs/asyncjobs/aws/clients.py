"""What the AWS adapters share: how clients are made, and which AWS errors mean "not now"."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnectionError
from botocore.session import get_session

from asyncjobs.core.errors import Unavailable

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

# By default botocore waits a minute for an answer and retries for minutes. With these settings a call ends within about
# 10 s, whatever happens: an API function makes two calls within its 25 s, and a heartbeat one within its lease.
_RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}
_QUICK = Config(
    connect_timeout=1,
    read_timeout=2,
    retries=_RETRIES,
    # Checking each attribute of an item takes a tenth of a warm submit, and DynamoDB and SQS check their input themselves.
    parameter_validation=False,
)
PUSH_THREADS = 16
_COMPLETION_SECONDS = 60
"""The wait for the answer to the end of a multipart upload: S3 may take minutes to put many parts together."""
_BULKY = Config(
    connect_timeout=1,
    read_timeout=5,
    retries=_RETRIES,
    signature_version="s3v4",
    # A link must name the bucket's own region: for other regions the global host redirects, which breaks the signature.
    # botocore falls back to paths where the endpoint is an IP address, as the local engine's is.
    s3={"addressing_style": "virtual"},
)

# A message is dropped rather than sent late, since a batch of the stream waits for it; see `push.watchers`.
_PUSHES = _QUICK.merge(Config(retries={"mode": "standard", "total_max_attempts": 2}, max_pool_connections=PUSH_THREADS))


def dynamodb() -> DynamoDBClient:
    """Make a client for the table."""
    return cast("DynamoDBClient", _client("dynamodb", _QUICK))


def sqs() -> SQSClient:
    """Make a client for the queues."""
    return cast("SQSClient", _client("sqs", _QUICK))


def events() -> Any:
    """Make a client for the event bus."""
    return _client("events", _QUICK)


def s3() -> S3Client:
    """Make a client for the bucket."""
    return cast("S3Client", _client("s3", _BULKY))


def patient_s3() -> S3Client:
    """Make a client that completes multipart uploads."""
    return cast("S3Client", _client("s3", _BULKY.merge(Config(read_timeout=_COMPLETION_SECONDS))))


def functions() -> LambdaClient:
    """Make a client for the functions and their pollers."""
    return cast("LambdaClient", _client("lambda", _QUICK))


def websocket(url: str) -> Any:
    """Make a client that sends messages to the connections of the WebSocket API with this URL, `wss://…`."""
    endpoint = f"http{url.removeprefix('ws')}"
    return _client("apigatewaymanagementapi", _PUSHES, endpoint)


def _client(service: str, config: Config, endpoint: str | None = None) -> BaseClient:
    session = _session()
    # Made once. Without this, botocore makes the header twice for each call: a tenth of the call's processor time.
    config = config.merge(Config(user_agent=session.user_agent()))
    client = session.create_client(service, config=config, endpoint_url=endpoint)
    _clients.add(client)
    return client


_clients: weakref.WeakSet[BaseClient] = weakref.WeakSet()


def _close_connections() -> None:
    """Let a forked process open its own connections: on one that two processes use, their requests and answers would mix."""
    for client in _clients:
        client.close()


os.register_at_fork(after_in_child=_close_connections)


@functools.cache
def _session() -> Session:
    """Return the one session of the process, so that its clients share credentials and service models.

    It is botocore's: boto3 adds resources and transfers, which nothing here uses, and 13 % to the time of a cold start.
    """
    session = get_session()
    # By default botocore adds a checksum to each part, even of an upload that was created without one. This is not an option
    # of `Config`, because the runtime's botocore may be older than that option. It ignores a variable that it does not know.
    session.set_config_variable("request_checksum_calculation", "when_required")
    return session


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn "not now" into `Unavailable`. Any other error is a bug or a wrong deployment, and passes unchanged."""
    try:
        yield
    except ClientError as error:
        if _is_passing(error):
            raise Unavailable(f"{what} is not available: {error_code(error)}") from error
        raise
    except (NoConnectionError, HTTPClientError, IncompleteReadError) as error:
        raise Unavailable(f"{what} is not available: {type(error).__name__}") from error


@contextmanager
def unavailable(what: str) -> Iterator[None]:
    """Turn every error of AWS into `Unavailable`, also a permission or a key that is missing."""
    try:
        with translated(what):
            yield
    except ClientError as error:
        raise Unavailable(f"{what} refuses requests: {error_code(error)}") from error


def error_code(error: ClientError) -> str:
    """Return AWS's code for the error, "" when it has none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def conflicting_item(error: ClientError) -> Any:
    """Return the item that made a write's condition fail, or None when there was none or the write did not request it.

    Raises the error again if it is any other.
    """
    if error_code(error) != "ConditionalCheckFailedException":
        raise error
    return error.response.get("Item") or None


def _is_passing(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS or error_code(error) in _PASSING


_PASSING = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "RequestThrottled",
        "RequestLimitExceeded",
        "LimitExceededException",
        "SlowDown",
        "RequestTimeout",
        "RequestTimeoutException",
        "TransactionInProgressException",
        # The same error in two protocols.
        "KMS.ThrottlingException",
        "KmsThrottled",
        "OverLimit",
    }
)
