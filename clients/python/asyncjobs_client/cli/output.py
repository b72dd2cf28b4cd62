"""What the command line prints: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from asyncjobs_client.snapshot import Snapshot

_COLORS = {"COMPLETED": "green", "FAILED": "red", "CANCELLED": "yellow"}


@dataclass(frozen=True)
class Output:
    """Where to print, and how."""

    json: bool = False
    quiet: bool = False
    out: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))

    def say(self, text: str) -> None:
        """Print a note for a person."""
        if not self.quiet:
            self.err.print(text, markup=False)

    def value(self, value: Any) -> None:
        """Print a result: text and bytes as they are, everything else as JSON."""
        if isinstance(value, bytes):
            sys.stdout.buffer.write(value)
            sys.stdout.buffer.flush()
        elif isinstance(value, str) and not self.json:
            print(value)
        else:
            print(json.dumps(value, ensure_ascii=False, indent=None if self.json else 2))

    def record(self, job: Snapshot) -> None:
        """Print a job."""
        if self.json:
            self.value(dict(job.raw))
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        shown = {"id": job.id, "type": job.job_type, "message": job.message}
        times = {"created": job.created_at, "started": job.started_at, "ended": job.ended_at, "expected": job.estimated_end_at}
        failure = f"{job.error.code}: {job.error.message}" if job.error else None
        table.add_row("status", self._status(job))
        for name, value in {**shown, **times, "error": failure, "worker token": job.worker_token}.items():
            if value is not None:
                table.add_row(name, escape(str(value)))
        self.out.print(table)

    def records(self, jobs: Iterable[Snapshot]) -> None:
        """Print many jobs: a table, or a line of JSON for each."""
        if self.json:
            for job in jobs:
                self.value(dict(job.raw))
            return
        table = Table(box=None, pad_edge=False)
        for name in ("id", "type", "status", "created", "message"):
            table.add_column(name, no_wrap=name == "id")
        for job in jobs:
            created = f"{job.created_at:%Y-%m-%d %H:%M:%S}" if job.created_at else ""
            table.add_row(job.id, job.job_type, self._status(job), created, escape(job.message or ""))
        self.out.print(table)

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Print objects: a table of their members, or a line of JSON for each."""
        found = list(rows)
        if self.json:
            for row in found:
                self.value(dict(row))
        elif found:
            table = Table(box=None, pad_edge=False)
            for name in found[0]:
                table.add_column(name)
            for row in found:
                table.add_row(*("" if value is None else escape(str(value)) for value in row.values()))
            self.out.print(table)

    def bars(self) -> Bars:
        """Return progress bars, which only a terminal shows."""
        return Bars(self.err, disable=self.quiet or not self.err.is_terminal)

    @staticmethod
    def _status(job: Snapshot) -> str:
        color = _COLORS.get(job.status or "", "default")
        progress = f" {job.progress} %" if job.progress and not job.is_finished else ""
        return f"[{color}]{escape(job.status or '')}[/{color}]{progress}"


class Bars:
    """A progress bar for each job."""

    def __init__(self, console: Console, *, disable: bool) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        self._progress = Progress(
            *columns, TimeElapsedColumn(), TextColumn("{task.fields[message]}"), console=console, disable=disable
        )
        self._tasks: dict[str, TaskID] = {}

    def show(self, job: Snapshot) -> None:
        """Show a job as it is now. A job without progress has a bar that only moves."""
        if job.id not in self._tasks:
            self._tasks[job.id] = self._progress.add_task("", total=None, message="")
        total = 100 if job.progress or job.is_finished else None
        name = f"{job.job_type or job.id} {job.status}"
        message = escape(job.message or "")
        self._progress.update(self._tasks[job.id], total=total, completed=job.progress or 0, description=name, message=message)

    def bytes(self, name: str, done: int, size: int | None) -> None:
        """Show the progress of a transfer."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=size, message="")
        self._progress.update(self._tasks[name], completed=done)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._progress.stop()
