"""The state folder: what is on record about the stack, and the right to change it. Needs nothing installed."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import process
from local.errors import BusyError


@dataclass(frozen=True)
class State:
    """Of one stack."""

    folder: Path

    @contextmanager
    def alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError from None
            yield

    def stop(self) -> bool:
        """Whether there was an engine to stop."""
        with self.alone():
            self.forget()
            return process.stop(self.folder)

    def forget(self) -> None:
        """Before anything changes: what is on record is true at any time, also when the next step is interrupted."""
        for record in ("stack", "deployed"):
            self._file(record).unlink(missing_ok=True)

    def recall(self, record: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self._file(record).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return content

    def remember(self, record: str, content: Mapping[str, Any]) -> None:
        file = self._file(record)
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(content, indent=2) + "\n")
        draft.replace(file)

    def _file(self, record: str) -> Path:
        return self.folder / f"{record}.json"
