"""The pollers of the priorities' queues, which are event source mappings of Lambda, for administrators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.core.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_PAUSED = frozenset({"Disabling", "Disabled"})
_BUSY = "ResourceInUseException"
"""Lambda's error code while an earlier change of the mapping is not done."""


class LambdaPollers:
    """`Pollers` in Lambda, by the UUIDs of their mappings."""

    def __init__(self, mappings: Mapping[str, str], client: LambdaClient | None = None) -> None:
        self._mappings = mappings
        self._client = client or clients.functions()

    def is_paused(self, name: str) -> bool:
        with clients.translated("Lambda"):
            answer: Any = self._client.get_event_source_mapping(UUID=self._mappings[name])
        return answer["State"] in _PAUSED

    def switch(self, name: str, *, on: bool) -> None:
        try:
            with clients.translated("Lambda"):
                self._client.update_event_source_mapping(UUID=self._mappings[name], Enabled=on)
        except ClientError as error:
            if clients.error_code(error) != _BUSY:
                raise
            raise Unavailable("An earlier change of the pollers is not done yet.") from error
