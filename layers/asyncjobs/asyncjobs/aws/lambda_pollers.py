"""The pollers of the priorities' queues, which are event source mappings of Lambda, for administrators."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.core.administration import PollersState
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

    def state(self, name: str) -> PollersState:
        with clients.translated("Lambda"):
            answer: Any = self._client.get_event_source_mapping(UUID=self._mappings[name])
        return PollersState(answer["State"] in _PAUSED, _paused_types(answer.get("FilterCriteria")))

    def switch(self, name: str, *, on: bool) -> None:
        self._change(name, Enabled=on)

    def drop(self, name: str, job_types: frozenset[str]) -> None:
        """See `Pollers`. Lambda deletes a message that no filter matches."""
        # A pattern for each type would not do: a message passes if one of them matches.
        pattern = {"body": {"jobType": [{"anything-but": sorted(job_types)}]}}
        filters = [{"Pattern": json.dumps(pattern, separators=(",", ":"))}]
        # Nothing at all removes the filter.
        self._change(name, FilterCriteria={"Filters": filters} if job_types else {})

    def _change(self, name: str, **changes: Any) -> None:
        try:
            with clients.translated("Lambda"):
                self._client.update_event_source_mapping(UUID=self._mappings[name], **changes)
        except ClientError as error:
            if clients.error_code(error) != _BUSY:
                raise
            raise Unavailable("An earlier change of the pollers is not done yet.") from error


def _paused_types(criteria: Any) -> frozenset[str]:
    """Read what `drop` wrote. A filter of another form is not ours."""
    try:
        (only,) = criteria["Filters"]
        (rule,) = json.loads(only["Pattern"])["body"]["jobType"]
        return frozenset(rule["anything-but"])
    except (TypeError, KeyError, ValueError):
        return frozenset()
