"""Messages to connections of a WebSocket API: what becomes of them, for each answer of the gateway."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from asyncjobs.aws import clients
from asyncjobs.aws.websocket import WebSocketConnections
from asyncjobs.core.watch import Posted
from tests.unit.conftest import Lines

URL = "wss://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/v1"


class Gateway:
    """A client that keeps what is posted, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.posted: list[tuple[str, bytes]] = []

    def post_to_connection(self, *, ConnectionId: str, Data: bytes) -> None:  # noqa: N803 - AWS's names
        if self._error is not None:
            raise self._error
        self.posted.append((ConnectionId, Data))


def refusal(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PostToConnection")  # type: ignore[typeddict-item]


def test_message_is_sent_as_utf_8() -> None:
    gateway = Gateway()
    assert WebSocketConnections(URL, gateway).post("c1=", '{"message":"ü"}') is Posted.SENT
    assert gateway.posted == [("c1=", '{"message":"ü"}'.encode())]


def test_closed_connection_is_reported(lines: Lines) -> None:
    assert WebSocketConnections(URL, Gateway(refusal("GoneException", 410))).post("c1=", "x") is Posted.GONE
    assert lines.events == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (refusal("LimitExceededException", 429), "LimitExceededException"),
        (refusal("PayloadTooLargeException", 413), "PayloadTooLargeException"),
        (refusal("ForbiddenException", 403), "ForbiddenException"),
        (refusal("InternalServerError", 500), "InternalServerError"),
        (ConnectTimeoutError(endpoint_url="https://socket"), "ConnectTimeoutError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_message_that_cannot_be_sent_is_dropped_with_its_reason(lines: Lines, error: Exception, reason: str) -> None:
    assert WebSocketConnections(URL, Gateway(error)).post("c1=", "x") is Posted.DROPPED
    ((line,),) = [lines.events]
    assert line["message"] == "PUSH_DROPPED"
    assert reason in line["reason"]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (URL, "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/v1"),
        ("ws://127.0.0.1:4566/_aws/execute-api/a1/v1", "http://127.0.0.1:4566/_aws/execute-api/a1/v1"),
    ],
)
@pytest.mark.usefixtures("aws_account")
def test_client_sends_to_the_api_whose_url_clients_use(url: str, endpoint: str) -> None:
    made: Any = clients.websocket(url)
    assert made.meta.endpoint_url == endpoint
    assert made.meta.config.max_pool_connections == clients.PUSH_THREADS
