"""Reports on tracked jobs."""

from __future__ import annotations

from typing import Any

import pytest

from asyncjobs_client.reports import completed, failed, progressed


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (progressed(0, None), {"progress": 0}),
        (progressed(None, "Half"), {"message": "Half"}),
        (completed(None, None, None), {"status": "COMPLETED", "result": None}),
        (completed([1], None, "Done"), {"status": "COMPLETED", "result": [1], "message": "Done"}),
        (
            completed(None, "https://a.example.com/r", None),
            {"status": "COMPLETED", "resultLocation": "https://a.example.com/r"},
        ),
        (failed("It is broken.", None), {"status": "FAILED", "error": {"message": "It is broken."}}),
        (failed("It is broken.", "BROKEN"), {"status": "FAILED", "error": {"message": "It is broken.", "code": "BROKEN"}}),
    ],
)
def test_report_has_what_is_given_and_a_null_result(report: dict[str, Any], expected: dict[str, Any]) -> None:
    assert report == expected
