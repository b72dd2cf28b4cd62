"""The environment variables that the template gives the functions. Only this module reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta


class Settings:
    """The settings of one function. Reading one that the template did not give the function raises `SettingMissing`.

    A function reads all its settings while it starts, so an incomplete deployment fails at its first
    invocation, with the variable's name.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment

    @property
    def application(self) -> str:
        """The name of the stack."""
        return self._read("APPLICATION")

    @property
    def log_level(self) -> str:
        """The lowest level that is logged: DEBUG, INFO, WARNING or ERROR."""
        return self._read("LOG_LEVEL")

    @property
    def log_exception_text(self) -> bool:
        """Whether the text of an exception that job code raises is logged."""
        return self._read("LOG_EXCEPTION_TEXT") == "true"

    @property
    def function_name(self) -> str:
        """The function's own name. Lambda itself sets the variable."""
        return self._read("AWS_LAMBDA_FUNCTION_NAME")

    @property
    def memory(self) -> int:
        """The function's memory, in megabytes. Lambda itself sets the variable."""
        return int(self._read("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))

    @property
    def table_name(self) -> str:
        """The table of the jobs."""
        return self._read("TABLE_NAME")

    @property
    def event_bus_name(self) -> str:
        """The bus of EventBridge that receives the events of jobs; "" for none."""
        return self._read("EVENT_BUS_NAME")

    @property
    def queue_urls(self) -> Mapping[str, str]:
        """The queue of each priority, and that of deliveries."""
        return {
            "high": self._read("HIGH_QUEUE_URL"),
            "standard": self._read("QUEUE_URL"),
            "low": self._read("LOW_QUEUE_URL"),
            "deliveries": self._read("DELIVERY_QUEUE_URL"),
        }

    @property
    def webhooks(self) -> bool:
        """Whether there are webhooks."""
        return self._read("WEBHOOKS") != "OFF"

    @property
    def delivers_to_loopback(self) -> bool:
        """Whether deliveries go to this machine, and nowhere else: only beside the local engine.

        On AWS, the loopback address of a function is Lambda's own interface.
        """
        return self._read("WEBHOOKS") == "LOOPBACK" and self._is_local()

    @property
    def bucket_name(self) -> str:
        """The bucket of inputs and results."""
        return self._read("BUCKET_NAME")

    @property
    def max_retention(self) -> timedelta:
        """The longest that a job may be kept."""
        return timedelta(days=int(self._read("MAX_RETENTION_DAYS")))

    @property
    def default_retention(self) -> timedelta:
        """How long a job is kept whose type does not say it."""
        return timedelta(days=int(self._read("DEFAULT_RETENTION_DAYS")))

    @property
    def immediate_threshold(self) -> timedelta:
        """How long a type's jobs may usually take to run immediately. A negative duration turns immediate execution off."""
        return timedelta(milliseconds=int(self._read("IMMEDIATE_MILLISECONDS")))

    @property
    def submit_rate_per_minute(self) -> int:
        """Submits that one caller may make a minute; 0 for no limit."""
        return int(self._read("SUBMIT_RATE_PER_MINUTE"))

    @property
    def submit_burst(self) -> int:
        """The burst of submits that one caller may make."""
        return int(self._read("SUBMIT_BURST"))

    @property
    def max_live(self) -> int:
        """Unfinished jobs that one caller may have; 0 for no limit."""
        return int(self._read("MAX_LIVE_JOBS_PER_OWNER"))

    @property
    def max_backlog(self) -> int:
        """Messages that may wait in a queue before submits of its priority are rejected; 0 for no limit."""
        return int(self._read("MAX_BACKLOG"))

    @property
    def max_upload(self) -> int:
        """The largest upload, in bytes."""
        return int(self._read("MAX_UPLOAD_MEGABYTES")) * 1_000_000

    @property
    def max_result(self) -> int:
        """The largest result, in bytes."""
        return int(self._read("MAX_RESULT_MEGABYTES")) * 1_000_000

    @property
    def max_wait(self) -> timedelta:
        """The longest that a request may wait for its job; 0 if none may."""
        return timedelta(seconds=int(self._read("MAX_WAIT_SECONDS")))

    @property
    def max_waits(self) -> int:
        """Requests of one caller that may wait at the same time; 0 for no limit."""
        return int(self._read("MAX_WAITS_PER_OWNER"))

    @property
    def history_pause(self) -> timedelta:
        """How long durations are gathered before they are written: 0 if the batches of the stream are gathered themselves."""
        return timedelta(seconds=int(self._read("HISTORY_PAUSE_SECONDS")))

    @property
    def has_socket(self) -> bool:
        """Whether the WebSocket API accepts connections."""
        return self._read("WEB_SOCKET") == "ON"

    @property
    def socket_url(self) -> str:
        """The URL of the WebSocket API; empty when it is off."""
        return self._read("SOCKET_URL")

    @property
    def has_event_log(self) -> bool:
        """Whether the events of jobs are stored."""
        return self._read("EVENT_LOG") == "ON"

    @property
    def shows_queue_depth(self) -> bool:
        """Whether a pending job shows how many messages wait in its queue."""
        return self._read("TELL_QUEUE_DEPTH") == "true"

    @property
    def dialects(self) -> Sequence[str]:
        """The names of the dialects that the deployment answers in."""
        return [name for name in self._read("DIALECTS").split(",") if name]

    @property
    def dead_letter_queue_url(self) -> str:
        """The queue of messages that could not be delivered."""
        return self._read("DEAD_LETTER_QUEUE_URL")

    @property
    def region(self) -> str:
        """The region that the function runs in. Lambda itself sets the variable."""
        return self._read("AWS_REGION")

    @property
    def log_groups(self) -> Sequence[str]:
        """The log groups in which jobs have lines; none on the local engine, which has no console for them."""
        return [] if self._is_local() else self._read("LOG_GROUPS").split(",")

    @property
    def pollers(self) -> Mapping[str, str]:
        """The event source mapping of each priority."""
        return {
            "high": self._read("HIGH_POLLERS"),
            "standard": self._read("STANDARD_POLLERS"),
            "low": self._read("LOW_POLLERS"),
        }

    @property
    def admin_group_claim(self) -> str:
        """The claim of a token that names its groups."""
        return self._read("ADMIN_GROUP_CLAIM")

    @property
    def admin_groups(self) -> Sequence[str]:
        """What the groups of administrators are called, in their order; empty if there are none."""
        return [name for name in self._read("ADMIN_GROUPS").split(",") if name]

    @property
    def audit_retention(self) -> timedelta:
        """How long the records of administrators' actions are kept."""
        return timedelta(days=int(self._read("AUDIT_RETENTION_DAYS")))

    @property
    def jwt_issuer(self) -> str:
        """The issuer of the tokens; empty for the stack's own user pool."""
        return self._read("JWT_ISSUER")

    @property
    def jwt_audiences(self) -> Sequence[str]:
        """The audiences of the issuer's tokens."""
        return [audience for audience in self._read("JWT_AUDIENCE").split(",") if audience]

    @property
    def jwt_scopes(self) -> Sequence[str]:
        """The scopes of which a token of the issuer must have one."""
        return [scope for scope in self._read("JWT_SCOPE").split(",") if scope not in {"", "NONE"}]

    @property
    def console_client_id(self) -> str:
        """The client as which the console signs users in; empty when it has none."""
        return self._read("CONSOLE_CLIENT_ID")

    @property
    def sign_in_url(self) -> str:
        """The base URL of the own user pool's sign-in page. The local engine serves it beside the API, so it is empty there."""
        return "" if self._is_local() else self._read("SIGN_IN_URL")

    @property
    def sign_in_urls(self) -> Sequence[str]:
        """The pages to which the own user pool's sign-in page returns."""
        return [url for url in self._read("SIGN_IN_URLS").split(",") if url]

    def _is_local(self) -> bool:
        """Return whether the function runs beside the local engine, which gives it its endpoint. On AWS, the variable is empty."""
        return bool(self._environment.get("AWS_ENDPOINT_URL"))

    def _read(self, name: str) -> str:
        try:
            return self._environment[name]
        except KeyError:
            raise SettingMissing(
                f"The environment variable {name} is not set. The template sets it; deploy it again."
            ) from None


class SettingMissing(Exception):
    """A function was deployed without a variable that it needs."""
