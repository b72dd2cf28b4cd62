"""microburst: the proxy between the functions and the engine that injects AWS failures."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.pace import SLOWNESS

# Seeded, so that a soak draws the same faults for the same order of requests. And it forwards the host that the functions
# called and signed: by default it sends the engine's, and the signature no longer matches. It does not look for a service in
# the host, which is always this machine's address: for that, it first reads the models of all services, which takes seconds.
_START = """
import random, sys
from microburst import cli, detection, forward
random.seed(int(sys.argv.pop(1)))
outbound = forward.Upstream._outbound_headers
forward.Upstream._outbound_headers = lambda self, request: {**outbound(self, request), "host": request.host}
detection.parse_host = lambda host: (None, None, None)
cli.main()
"""

Rule = Mapping[str, Any]


class Proxy:
    """A separate process on loopback. Without rules it forwards everything."""

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
        deadline = time.monotonic() + 30 * SLOWNESS
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
        """Add the rules after the existing ones, and return their numbers."""
        answer = self._control.patch("/rules", json=list(rules)).raise_for_status()
        return [rule["id"] for rule in answer.json()]

    def clear(self) -> None:
        """Remove all rules."""
        self._control.request("DELETE", "/rules", json=[]).raise_for_status()

    def fired(self, rule: int) -> list[dict[str, Any]]:
        """Return the faults that this rule has caused."""
        found: list[dict[str, Any]] = self._get("/fired", limit=2000, rule_id=rule)
        return found

    def stats(self) -> dict[str, Any]:
        """Return the numbers of forwarded and faulted requests."""
        found: dict[str, Any] = self._get("/stats")
        return found

    def _get(self, path: str, **query: Any) -> Any:
        return self._control.get(path, params=query).raise_for_status().json()

    def _answers(self) -> bool:
        try:
            return self._control.get("/health").is_success
        except httpx.TransportError:
            return False
