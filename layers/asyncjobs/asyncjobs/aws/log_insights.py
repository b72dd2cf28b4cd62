"""Links to the log lines of a job in CloudWatch Logs Insights, for administrators who may sign in to the AWS account."""

from __future__ import annotations

import string
from collections.abc import Sequence
from datetime import timedelta

from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.job import AsyncJob

_QUERY = 'fields @timestamp, @message\n| filter asyncJobId = "{}"\n| sort @timestamp asc\n| limit 1000'
_AROUND = timedelta(minutes=5)
"""A line may be stored later than it was written, and the clocks of two functions differ."""
_CONSOLES = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}
_PLAIN = frozenset(string.ascii_letters + string.digits + "-._")


class LogInsights:
    """Makes links to log groups of a region. Without any group, as on the local engine, there is no link."""

    def __init__(self, region: str, groups: Sequence[str], clock: Clock) -> None:
        self._region = region
        self._groups = groups
        self._clock = clock

    def link(self, job: AsyncJob) -> str | None:
        """Return a link to all lines about the job. Its form is that of the AWS console's own links, which no page documents."""
        if not self._groups:
            return None
        detail = "".join(
            (
                f"~(end~{_text(rfc3339((job.ended_at or self._clock()) + _AROUND))}",
                f"~start~{_text(rfc3339(job.created_at - _AROUND))}",
                "~timeType~'ABSOLUTE~tz~'UTC",
                f"~editorString~{_text(_QUERY.format(job.async_job_id))}",
                f"~source~(~{'~'.join(map(_text, self._groups))}))",
            )
        )
        page = f"cloudwatch/home?region={self._region}#logsV2:logs-insights$3FqueryDetail$3D{detail}"
        return f"https://{self._region}.{self._console}/{page}"

    @property
    def _console(self) -> str:
        return next((host for start, host in _CONSOLES.items() if self._region.startswith(start)), "console.aws.amazon.com")


def _text(value: str) -> str:
    return "'" + "".join(each if each in _PLAIN else f"*{ord(each):02x}" for each in value)
