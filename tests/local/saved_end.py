"""Print "true" if the emulator's process goes on after it has saved its state, else nothing.

Runs in .venv-aws, inside the emulator. `patched` applies the patch first.
"""

import sys

from local.emulator_patches import ending
from local.emulator_patches.emulator import module


def main() -> None:
    if "patched" in sys.argv:
        ending.end_with_the_saved_state()
    module("app").save_all({})
    sys.stdout.write("true")


if __name__ == "__main__":
    main()
