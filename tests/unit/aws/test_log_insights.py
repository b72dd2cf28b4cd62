"""Links to the log lines of a job, as the AWS console's own links are."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from asyncjobs.aws.log_insights import LogInsights
from tests.support.factories import JOB_ID, NOW, new_job
from tests.support.fakes import FakeClock

GROUPS = ("jobs-SubmitLog-1a", "/aws/lambda/worker")


def link(region: str = "eu-west-1") -> str:
    found = LogInsights(region, GROUPS, FakeClock(NOW + timedelta(hours=1))).link(new_job())
    assert found is not None
    return found


def test_link_has_the_query_the_groups_and_the_time_of_the_job() -> None:
    assert link() == (
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:logs-insights$3FqueryDetail$3D"
        "~(end~'2026-11-21T13*3a05*3a00.000Z~start~'2026-11-21T11*3a55*3a00.000Z~timeType~'ABSOLUTE~tz~'UTC"
        "~editorString~'fields*20*40timestamp*2c*20*40message*0a*7c*20filter*20asyncJobId*20*3d*20"
        f"*22{JOB_ID}*22*0a*7c*20sort*20*40timestamp*20asc*0a*7c*20limit*201000"
        "~source~(~'jobs-SubmitLog-1a~'*2faws*2flambda*2fworker))"
    )


def test_link_of_a_finished_job_ends_soon_after_it() -> None:
    job = new_job().cancelled(now=NOW)
    found = LogInsights("eu-west-1", GROUPS, FakeClock(NOW + timedelta(days=9))).link(job)
    assert found is not None
    assert "~(end~'2026-11-21T12*3a05*3a00" in found


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "us-east-1.console.aws.amazon.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_link_leads_to_the_console_of_the_regions_partition(region: str, host: str) -> None:
    assert urlsplit(link(region)).hostname == host


def test_local_engine_without_log_groups_has_no_link() -> None:
    assert LogInsights("us-east-1", (), FakeClock(NOW)).link(new_job()) is None
