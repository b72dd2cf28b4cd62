"""The processor without an API: what it makes of a file, and what ends its work."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path
from typing import Any

import file_processor
import httpx
import pytest
from file_processor import NotProcessed, Processor, Service, process

from local.samples import pdfs, raw_pdf


def made(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_text_of_each_page_is_stored_under_a_name_that_follows_from_the_file(tmp_path: Path) -> None:
    file, folder = made(tmp_path / "report.pdf", pdfs.report()), tmp_path / "documents"
    first, second = (process(file, folder, lambda _progress, _message: None) for _ in range(2))
    assert first == second
    assert first.pages == pdfs.REPORT_PAGES
    text = (folder / f"{first.documentId}.txt").read_text()
    assert (text.count("\f"), len(text.split())) == (pdfs.REPORT_PAGES, first.words)
    assert len(list(folder.iterdir())) == 1


def test_progress_never_goes_back_and_each_report_has_a_message(tmp_path: Path) -> None:
    reports: list[tuple[float, str]] = []
    file = made(tmp_path / "log.pdf", raw_pdf.long_report(pages=30))
    process(file, tmp_path / "documents", lambda *report: reports.append(report))
    percents = [percent for percent, _ in reports]
    assert percents == sorted(percents)
    assert reports[0] == (10, "Extracting document data...")
    assert reports[-1] == (90, "Storing the document...")
    assert all(message for _, message in reports)


def test_file_that_is_not_a_document_is_not_processed(tmp_path: Path) -> None:
    with pytest.raises(NotProcessed) as raised:
        process(made(tmp_path / "x.pdf", b"no PDF"), tmp_path / "documents", lambda *_: None)
    assert (raised.value.code, str(raised.value)) == ("BROKEN_FILE", "Failed to parse document")
    assert not (tmp_path / "documents").exists()


class Cancelled(Exception):
    """The job is not wanted any more."""


def test_report_that_raises_ends_the_work_and_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[Any] = []
    get_context = multiprocessing.get_context

    def noted(kind: str) -> Any:
        context: Any = get_context(kind)
        make = context.Process

        class Context:
            """A context that notes its processes."""

            Pipe = staticmethod(context.Pipe)

            @staticmethod
            def Process(**options: Any) -> Any:  # noqa: N802 - the context's own name
                children.append(make(**options))
                return children[-1]

        return Context

    def report(percent: float, _message: str) -> None:
        if percent > 10:
            raise Cancelled

    monkeypatch.setattr(multiprocessing, "get_context", noted)
    file = made(tmp_path / "log.pdf", raw_pdf.long_report(pages=400))
    with pytest.raises(Cancelled):
        process(file, tmp_path / "documents", report)
    (child,) = children
    assert not child.is_alive()
    assert child.exitcode == -9
    assert not (tmp_path / "documents").exists()


# ── The service ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def service(tmp_path: Path) -> Any:
    with Service(0, Processor("http://127.0.0.1:9", tmp_path / "documents")) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.05,))
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{service.server_port}", trust_env=False, timeout=60) as client:
            yield client
        service.shutdown()
        thread.join()


def test_file_without_a_job_is_answered_with_its_outcome(service: httpx.Client) -> None:
    answer = service.post("/process", content=pdfs.report())
    assert (answer.status_code, answer.json()["pages"]) == (200, pdfs.REPORT_PAGES)
    broken = service.post("/process", content=b"no PDF")
    assert (broken.status_code, broken.json()["code"]) == (422, "BROKEN_FILE")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/process?job=../health", {"authorization": "Bearer x"}),
        ("/process?job=00000000-0000-4000-8000-000000000000", {}),
        ("/process", {"authorization": "Bearer x"}),
        ("/other", {}),
    ],
    ids=["no id", "no token", "a token without a job", "another path"],
)
def test_other_requests_are_refused(service: httpx.Client, path: str, headers: dict[str, str]) -> None:
    assert service.post(path, content=b"x", headers=headers).status_code == 400


def test_file_that_is_too_large_is_refused(service: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_processor, "MAX_FILE", 3)
    assert service.post("/process", content=b"four").status_code == 413
