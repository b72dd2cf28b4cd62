"""Draw the pictures of the documents: `python -m tests.clients.js.screenshot docs`."""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.clients.js import pages
from tests.support.browser import chromium

SHOWN = {
    "waiting": pages.job(status="PENDING", message="Upload queued"),
    "running": pages.job(progress=45, message="Extracting document data …"),
    "done": pages.COMPLETED,
    "failed": pages.FAILED,
}
STYLE = """
body { margin: 0; font: 15px/1.4 system-ui, "DejaVu Sans", sans-serif; }
h1 { display: none; }
main { display: grid; grid-template-columns: 1fr 1fr; }
section { padding: 14px 24px; display: grid; gap: 10px; color-scheme: light; background: #fff; color: #1b1b1b; }
section + section { color-scheme: dark; background: #16181d; color: #f0f0f0; }
::part(bar) { accent-color: #0a7d55; }
[data-status=FAILED]::part(bar) { accent-color: #c62828; }
a { color: inherit; }
"""


CLASSES = {"job-progress": "JobProgress", "my-jobs": "MyJobs"}
FILES = {"job-progress": "element.js", "my-jobs": "my-jobs.js"}
LISTED: dict[str, dict[str, Any]] = {
    "document.extract": {"status": "PENDING", "message": "Upload queued"},
    "text.search": {"progress": 45, "message": "Page 9 of 20"},
    "report.monthly": pages.COMPLETED,
    "image.resize": pages.FAILED,
}


def main(folder: Path) -> None:
    """Show one element of each state, and a list of jobs, in a light and in a dark page."""
    elements = "".join(
        f'<job-progress job-id="{name}" label="Import" cancelable><a slot="done" href="#">Open the document</a>'
        '<a slot="failed" href="#">Try again</a></job-progress>'
        for name in SHOWN
    )
    now = datetime.now(UTC)
    listed = [
        {
            **pages.job(),
            **job,
            "jobType": name,
            "asyncJobId": name,
            "createdAt": (now - timedelta(minutes=3 * number)).isoformat(),
        }
        for number, (name, job) in enumerate(LISTED.items())
    ]
    ended = [{**job, **({"endedAt": job["createdAt"]} if job["endedAt"] else {})} for job in listed]
    with pages.serve() as site, tempfile.TemporaryDirectory() as profile, chromium(Path(profile) / "profile") as browser:
        for name, element, height in (
            ("job-progress", elements, 280),
            ("my-jobs", '<my-jobs href="/jobs/{id}"></my-jobs>', 310),
        ):
            site.answer = lambda request: (
                pages.Answer({"jobs": ended, "nextCursor": None})
                if request.path.startswith("/jobs?")
                else pages.Answer({**SHOWN.get(request.path[6:], {}), "asyncJobId": request.path[6:]})
            )
            script = f'import {{ {CLASSES[name]} as Element }} from "/src/{FILES[name]}";\nElement.client = window.client;'
            site.page = pages.page(f"<style>{STYLE}</style><section>{element}</section><section>{element}</section>", script)
            browser.open(site.url)
            browser.wait_for(
                f"window.isReady && [...document.querySelectorAll('{name}')].every(({{job, jobs}}) => job || jobs?.length)"
            )
            browser.screenshot(folder / f"{name}.png", width=760, height=height)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
