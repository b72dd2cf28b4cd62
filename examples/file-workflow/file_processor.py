"""A service that processes documents: an outside worker, which reports on tracked jobs with their workers' tokens.

`python examples/file-workflow/file_processor.py` listens on the loopback interface. It has the API's address, and
nothing else: no AWS permission, no user's token, and of each job only the id and the token that came with its file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pypdf import PdfReader

from asyncjobs_client import ApiConnectionError, ApiError, JobError, Unauthorized, Worker

MAX_FILE = 100_000_000
"""Bytes."""
REPORT_SECONDS = 1.0
"""Between two reports. The answer also says whether the job is still wanted."""
_PIECE = 1 << 20
_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NotProcessed(Exception):
    """The file cannot be processed. The code and the message are for the owner of the job."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Processed:
    """A document that was processed, and is stored."""

    documentId: str  # noqa: N815 - as the result has it
    pages: int
    words: int


# ── A file ─────────────────────────────────────────────────────────────────────────────────────────────


def extract(file: Path, text: Path, news: Connection) -> None:
    """Write the file's text, page by page, and send how far it is. This runs in a process of its own."""
    try:
        pages = PdfReader(file).pages
        words = 0
        with text.open("w", encoding="utf-8") as out:
            for number, page in enumerate(pages, start=1):
                news.send((number, len(pages)))
                found = page.extract_text()
                words += len(found.split())
                out.write(found + "\f")
        news.send((len(pages), words, "extracted"))
    except Exception as error:  # noqa: BLE001 - a broken file can cause any exception in pypdf
        news.send(type(error).__name__)


def process(file: Path, folder: Path, report: Any) -> Processed:
    """Extract the text of the file, and store it under a name that follows from the file.

    `report` gets the progress and a message, and raises what ends the work. Then nothing is stored, and nothing runs on.
    """
    with TemporaryDirectory() as temporary:
        text = Path(temporary) / "text"
        report(10, "Extracting document data...")
        with _extracting(file, text) as news:
            pages, words = _followed(news, report)
        report(90, "Storing the document...")
        with file.open("rb") as source:
            name = f"doc_{hashlib.file_digest(source, 'sha256').hexdigest()[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        whole = folder / f".{name}.{os.getpid()}.{threading.get_ident()}"
        whole.write_bytes(text.read_bytes())
        whole.replace(folder / f"{name}.txt")  # whole, or not at all: another job may process the same file
    return Processed(name, pages, words)


