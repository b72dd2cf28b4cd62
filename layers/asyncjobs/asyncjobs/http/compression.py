"""Bodies that are compressed for clients which accept that (RFC 9110 8.4.1.3)."""

from __future__ import annotations

import base64
import gzip


def compressed(text: str) -> str:
    """Return the text compressed with gzip, in base64, as the gateway takes it. The same text has the same bytes."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
