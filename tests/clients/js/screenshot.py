"""Draw the picture of the documents: `python -m tests.clients.js.screenshot docs/job-progress.png`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

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
job-progress::part(bar) { accent-color: #0a7d55; }
[data-status=FAILED]::part(bar) { accent-color: #c62828; }
a { color: inherit; }
"""


def main(file: Path) -> None:
    """Show one element of each state, in a light and in a dark page."""
    elements = "".join(
        f'<job-progress job-id="{name}" label="Import" cancelable><a slot="done" href="#">Open the document</a>'
        '<a slot="failed" href="#">Try again</a></job-progress>'
        for name in SHOWN
    )
    body = f"<style>{STYLE}</style><section>{elements}</section><section>{elements}</section>"
    script = 'import { JobProgress } from "/src/element.js";\nJobProgress.client = window.client;'
    with pages.serve() as site, tempfile.TemporaryDirectory() as folder, chromium(Path(folder) / "profile") as browser:
        site.answer = lambda request: pages.Answer({**SHOWN[request.path.rpartition("/")[2]], "asyncJobId": request.path[6:]})
        site.page = pages.page(body, script)
        browser.open(site.url)
        browser.wait_for(f"window.isReady && seen.filter(([name]) => name == 'job-update').length >= {2 * len(SHOWN)}")
        browser.screenshot(file, width=760, height=280)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
