"""microburst: the proxy between the functions and the engine, which makes AWS fail."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

# Seeded, so that a soak draws the same faults in the same order of requests. And it passes on the host that the functions
# called and signed; left to itself, it names the engine's, and the signature no longer fits.
_START = """
import random, sys
from microburst import cli, forward
random.seed(int(sys.argv.pop(1)))
outbound = forward.Upstream._outbound_headers
forward.Upstream._outbound_headers = lambda self, request: {**outbound(self, request), "host": request.host}
cli.main()
"""

Rule = Mapping[str, Any]


class Proxy:
    """A process of its own, on loopback. Without rules it passes everything on."""

    def __init__(self, *, port: int, upstream: str, log: Path, seed: int = 0) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-c", _START, str(seed), "--port", str(port), "--upstream", upstream]
        self._log = log
        self._control = httpx.Client(base_url=f"{self.url}/_microburst", trust_env=False, timeout=30)

    def __enter__(self) -> Self:
        with self._log.open("w") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"The proxy did not start:\n{self._log.read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._control.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def add(self, rules: Sequence[Rule]) -> list[int]:
        """Add the rules behind those that are there. Returns their numbers."""
        answer = self._control.patch("/rules", json=list(rules)).raise_for_status()
        return [rule["id"] for rule in answer.json()]

    def clear(self) -> None:
        """Let everything pass again."""
        self._control.request("DELETE", "/rules", json=[]).raise_for_status()

    def fired(self, rule: int) -> list[dict[str, Any]]:
        """The faults that this rule has caused."""
        found: list[dict[str, Any]] = self._ask("/fired", limit=2000, rule_id=rule)
        return found

    def stats(self) -> dict[str, Any]:
        """What passed through, and how much of it was faulted."""
        found: dict[str, Any] = self._ask("/stats")
        return found

    def _ask(self, path: str, **query: Any) -> Any:
        return self._control.get(path, params=query).raise_for_status().json()

    def _answers(self) -> bool:
        try:
            return self._control.get("/health").is_success
        except httpx.TransportError:
            return False
