"""Pages that use the JavaScript client, and an API whose answers a test decides."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.node import CLIENT, PACKAGES

JOB = "7f0c0b1e-55aa-4d6c-9a52-6f1d2c3b4a50"
TOKEN = "token-of-the-user"
ENDED_AT = "2026-11-26T12:00:09.000Z"
_TYPES = {".js": "text/javascript", ".html": "text/html; charset=utf-8", ".css": "text/css"}

# React has no ES modules. A page without a bundler makes them of its CommonJS files.
_COMMONJS = """
const FILES = {
  "react": "react/cjs/react.development.js",
  "scheduler": "scheduler/cjs/scheduler.development.js",
  "react-dom": "react-dom/cjs/react-dom.development.js",
  "react-dom/client": "react-dom/cjs/react-dom-client.development.js",
};
const sources = Object.fromEntries(await Promise.all(Object.entries(FILES).map(
  async ([name, file]) => [name, await (await fetch("/npm/" + file)).text()])));
const modules = {};
export function load(name) {
  if (!modules[name]) {
    const module = (modules[name] = { exports: {} });
    new Function("module", "exports", "require", "process", sources[name])(
      module, module.exports, load, { env: { NODE_ENV: "development" } });
  }
  return modules[name].exports;
}
"""
_HOOKS = "createContext createElement StrictMode useCallback useContext useEffect useMemo useRef useState useSyncExternalStore"
_MODULES = {
    "/modules/commonjs.js": _COMMONJS,
    "/modules/react.js": f"import {{ load }} from './commonjs.js';\nexport const {{ {', '.join(_HOOKS.split())} }} = load('react');",
    "/modules/react-dom.js": "import { load } from './commonjs.js';\nexport const { createRoot } = load('react-dom/client');",
}


@dataclass
class Request:
    """A request of a page to the API."""

    method: str
    path: str
    body: Any
    authorization: str | None


@dataclass
class Answer:
    """What the API answers."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def job(**members: Any) -> dict[str, Any]:
    """Return the record of a running job with these members different."""
    running = {"status": "IN_PROGRESS", "progress": 0, "message": None, "endedAt": None, "error": None}
    return {"asyncJobId": JOB, "jobType": "text.search", "resultType": None, "result": None, **running, **members}


COMPLETED = job(status="COMPLETED", progress=100, endedAt=ENDED_AT, resultType="INLINE", result={"matches": 2})
FAILED = job(status="FAILED", progress=40, endedAt=ENDED_AT, error={"code": "BROKEN_PDF", "message": "The file is not a PDF."})
CANCELLED = job(status="CANCELLED", progress=40, endedAt=ENDED_AT)


class Site:
    """A site: the client's modules, the packages of its tests, one page, and an API under `/api/v1`."""

    def __init__(self) -> None:
        self.page = ""
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda _: Answer(job())
        self.port = 0

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://localhost:{self.port}/"

    def shows(self, record: dict[str, Any]) -> None:
        """Answer with this job from now on."""
        self.answer = lambda _: Answer(record)

    def file(self, path: str) -> tuple[str, str] | None:
        """Return the text and the type of what is served at a path."""
        if path == "/":
            return self.page, _TYPES[".html"]
        if path in _MODULES:
            return _MODULES[path], _TYPES[".js"]
        root, _, rest = path.removeprefix("/").partition("/")
        folder = {"src": CLIENT / "src", "npm": PACKAGES, "examples": CLIENT / "examples"}.get(root, Path("/nowhere"))
        file = (folder / rest).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            return None
        return file.read_text(), _TYPES[file.suffix]


@contextmanager
def serve() -> Iterator[Site]:
    """Serve a site inside the `with` block."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            path = self.path.partition("?")[0]
            length = int(self.headers.get("content-length", 0))
            text = self.rfile.read(length)
            if path.startswith("/api/v1/"):
                body = json.loads(text) if text else None
                request = Request(self.command, self.path.removeprefix("/api/v1"), body, self.headers.get("authorization"))
                site.requests.append(request)
                answer = site.answer(request)
                self._send(answer.status, "application/json", json.dumps(answer.body), answer.headers)
            elif found := site.file(path):
                self._send(200, found[1], found[0], {})
            else:
                self._send(404, "text/plain", "", {})

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the names of the base class

        def _send(self, status: int, kind: str, text: str, headers: dict[str, str]) -> None:
            content = text.encode()
            self.send_response(status)
            for name, value in {"content-type": kind, "content-length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the terminal free."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        site.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def page(body: str, script: str) -> str:
    """Return a page with a client whose pauses are 20 times shorter, and the script in it."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A job</title>
<script type="importmap">{{"imports": {{"react": "/modules/react.js", "react-dom/client": "/modules/react-dom.js"}}}}</script>
<script type="module">
import {{ createClient }} from "/src/index.js";
const sleep = (milliseconds, signal) => new Promise((resolve, reject) => {{
  setTimeout(resolve, milliseconds / 20);
  signal?.addEventListener("abort", () => reject(signal.reason));
}});
window.client = createClient({{ token: {json.dumps(TOKEN)}, clock: {{ now: () => performance.now() * 20, sleep }} }});
window.seen = [];
for (const name of ["job-update", "job-complete", "job-error", "job-unavailable", "jobs-unavailable"]) {{
  addEventListener(name, ({{ detail }}) => seen.push([name, detail.status ?? detail.name, detail.progress]));
}}
{script}
window.isReady = true;
</script></head><body><main><h1>A job</h1>{body}</main></body></html>"""
