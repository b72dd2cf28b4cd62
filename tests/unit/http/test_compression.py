"""Compressed bodies."""

from __future__ import annotations

import base64
import gzip

from asyncjobs.http.compression import compressed


def test_text_is_read_again_by_any_client() -> None:
    text = "ä" * 1000
    assert gzip.decompress(base64.b64decode(compressed(text))).decode() == text


def test_same_text_has_the_same_bytes() -> None:
    # So its entity tag stays valid over all processes.
    assert compressed("text") == compressed("text")
    assert base64.b64decode(compressed("text"))[4:8] == bytes(4)  # no time in the header
