"""Analyze a document and show the progress: `python analyze.py report.pdf`.

The loop that every caller of an asynchronous API writes (submit, poll each two seconds, move a bar, return the result or raise,
give up after five minutes) is one call.
"""

from __future__ import annotations

import sys
from typing import Any

from asyncjobs_client import File, Job, JobFailed, Jobs


def analyze_with_polling(jobs: Jobs, path: str) -> Any:
    """Return what a document contains."""
    return jobs.run("document.extract", {"key": File(path)}, on_update=update_progress_bar)


def update_progress_bar(job: Job) -> None:
    """Draw the bar again."""
    done = (job.progress or 0) // 5
    sys.stderr.write(f"\r{job.status:<12} [{'#' * done:<20}] {job.progress:>3} %  {job.message or '':<40.40}")


def main() -> int:
    """Run the example."""
    try:
        found = analyze_with_polling(Jobs(), sys.argv[1])  # the address and the token are in ASYNCJOBS_URL and ASYNCJOBS_TOKEN
    except JobFailed as error:
        sys.stderr.write(f"\n{error.code}: {error.message}\n")
        return 1
    print(f"\n{found['pageCount']} pages, {found['wordCount']} words")
    return 0


if __name__ == "__main__":
    sys.exit(main())
