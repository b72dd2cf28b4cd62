"""What the AWS adapters share: how clients are made, and which of AWS's errors mean "not now"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnectionError

from asyncjobs.core.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

# boto3's own defaults wait a minute for an answer and try again for minutes. A call of ours is over, one way or the other,
# in some 10 s: an API function makes two within its 25 s, and a heartbeat one within its lease.
_RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}
_QUICK = Config(connect_timeout=1, read_timeout=2, retries=_RETRIES)
_BULKY = Config(
    connect_timeout=1,
    read_timeout=5,
    retries=_RETRIES,
    signature_version="s3v4",
    # A link must name the bucket's own region: the global host answers for others by a redirect, which breaks the signature.
    # On an address without a name, a local engine's, boto3 falls back to paths.
    s3={"addressing_style": "virtual"},
    # Otherwise boto3 adds a checksum to each part of an upload that was begun without one.
    request_checksum_calculation="when_required",
)


def dynamodb() -> DynamoDBClient:
    """A client for the table."""
    return boto3.client("dynamodb", config=_QUICK)


def sqs() -> SQSClient:
    """A client for the queue."""
    return boto3.client("sqs", config=_QUICK)


def s3() -> S3Client:
    """A client for the bucket."""
    return boto3.client("s3", config=_BULKY)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn "not now" into `Unavailable`; anything else is a mistake of ours or of the deployment, and passes."""
    try:
        yield
    except ClientError as error:
        if _is_passing(error):
            raise Unavailable(f"{what} is not available: {error_code(error)}") from error
        raise
    except (NoConnectionError, HTTPClientError, IncompleteReadError) as error:
        raise Unavailable(f"{what} is not available: {type(error).__name__}") from error


def error_code(error: ClientError) -> str:
    """AWS's code for the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def standing_item(error: ClientError) -> Any:
    """The item that stood there when a write's condition failed, if the write asked for it; None for none.

    Any other error is raised again.
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
        "KMS.ThrottlingException",
        "OverLimit",
    }
)
