"""Compiles what `sam build` made. Run it with the Python the functions will run on: `python -m tools.precompile BUILD_DIR`.

A layer is mounted read-only, so Lambda would compile its modules again at every cold start. A worker starts in six tenths
of the time with them compiled (bench/README.md). The files are taken as they are ("unchecked"): sam packs every file with the same
date, by which Python would take them for stale.
"""

import sys
from compileall import compile_dir
from pathlib import Path
from py_compile import PycInvalidationMode

# Where Lambda mounts layers, for the paths in stack traces.
MOUNT = "/opt"


def precompile(build: Path) -> bool:
    """Whether every module of every layer could be compiled."""
    return all(
        compile_dir(
            str(modules),
            quiet=1,
            stripdir=str(modules.parent),
            prependdir=MOUNT,
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )
        for modules in sorted(build.glob("*Layer/python"))
    )


if __name__ == "__main__":
    sys.exit(not precompile(Path(sys.argv[1])))
