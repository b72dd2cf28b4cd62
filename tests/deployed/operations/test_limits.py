"""The rate limit under concurrent requests to many functions. (tests/deployed/http has the answers.)"""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx

from asyncjobs.core.job import job_id_for
from tests.conftest import LIMITS
from tests.support.deployed import LimitedDeployment
from tests.support.pace import SLOWNESS

BURST, INTERVAL_SECONDS = int(LIMITS["SubmitBurst"]), 60 / int(LIMITS["SubmitRatePerMinute"])
CLIENTS, SECONDS, LONGEST = 4, 5 * SLOWNESS, 120
RATE = "SUBMIT_RATE_EXCEEDED"
SHORT = {"jobType": "sample.returns", "input": {}}


def test_concurrent_clients_get_no_more_than_the_burst_and_the_refill(limited: LimitedDeployment) -> None:
    many = limited.api.caller("many")
    began = time.monotonic()
    was_refused = threading.Event()

    def hammer(_: int) -> list[tuple[str, httpx.Response]]:
        answers = []
        # Cold starts beside other groups may take all of the first seconds: then nobody has exceeded the rate yet.
        while (passed := time.monotonic() - began) < SECONDS or (not was_refused.is_set() and passed < LONGEST):
            key = uuid.uuid4().hex
            answer = many.post("/jobs", json=SHORT, headers={"idempotency-key": key})
            answers.append((key, answer))
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS and answer.json()["code"] == RATE:
                was_refused.set()
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [answer for found in pool.map(hammer, range(CLIENTS)) for answer in found]
    seconds = time.monotonic() - began
    accepted = {key for key, answer in answers if answer.status_code == httpx.codes.ACCEPTED}
    refused = [answer for _, answer in answers if answer.status_code == httpx.codes.TOO_MANY_REQUESTS]
    assert len(accepted) + len(refused) == len(answers)
    assert was_refused.is_set(), "too few requests to exceed the rate"
    assert BURST <= len(accepted) <= BURST + seconds / INTERVAL_SECONDS
    # A busy machine runs the accepted jobs so late that their number, too, is at its limit.
    assert {RATE} <= {answer.json()["code"] for answer in refused} <= {RATE, "TOO_MANY_LIVE_JOBS"}
    # Accepted jobs are stored, and no others.
    listed = {job["asyncJobId"] for job in many.get("/jobs", params={"limit": 100}).json()["jobs"]}
    assert listed == {job_id_for(many.owner, key) for key in accepted}
