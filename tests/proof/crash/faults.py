"""The faults of an AWS call, and how each is injected into exactly that call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from asyncjobs.aws import clients
from tests.proof.crash import crashpoints
from tests.proof.crash.proxy import Proxy

SDK_TRIES: int = vars(clients._QUICK)["retries"]["total_max_attempts"]
"""The number of tries of the SDK, as the product configures it."""


class Fault(StrEnum):
    """A column of the matrix."""

    FAILS = "fails before"
    LOST = "applied, answer lost"
    ALL_LOST = "applied, every answer lost"
    THROTTLED = "throttled once"
    THROTTLED_5 = "throttled five times"
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"

    @property
    def gives_up(self) -> bool:
        """Return whether all tries of the SDK fail, so that the library raises `Unavailable`."""
        return self in {Fault.FAILS, Fault.ALL_LOST, Fault.THROTTLED_5}

    @property
    def kills(self) -> bool:
        return self in {Fault.KILLED_BEFORE, Fault.KILLED_AFTER}

    @property
    def is_applied(self) -> bool:
        """Return whether AWS has applied the request by the end of the call."""
        return self not in {Fault.FAILS, Fault.THROTTLED_5, Fault.KILLED_BEFORE}


@dataclass(frozen=True)
class Armed:
    """A fault that waits for its call. `fired` returns the number of times that it fired."""

    fired: Callable[[], int]
    least: int
    """The number of times that it must fire to be this fault."""


THROTTLING: dict[str, dict[str, Any]] = {
    "dynamodb_jobs": {"code": "ProvisionedThroughputExceededException"},
    "dynamodb_events": {"code": "ProvisionedThroughputExceededException"},
    # The proxy adds a namespace to SQS's code, which the SDK does not recognize; it uses the status.
    "sqs": {"code": "RequestThrottled", "status": 503},
    "s3": {"code": "SlowDown", "status": 503},
    "eventbridge": {"code": "ThrottlingException"},
}
UNANSWERED = ("ChangeMessageVisibility", "PutObject", "UploadPart", "AbortMultipartUpload", "PutObjectTagging", "DeleteObject")
"""Operations whose answer has no body. The proxy loses an answer by cutting its body, so here the function loses it."""
STREAMED = "GetObject"
"""The operation whose body the caller reads, and which the SDK does not retry during that."""
LOST_BODIES = 2
"""The number of those that "every answer" loses: as many as leave the job an attempt."""

_EFFECTS: dict[Fault, tuple[int, dict[str, Any]]] = {
    Fault.FAILS: (SDK_TRIES, {"reset": True}),
    Fault.LOST: (1, {"response": {"abort_bytes": 0}}),
    Fault.ALL_LOST: (SDK_TRIES, {"response": {"abort_bytes": 0}}),
}
_THROTTLED = {Fault.THROTTLED: 1, Fault.THROTTLED_5: 5}
_KILLED = {Fault.KILLED_BEFORE: crashpoints.KILLED_BEFORE, Fault.KILLED_AFTER: crashpoints.KILLED_AFTER}


def arm(fault: Fault, *, site: str, purpose: str, about: str, proxy: Proxy, folder: Path) -> Armed:
    """Arm the fault for the next call from that place about this job."""
    call = crashpoints.call_name(site, purpose)
    if fault.kills:
        return _in_the_function(folder, _KILLED[fault], call, about, times=1)
    times, effect = _effect(fault, site)
    if "response" in effect and site.endswith(UNANSWERED):
        return _in_the_function(folder, crashpoints.LOST, call, about, times=times)
    return _in_the_proxy(proxy, call, about, effect, times=times)


def _effect(fault: Fault, site: str) -> tuple[int, dict[str, Any]]:
    if fault in _THROTTLED:
        return _THROTTLED[fault], {"error": THROTTLING[site.partition(".")[0]]}
    times, effect = _EFFECTS[fault]
    if fault is Fault.ALL_LOST and site.endswith(STREAMED):
        times = LOST_BODIES
    return times, effect


def _in_the_function(folder: Path, what: str, call: str, about: str, *, times: int) -> Armed:
    fired = crashpoints.arm(folder, what, call, about, times=times)
    return Armed(lambda: sum(file.exists() for file in fired), times)


def _in_the_proxy(proxy: Proxy, call: str, about: str, effect: dict[str, Any], *, times: int) -> Armed:
    headers = {crashpoints.CALL: call}
    if about != crashpoints.ANYTHING:
        headers[crashpoints.ABOUT] = about
    [rule] = proxy.add([{"headers": headers, "times": times, **effect}])
    # A job whose call failed may not need a fifth one.
    return Armed(lambda: len(proxy.fired(rule)), min(times, SDK_TRIES))
