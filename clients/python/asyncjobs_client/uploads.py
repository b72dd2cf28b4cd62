"""Where the bytes of an upload come from."""

from __future__ import annotations

import io
import mimetypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from asyncjobs_client.values import File, to_json
from asyncjobs_client.wire import Request, with_json


@contextmanager
def bytes_of(file: File) -> Iterator[BinaryIO]:
    """Open a path or bytes. A file that is open already stays open."""
    match file.source:
        case str() | os.PathLike() as path:
            with Path(path).open("rb") as opened:
                yield opened
        case bytes() as content:
            yield io.BytesIO(content)
        case source if source.seekable():
            yield source
        case _:
            raise ValueError("An upload's size is needed in advance: give a path, bytes, or a file that can seek.")


def upload_request(file: File, size: int) -> Request:
    """Return the request of a link for the file. A path's name says what type the file has."""
    kind = file.content_type
    if kind is None and isinstance(file.source, str | os.PathLike):
        kind, _ = mimetypes.guess_type(os.fspath(file.source))
    return with_json("POST", "/uploads", to_json({"contentLength": size} | ({"contentType": kind} if kind else {})))
