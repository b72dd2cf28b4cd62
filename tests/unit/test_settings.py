"""Settings are read from the environment variables of the template."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asyncjobs.core.job import Priority
from asyncjobs.settings import Settings


def test_every_variable_is_read() -> None:
    environment = {
        "APPLICATION": "orders",
        "TABLE_NAME": "table",
        "HIGH_QUEUE_URL": "https://high",
        "QUEUE_URL": "https://queue",
        "LOW_QUEUE_URL": "https://low",
        "BUCKET_NAME": "bucket",
        "MAX_RETENTION_DAYS": "90",
        "IMMEDIATE_MILLISECONDS": "500",
        "SUBMIT_RATE_PER_MINUTE": "60",
        "SUBMIT_BURST": "20",
        "MAX_LIVE_JOBS_PER_OWNER": "100",
        "MAX_BACKLOG": "5000",
        "TELL_QUEUE_DEPTH": "true",
        "PATH": "/bin",
    }
    assert Settings.from_environment(environment) == Settings(
        application="orders",
        table_name="table",
        queue_urls={Priority.HIGH: "https://high", Priority.STANDARD: "https://queue", Priority.LOW: "https://low"},
        bucket_name="bucket",
        max_retention=timedelta(days=90),
        immediate_threshold=timedelta(seconds=0.5),
        submit_rate_per_minute=60,
        submit_burst=20,
        max_live=100,
        max_backlog=5000,
        tells_queue_depth=True,
    )


def test_optional_variable_may_be_absent() -> None:
    settings = Settings.from_environment({"APPLICATION": "orders", "TABLE_NAME": "table"})
    assert (settings.queue_urls, settings.bucket_name) == (dict.fromkeys(Priority, ""), "")
    assert (settings.submit_rate_per_minute, settings.max_live, settings.max_backlog) == (0, 0, 0)
    assert settings.tells_queue_depth is False


@pytest.mark.parametrize("missing", ["APPLICATION", "TABLE_NAME"])
def test_missing_required_variable_is_named(missing: str) -> None:
    environment = {"APPLICATION": "orders", "TABLE_NAME": "table"}
    del environment[missing]
    with pytest.raises(KeyError, match=missing):
        Settings.from_environment(environment)


def test_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLICATION", "orders")
    monkeypatch.setenv("TABLE_NAME", "table of this process")
    assert Settings.from_environment().table_name == "table of this process"
