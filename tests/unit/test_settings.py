"""Settings from the template's environment variables."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asyncjobs.core.job import Priority
from asyncjobs.core.message import DELIVERIES
from asyncjobs.settings import SettingMissing, Settings

ENVIRONMENT = {
    "APPLICATION": "orders",
    "LOG_LEVEL": "WARNING",
    "LOG_EXCEPTION_TEXT": "true",
    "TABLE_NAME": "table",
    "HIGH_QUEUE_URL": "https://high",
    "QUEUE_URL": "https://queue",
    "LOW_QUEUE_URL": "https://low",
    "DELIVERY_QUEUE_URL": "https://deliveries",
    "BUCKET_NAME": "bucket",
    "MAX_RETENTION_DAYS": "90",
    "DEFAULT_RETENTION_DAYS": "3",
    "IMMEDIATE_MILLISECONDS": "500",
    "SUBMIT_RATE_PER_MINUTE": "60",
    "SUBMIT_BURST": "20",
    "MAX_LIVE_JOBS_PER_OWNER": "100",
    "MAX_BACKLOG": "5000",
    "MAX_UPLOAD_MEGABYTES": "7",
    "MAX_RESULT_MEGABYTES": "9",
    "MAX_WAIT_SECONDS": "10",
    "MAX_WAITS_PER_OWNER": "3",
    "TELL_QUEUE_DEPTH": "true",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_FUNCTION_NAME": "orders-Function",
    "WEBHOOKS": "ON",
    "DIALECTS": "daemon,acme",
    "WEB_SOCKET": "ON",
    "SOCKET_URL": "wss://socket.example/v1",
    "HISTORY_PAUSE_SECONDS": "60",
    "EVENT_LOG": "ON",
    "AWS_REGION": "eu-west-1",
    "LOG_GROUPS": "one,two",
    "HIGH_POLLERS": "1",
    "STANDARD_POLLERS": "2",
    "LOW_POLLERS": "3",
    "DEAD_LETTER_QUEUE_URL": "https://dead",
    "ADMIN_GROUP_CLAIM": "roles",
    "ADMIN_GROUPS": "viewer,payload-viewer,operator,admin",
    "AUDIT_RETENTION_DAYS": "400",
    "JWT_ISSUER": "https://id.example",
    "JWT_AUDIENCE": "one,two",
    "JWT_SCOPE": "jobs,NONE",
    "CONSOLE_CLIENT_ID": "web",
    "SIGN_IN_URL": "https://sign-in.example",
    "SIGN_IN_URLS": "https://a.example,https://b.example",
    "EVENT_BUS_NAME": "orders",
    "PATH": "/bin",
}
EXPECTED = {
    "pollers": {Priority.HIGH: "1", Priority.STANDARD: "2", Priority.LOW: "3"},
    "dead_letter_queue_url": "https://dead",
    "region": "eu-west-1",
    "log_groups": ["one", "two"],
    "admin_group_claim": "roles",
    "admin_groups": ["viewer", "payload-viewer", "operator", "admin"],
    "audit_retention": timedelta(days=400),
    "dialects": ["daemon", "acme"],
    "jwt_issuer": "https://id.example",
    "jwt_audiences": ["one", "two"],
    "jwt_scopes": ["jobs"],
    "console_client_id": "web",
    "sign_in_url": "https://sign-in.example",
    "sign_in_urls": ["https://a.example", "https://b.example"],
    "application": "orders",
    "log_level": "WARNING",
    "log_exception_text": True,
    "memory": 512,
    "function_name": "orders-Function",
    "table_name": "table",
    "queue_urls": {
        Priority.HIGH: "https://high",
        Priority.STANDARD: "https://queue",
        Priority.LOW: "https://low",
        DELIVERIES: "https://deliveries",
    },
    "webhooks": True,
    "delivers_to_loopback": False,
    "bucket_name": "bucket",
    "max_retention": timedelta(days=90),
    "default_retention": timedelta(days=3),
    "immediate_threshold": timedelta(seconds=0.5),
    "submit_rate_per_minute": 60,
    "submit_burst": 20,
    "max_live": 100,
    "max_backlog": 5000,
    "max_upload": 7_000_000,
    "max_result": 9_000_000,
    "has_event_log": True,
    "max_wait": timedelta(seconds=10),
    "max_waits": 3,
    "shows_queue_depth": True,
    "has_socket": True,
    "socket_url": "wss://socket.example/v1",
    "history_pause": timedelta(minutes=1),
    "event_bus_name": "orders",
}
SETTINGS = [name for name, value in vars(Settings).items() if isinstance(value, property)]


def test_every_setting_is_expected_below() -> None:
    assert set(SETTINGS) == EXPECTED.keys()


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_has_the_value_of_its_variable(name: str) -> None:
    assert getattr(Settings(ENVIRONMENT), name) == EXPECTED[name]


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_without_its_variable_raises_an_error_that_names_it(name: str) -> None:
    with pytest.raises(SettingMissing, match=r"^The environment variable [A-Z_]+ is not set\. ") as raised:
        getattr(Settings({}), name)
    assert str(raised.value).split()[3] in ENVIRONMENT


@pytest.mark.parametrize("missing", ["HIGH_QUEUE_URL", "QUEUE_URL", "LOW_QUEUE_URL", "DELIVERY_QUEUE_URL"])
def test_one_missing_queue_is_named(missing: str) -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    with pytest.raises(SettingMissing, match=f" {missing} "):
        _ = Settings(environment).queue_urls


def test_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", "table of this process")
    assert Settings().table_name == "table of this process"


@pytest.mark.parametrize(
    ("webhooks", "endpoint", "expected"),
    [
        ("OFF", "http://127.0.0.1:4566", (False, False)),
        ("ON", "http://127.0.0.1:4566", (True, False)),
        ("LOOPBACK", "http://127.0.0.1:4566", (True, True)),
        ("LOOPBACK", "", (True, False)),
    ],
)
def test_deliveries_go_to_this_machine_only_beside_the_local_engine(
    webhooks: str, endpoint: str, expected: tuple[bool, bool]
) -> None:
    settings = Settings({"WEBHOOKS": webhooks, "AWS_ENDPOINT_URL": endpoint})
    assert (settings.webhooks, settings.delivers_to_loopback) == expected


def test_switch_is_off_unless_it_is_true() -> None:
    environment = {"TELL_QUEUE_DEPTH": "false", "LOG_EXCEPTION_TEXT": "false"}
    assert not Settings(environment).shows_queue_depth
    assert not Settings(environment).log_exception_text
