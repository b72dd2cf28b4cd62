"""Run the documents' own examples against the deployed stack. Only their base URL and their token are changed."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.deployed import Api, Caller
from tests.support.node import node
from tests.support.programs import require

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
SECONDS = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
MILLISECONDS = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z")

BROWSER = """
import { execFileSync } from 'node:child_process';
const { BASE, TOKEN: token } = process.env;
const send = globalThis.fetch;
globalThis.fetch = (path, options = {}) =>
  send(BASE + path, { ...options, headers: { ...options.headers, Authorization: `Bearer ${token}` } });
const sendSync = (method, path, body) => JSON.parse(execFileSync('curl', [
  '-sS', '--noproxy', '*', '-X', method, BASE + path, '-H', `Authorization: Bearer ${token}`, '-H', 'Content-Type: application/json',
  '-d', JSON.stringify(body)]));
"""
"""What a page has: a `fetch` whose paths begin at the API's origin. `sendSync` is for the documents' server-side functions."""


@dataclass(frozen=True)
class Client:
    """A client of one dialect: it has a base URL and a token."""

    base: str
    token: str
    caller: Caller

    def curl(self, command: str) -> Any:
        """Run a document's `curl` and return the answer's JSON."""
        require("curl", "curl")
        text = command.replace("http://localhost:3000", self.base).replace("YOUR_TOKEN", self.token)
        done = subprocess.run(
            ["bash", "-c", f"{text.strip()} -sS --noproxy '*'"], capture_output=True, text=True, check=True, timeout=60
        )
        return json.loads(done.stdout)

    def javascript(self, folder: Path, code: str) -> Any:
        """Run a document's JavaScript and return what it passes to `tell`."""
        if "sendSync" in code:
            require("curl", "curl")
        file = folder / "example.mjs"
        file.write_text(f"{BROWSER}\nconst tell = value => console.log(JSON.stringify(value));\n{code}")
        return json.loads(node(file, environment={"BASE": self.base, "TOKEN": self.token}))

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a document's plain request and return the answer."""
        return self.caller.http.request(method, f"{self.base}{path}", **options)

    def poll(self, path: str, until: Callable[[Any], bool]) -> Any:
        """Return the answer when `until` is true for it."""
        end = time.monotonic() + 120
        while True:
            found = self.request("GET", path).json()
            if until(found):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.2)


def client_of(api: Api, dialect: str, name: str = "alice") -> Client:
    caller = api.caller(name)
    token = caller.http.headers["authorization"].removeprefix("Bearer ")
    return Client(f"{api.outputs.api_url}/compat/{dialect}", token, caller)


def assert_documented(documented: Any, answer: Any, *, ids: re.Pattern[str] = UUID, times: re.Pattern[str] = SECONDS) -> None:
    """Compare each member with the document's. Ids and times are others, of the same form."""
    _compare("", documented, answer, ids, times)


def _compare(place: str, documented: Any, answer: Any, ids: re.Pattern[str], times: re.Pattern[str]) -> None:
    if isinstance(documented, dict):
        assert isinstance(answer, dict), place
        assert documented.keys() == answer.keys(), place
        for name, value in documented.items():
            _compare(f"{place}/{name}", value, answer[name], ids, times)
    elif documented == "ID":
        assert ids.fullmatch(answer), f"{place}: {answer}"
    elif documented == "TIME":
        assert times.fullmatch(answer), f"{place}: {answer}"
    else:
        assert (type(documented), documented) == (type(answer), answer), place
