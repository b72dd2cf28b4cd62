"""Writes what is made from the jobs' decorators: the catalog, and the OpenAPI document beside it.

Run it with `python -m asyncjobs.codegen`; with `--check` it only tells what is stale.
"""

from __future__ import annotations

import sys

from asyncjobs.codegen import openapi
from asyncjobs.jobtypes import catalog


def main(arguments: list[str]) -> int:
    """Write the files that are not as they should be, or with `--check` name them and return 1."""
    job_types = catalog.collect()
    files = {
        catalog.catalog_path(): catalog.to_json(job_types),
        catalog.openapi_path(): openapi.to_json(openapi.document(job_types)),
    }
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if "--check" in arguments:
            print(f"{path} is stale: {catalog.REMEDY}.", file=sys.stderr)
        else:
            path.write_text(files[path])
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
