"""The pictures of the documents. `ASYNCJOBS_SCREENSHOTS=docs` writes them there: light, dark, and a phone."""

from __future__ import annotations

import os
from pathlib import Path

from tests.deployed.console.conftest import Console

WIDTH, HEIGHT = 1180, 640


def test_pictures_of_the_documents_show_every_state(console: Console, tmp_path: Path) -> None:
    folder = Path(os.environ.get("ASYNCJOBS_SCREENSHOTS", tmp_path))
    caller = console.caller
    retried = caller.submit("sample.succeeds_at_last")
    for job_type, given in (
        ("text.search", {"query": "lease"}),
        ("document.extract", {"pdf": "AAAA"}),
        ("sample.gives_up", {}),
    ):
        caller.wait_for(caller.submit(job_type, given, prefer="respond-async"))
    cancelled = caller.submit("sample.works", {"seconds": 60})
    caller.post(f"/jobs/{cancelled['asyncJobId']}/cancel")
    caller.wait_for(retried)
    running = [caller.submit("sample.works", {"seconds": seconds}) for seconds in (25, 40)]
    for job in running:
        caller.wait_for(job, lambda found: found["progress"] > 0)
    later = {"jobType": "text.search", "input": {"query": "fence"}, "delaySeconds": 600}
    assert caller.post("/jobs", json=later).status_code == 202

    console.browser.resize(WIDTH, HEIGHT, scale=1.5)
    console.open("jobs")
    console.shows("Live")
    words = set(console.browser.run("[...document.querySelectorAll('tbody .status')].map((each) => each.innerText)"))
    assert words == {"Waiting", "Running", "Completed", "Failed", "Cancelled"}
    console.browser.capture(folder / "console-jobs.png")
    console.browser.prefer(prefers_color_scheme="dark")
    console.open(f"jobs/{retried['asyncJobId']}")
    console.browser.wait_for("document.querySelectorAll('.attempt').length > 1")
    console.browser.capture(folder / "console-job.png")
    console.browser.resize(360, 640, scale=2)
    console.open("jobs")
    console.shows("Live")
    console.browser.capture(folder / "console-phone.png")
    for job in running:
        caller.post(f"/jobs/{job['asyncJobId']}/cancel")
