"""A limit of the process's memory, so that a job that needs too much gets a `MemoryError`, and its process lives.

Lambda ends a process that uses more than the function's memory. That costs the other jobs of its batch their attempts, and
nobody learns why before the leases end.
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.platform == "linux":
    import resource

_MEGABYTE = 1 << 20
_RESERVE = 48 * _MEGABYTE
"""What Lambda's own processes use of the function's memory, and what recording a job's end takes."""
_LEAST_ROOM = 32 * _MEGABYTE
_STATM = Path("/proc/self/statm")
_RESIDENT, _DATA = 1, 5
"""Fields of it, in pages."""


def limit_memory(megabytes: int) -> None:
    """Let allocations fail before the process, as large as it is now, uses this much memory. Does nothing where it cannot.

    The limit is on data (`RLIMIT_DATA`), not on addresses (`RLIMIT_AS`): each thread reserves 64 MB of addresses, which it
    does not use, so that ten threads of a job would exhaust the latter.
    """
    if sys.platform != "linux":
        return
    resident, data = _pages(_RESIDENT), data_in_use()
    room = max(megabytes * _MEGABYTE - _RESERVE - resident, _LEAST_ROOM)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = data + room if most == resource.RLIM_INFINITY else min(data + room, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def data_in_use() -> int:
    """Return the bytes of this process that count toward `RLIMIT_DATA`. Linux only."""
    return _pages(_DATA)


def _pages(field: int) -> int:
    return int(_STATM.read_text(encoding="ascii").split()[field]) * resource.getpagesize()
