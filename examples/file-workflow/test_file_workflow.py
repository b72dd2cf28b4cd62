"""What the command lines say when something is missing. With an API, they are in test_file_workflow_deployed.py."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_processor import MAX_FILE, Processor, Service
from file_workflow import ProcessorRefused, process_document

from local.process import PROJECT

HERE = Path(__file__).parent


def said(program: str, *arguments: str, **environment: str) -> str:
    """Return what the program says as it fails."""
    done = subprocess.run(
        [sys.executable, str(HERE / program), *arguments],
        env={"PYTHONPATH": str(PROJECT / "clients/python"), "NO_PROXY": "*", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def closed() -> Iterator[str]:
    """Return the address of a port that nothing listens at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def processor(tmp_path: Path) -> Iterator[str]:
    with Service(0, Processor("http://127.0.0.1:9", tmp_path / "documents")) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{service.server_port}"
        service.shutdown()
        thread.join()


def test_missing_address_of_the_api_is_named() -> None:
    assert "ASYNCJOBS_URL" in said("file_workflow.py", __file__)
    assert "ASYNCJOBS_URL" in said("file_processor.py")


def test_missing_file_is_named(closed: str) -> None:
    assert "nothing.pdf" in said("file_workflow.py", "nothing.pdf", ASYNCJOBS_URL=closed, ASYNCJOBS_TOKEN="t")


def test_api_that_cannot_be_reached_is_named(closed: str) -> None:
    assert "127.0.0.1" in said("file_workflow.py", __file__, ASYNCJOBS_URL=closed, ASYNCJOBS_TOKEN="t")


def test_port_that_is_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        message = said("file_processor.py", "--port", port, ASYNCJOBS_URL="http://127.0.0.1:9")
    assert f"Port {port} cannot be used" in message
    assert "--port" in message


def test_processor_that_cannot_be_reached_is_named_with_what_to_do(closed: str) -> None:
    with pytest.raises(ProcessorRefused, match=f"{closed}. Start file_processor.py"):
        process_document(__file__, track_progress=False, processor=closed)


def test_file_that_is_too_large_is_refused_with_the_limit(tmp_path: Path, processor: str) -> None:
    file = tmp_path / "large.pdf"
    with file.open("wb") as out:
        out.truncate(MAX_FILE + 1)
    with pytest.raises(ProcessorRefused, match="100 MB"):
        process_document(file, track_progress=False, processor=processor)


def test_file_of_another_kind_is_refused_with_the_reason(processor: str) -> None:
    with pytest.raises(ProcessorRefused, match="Failed to parse document"):
        process_document(__file__, track_progress=False, processor=processor)
