"""The state folder: records about the stack, and the lock that changes need. Needs nothing installed."""

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
    """The state of one stack."""

    folder: Path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the state folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError from None
            yield

    def stop(self) -> bool:
        """Stop the engine. Return False if there was none."""
        with self.alone():
            self.forget("stack", "deployed")
            return process.stop(self.folder)

    def forget(self, *records: str) -> None:
        """Remove these records before something changes. A record is true at any time, also after an interrupted step."""
        for record in records:
            self._file(record).unlink(missing_ok=True)

    def recall(self, record: str) -> dict[str, Any]:
        """Return a record, empty if there is none."""
        try:
            content: dict[str, Any] = json.loads(self._file(record).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return content

    def remember(self, record: str, content: Mapping[str, Any]) -> None:
        """Write a record."""
        file = self._file(record)
        draft = file.with_suffix(".new")
        draft.touch()
        draft.chmod(0o600)  # the engine's credentials are among what is written here
        draft.write_text(json.dumps(content, indent=2) + "\n")
        draft.replace(file)

    def _file(self, record: str) -> Path:
        return self.folder / f"{record}.json"
