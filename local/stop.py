"""`make stop`. It needs no packages, so that it also works with broken or deleted environments."""

import sys

from local.errors import LocalError
from local.process import PROJECT
from local.state import State


def main() -> int:
    """Stop the stack and return the exit code: 0 also when nothing was running."""
    try:
        stopped = State(PROJECT / ".local").stop()
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    print("Stopped." if stopped else "Nothing was running.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
