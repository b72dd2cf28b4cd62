# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""CloudWatch metrics in a function's log (embedded metric format)."""

import json
from collections.abc import Iterator
from typing import Any

from local.emulator_patches.emulator import module


def read_embedded_metrics() -> None:
    """Turn log lines in the embedded metric format into data points, as CloudWatch does. The emulator keeps only the text."""
    functions, metrics = module("services.lambda_svc"), module("services.cloudwatch")
    write_logs = functions._emit_lambda_logs

    def write_logs_and_metrics(function: Any, request_id: str, text: str, *rest: Any, **more: Any) -> None:
        write_logs(function, request_id, text, *rest, **more)
        for line in (text or "").splitlines():
            for request in _requests(line):
                metrics._put_metric_data(params=None, cbor_data=request, is_cbor=False, is_json=True)

    functions._emit_lambda_logs = write_logs_and_metrics


def _requests(line: str) -> list[dict[str, Any]]:
    """Return a PutMetricData request for each metric and set of dimensions, and none for lines in other formats."""
    if '"_aws"' not in line:
        return []
    try:
        return list(_read(json.loads(line)))
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


def _read(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for names in directive.get("Dimensions") or [[]]:
            dimensions = [{"Name": name, "Value": str(document[name])} for name in names]
            for metric in directive["Metrics"]:
                value = document[metric["Name"]]
                datum = {
                    "MetricName": metric["Name"],
                    "Dimensions": dimensions,
                    "Unit": metric.get("Unit", "None"),
                    **({"Values": value} if isinstance(value, list) else {"Value": value}),
                }
                yield {"Namespace": directive["Namespace"], "MetricData": [datum]}
