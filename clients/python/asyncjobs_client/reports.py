"""What a report on a tracked job says, for its owner and its worker."""

from __future__ import annotations

from typing import Any


def progressed(progress: float | None, message: str | None) -> dict[str, Any]:
    """Return a report of progress, a message, or both."""
    return _given(progress=progress, message=message)


def completed(result: Any, location: str | None, message: str | None) -> dict[str, Any]:
    """Return a report that ends the job. Its result may be null, which is a result."""
    outcome = {"resultLocation": location} if location else {"result": result}
    return {"status": "COMPLETED", **outcome, **_given(message=message)}


def failed(message: str, code: str | None) -> dict[str, Any]:
    """Return a report that ends the job as failed."""
    return {"status": "FAILED", "error": {"message": message} | ({"code": code} if code else {})}


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
