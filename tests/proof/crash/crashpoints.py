"""Crash points in the deployed functions of the test's copy of the tree: the first line of each function imports this module.

It adds headers to each AWS request, with its place in the library and its jobs, for the proxy's rules to match. And it does what
a proxy cannot: end the process right before or after a call, and lose an answer that has no body to cut. An armed fault is a file
in a folder; the process that renames the file executes the fault, once, and the renamed file is the proof.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import botocore
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session
from botocore.session import Session

_MODULES = ("dynamodb_jobs", "dynamodb_events", "sqs", "s3", "eventbridge")
ADAPTERS = frozenset(f"asyncjobs.aws.{name}" for name in _MODULES)
PORTS = "asyncjobs.core.ports"
CALL, ABOUT = "x-call", "x-about"
ANYTHING = "anything"
KILLED_BEFORE, KILLED_AFTER, LOST = "killed-before", "killed-after", "lost"
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def call_name(site: str, purpose: str) -> str:
    """Return the place of a call, as in the header of its request."""
    return f"{site} | {purpose} |"


def armed_name(what: str, call: str, about: str) -> str:
    """Return the name of the file that arms `what` for the next call from that place about that job."""
    return f"{what}-{hashlib.sha256(f'{call}{about}'.encode()).hexdigest()[:32]}"


def arm(folder: Path, what: str, call: str, about: str, *, times: int = 1) -> list[Path]:
    """Arm the fault, and return the files that exist once it has fired."""
    armed = [folder / f"{armed_name(what, call, about)}.{number}" for number in range(times)]
    for file in armed:
        file.touch()
    return [file.with_suffix(f"{file.suffix}.fired") for file in armed]


def _register(session: Session) -> None:
    """Send the requests of every client of the session through the crash points."""
    events = session.get_component("event_emitter")
    events.register("before-call", _before_call)
    events.register("after-call", _after_call)
    events.register("before-send", _before_send)


def _before_call(*, model: Any, params: Any, **_: Any) -> None:
    call, about = _place(model.name, params)
    params["headers"][CALL], params["headers"][ABOUT] = call, " ".join(about)
    params["context"]["place"] = call, about
    if _is_armed(KILLED_BEFORE, call, about):
        os._exit(9)


def _after_call(*, context: Any, **_: Any) -> None:
    if "place" in context and _is_armed(KILLED_AFTER, *context["place"]):
        os._exit(9)


def _before_send(*, request: Any, **_: Any) -> None:
    """Send the request and lose the answer."""
    call, about = (request.headers.get(name, b"") for name in (CALL, ABOUT))
    if _is_armed(LOST, _text(call), _text(about).split()):
        URLLib3Session().send(request)
        raise ConnectionClosedError(endpoint_url=request.url)


def _is_armed(what: str, call: str, about: list[str]) -> bool:
    for subject in (*about, ANYTHING):
        for number in range(9):
            armed = _FOLDER / f"{armed_name(what, call, subject)}.{number}"
            try:
                armed.rename(armed.with_suffix(f"{armed.suffix}.fired"))
            except FileNotFoundError:
                continue
            return True
    return False


def _place(operation: str, params: Any) -> tuple[str, list[str]]:
    """Return the place of a call from its stack frames: the adapter's function, its entry, and the caller of that; and the jobs."""
    site, entry, frame = "", "", sys._getframe(1)
    body = params.get("body") or b""
    text = "" if operation.endswith(("Object", "Part")) else _text(body)
    while frame.f_back is not None:
        frame = frame.f_back
        module = frame.f_globals.get("__name__", "")
        if module in ADAPTERS:
            site = site or f"{module.rpartition('.')[2]}.{frame.f_code.co_qualname}:{operation}"
            entry = frame.f_code.co_name
        elif site and module == PORTS:  # a method that the adapter has from its port
            entry = frame.f_code.co_name
        elif site and module.startswith("asyncjobs."):
            break
    # A receipt handle names no job, so the worker's variable does; a read of the queue length has only its caller's owner.
    received = frame.f_locals.get("received")
    reader = frame.f_back.f_locals.get("owner", "") if frame.f_back else ""
    message = received["body"] if isinstance(received, dict) else ""
    about = _ID.findall(f"{params.get('url_path', '')} {text} {message} {reader}")
    detail = _detail(operation, text) + _immediate(frame, text)
    return call_name(site, f"{entry} < {frame.f_code.co_qualname}{detail}"), list(dict.fromkeys(about))


def _detail(operation: str, body: str) -> str:
    """Return the purpose of an update beyond its place: the status that it writes, or that it also moves the due time."""
    if operation != "UpdateItem":
        return ""
    update = json.loads(body)
    status = update["ExpressionAttributeValues"].get(":new_status")
    if status:
        return f" > {status['S']}"
    return " > move_due" if "dueAt = :due" in update["UpdateExpression"] else ""


def _immediate(frame: Any, body: str) -> str:
    """Return whether the call belongs to an attempt in the submit function, by its claimant or its caller, or follows one."""
    job = frame.f_locals.get("job")
    if frame.f_code.co_qualname == "Sender.send" and getattr(job, "attempt", 0):
        return " > handed over"
    is_immediate = '"submit/' in body
    while frame.f_back is not None and not is_immediate:
        frame = frame.f_back
        is_immediate = frame.f_globals.get("__name__") == "asyncjobs.worker.immediate"
    return " > immediate" if is_immediate else ""


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)


if "CRASHPOINTS" in os.environ:
    _FOLDER = Path(os.environ["CRASHPOINTS"])
    botocore.register_initializer(_register)