@contextmanager
def _extracting(file: Path, text: Path) -> Iterator[Connection]:
    """Run `extract` within the block, and no longer."""
    spawn = multiprocessing.get_context("spawn")
    news, theirs = spawn.Pipe(duplex=False)
    child = spawn.Process(target=extract, args=(file, text, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        yield news
    finally:
        child.kill()
        child.join()
        news.close()


def _followed(news: Connection, report: Any) -> tuple[int, int]:
    """Report how far the extraction is, and return the numbers of pages and words."""
    progress, message, due = 10.0, "Extracting document data...", time.monotonic() + REPORT_SECONDS
    while True:
        if news.poll(max(due - time.monotonic(), 0)):
            try:
                latest = news.recv()
            except EOFError:
                raise NotProcessed("PROCESSOR_DIED", "The document needs more memory than there is. Split it.") from None
            match latest:
                case str():
                    raise NotProcessed("BROKEN_FILE", "Failed to parse document")
                case (pages, words, _):
                    return pages, words
                case (number, count):
                    progress, message = 10 + 80 * (number - 1) / count, f"Extracting page {number} of {count}..."
        if time.monotonic() >= due:  # also if no page has ended, since the job may have been cancelled
            report(progress, message)
            due = time.monotonic() + REPORT_SECONDS


# ── A job ──────────────────────────────────────────────────────────────────────────────────────────────


class Processor:
    """Processes files, each in a thread and a process of its own."""

    def __init__(self, api_url: str, folder: Path) -> None:
        self._api_url = api_url.rstrip("/")
        self._folder = folder
        self._working: set[str] = set()

    @property
    def working(self) -> list[str]:
        """The ids of the jobs that are being worked on."""
        return sorted(self._working)

    def process(self, file: Path) -> Processed:
        """Process a file without a job. Raises `NotProcessed`."""
        return process(file, self._folder, lambda _progress, _message: None)

    def start(self, file: Path, job_id: str, token: str, done: Any) -> None:
        """Process the file of a tracked job, and report on it. Call `done` at the end, however it ends."""
        self._working.add(job_id)
        threading.Thread(target=self._run, args=(file, job_id, token, done), daemon=True).start()

    def _run(self, file: Path, job_id: str, token: str, done: Any) -> None:
        try:
            with Worker(f"{self._api_url}/jobs/{job_id}", token) as worker:
                self._report_on(worker, file)
        except JobError as ended:
            _log(job_id, f"stopped: {type(ended).__name__}")  # it was cancelled, or has ended otherwise
        except Unauthorized:
            _log(job_id, "stopped: the token is not valid")
        except (ApiError, ApiConnectionError) as error:
            _log(job_id, f"stopped: {type(error).__name__}")  # the job ends by its deadline, or its owner starts again
        finally:
            self._working.discard(job_id)
            done()

    def _report_on(self, worker: Worker, file: Path) -> None:
        def report(progress: float, message: str) -> None:
            worker.report(progress=progress, message=message)

        try:
            processed = process(file, self._folder, report)
        except NotProcessed as error:
            worker.fail(str(error), code=error.code)
            _log(worker.job_id, f"failed: {error.code}")
            return
        worker.complete(asdict(processed), message="Document processed successfully")
        _log(worker.job_id, f"completed: {processed.documentId}")


def _log(job_id: str, what: str) -> None:
    sys.stdout.write(f"{job_id} {what}\n")
    sys.stdout.flush()


# ── The service ────────────────────────────────────────────────────────────────────────────────────────


class Handler(BaseHTTPRequestHandler):
    """`POST /process` with a file as its body. `?job=ID` and the worker's token make it a tracked one."""

    server: Service

    def do_GET(self) -> None:
        """Answer which jobs are being worked on."""
        if self.path != "/health":
            self._answer(404, {"error": "There is only GET /health."})
            return
        self._answer(200, {"working": self.server.processor.working})

    def do_POST(self) -> None:
        """Take a file. For a job, answer immediately (202); otherwise with the outcome (200)."""
        url = urlsplit(self.path)
        job_id = parse_qs(url.query).get("job", [""])[0]
        token = (self.headers["authorization"] or "").removeprefix("Bearer ")
        length = self.headers["content-length"] or ""
        if url.path != "/process" or (job_id and not _JOB_ID.fullmatch(job_id)) or bool(job_id) != bool(token):
            self._refuse(400, "Use POST /process, or POST /process?job=ID with the worker's token of that job.")
            return
        if not length.isdecimal() or int(length) > MAX_FILE:
            self._refuse(413, f"Send a file of up to {MAX_FILE // 1_000_000} MB with its Content-Length.")
            return
        temporary = TemporaryDirectory()
        file = Path(temporary.name) / "file"
        if not _received(self.rfile, file, int(length)):
            temporary.cleanup()
            return
        if job_id:
            self.server.processor.start(file, job_id, token, temporary.cleanup)
            self._answer(202, {"accepted": True})
            return
        with temporary:
            try:
                self._answer(200, asdict(self.server.processor.process(file)))
            except NotProcessed as error:
                self._answer(422, {"error": str(error), "code": error.code})

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True  # the file was not read
        self._answer(status, {"error": why})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the jobs' lines say enough, and a path has a job's id."""


def _received(source: BufferedIOBase, file: Path, length: int) -> bool:
    """Write the body to the file, and return whether it came whole."""
    with file.open("wb") as out:
        while length and (piece := source.read(min(length, _PIECE))):
            out.write(piece)
            length -= len(piece)
    return length == 0


class Service(ThreadingHTTPServer):
    """The HTTP service of a processor."""

    daemon_threads = True

    def __init__(self, port: int, processor: Processor) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.processor = processor


def main() -> int:
    """Run the service until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=4691)
    parser.add_argument("--folder", type=Path, default=Path("documents"), help="where documents are stored")
    options = parser.parse_args()
    if "ASYNCJOBS_URL" not in os.environ:
        parser.error("ASYNCJOBS_URL has to be the address of the API.")
    try:
        service = Service(options.port, Processor(os.environ["ASYNCJOBS_URL"], options.folder))
    except OSError as error:
        parser.error(f"Port {options.port} cannot be used ({error.strerror}): choose another one with --port.")
    with service:
        sys.stdout.write(f"Listening on http://127.0.0.1:{service.server_port}\n")
        sys.stdout.flush()
        try:
            service.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
