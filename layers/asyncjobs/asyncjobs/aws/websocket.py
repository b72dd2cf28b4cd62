"""Messages to the connections of the WebSocket API."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.watch import Posted
from asyncjobs.log import log_event


class WebSocketConnections:
    """`Connections` of the WebSocket API with this URL, that of a client: `wss://…`."""

    def __init__(self, url: str, client: Any = None) -> None:
        self._url = url
        self._given = client

    def post(self, connection_id: str, text: str) -> Posted:
        try:
            with clients.translated("The WebSocket API"):
                self._client.post_to_connection(ConnectionId=connection_id, Data=text.encode())
        except Unavailable as error:
            log_event("PUSH_DROPPED", reason=str(error))
            return Posted.DROPPED
        except ClientError as error:
            if clients.error_code(error) == "GoneException":
                return Posted.GONE
            # Such as a message that is too large: the other connections get theirs.
            log_event("PUSH_DROPPED", reason=clients.error_code(error))
            return Posted.DROPPED
        return Posted.SENT

    @cached_property
    def _client(self) -> Any:
        """Return the client. It is made for the first message: most processes send none."""
        return self._given or clients.websocket(self._url)
