"""`make stop`. Needs nothing installed, so that it also works when the environments are broken or gone."""

import sys

from local.errors import LocalError
from local.process import PROJECT
from local.state import State


def main() -> int:
    """0 also when there was nothing to stop."""
    try:
        stopped = State(PROJECT / ".local").stop()
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    print("Stopped." if stopped else "Nothing was running.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
