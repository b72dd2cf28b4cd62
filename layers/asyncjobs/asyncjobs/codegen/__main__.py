"""Write the files that follow from the code: the catalog of job types, the API's two documents, and tables in our own.

`python -m asyncjobs.codegen [DOCUMENT | EVENTS ...]` writes them, and the sample events that the folder EVENTS lacks; with
`--check` it only names the files that are stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from asyncjobs.codegen import asyncapi, openapi, tables
from asyncjobs.codegen.collect import collect
from asyncjobs.codegen.mistakes import explained
from asyncjobs.codegen.sample_events import missing_events
from asyncjobs.jobtypes import catalog


def main(arguments: list[str]) -> int:
    """Write each file that is stale, or with `--check` name it and return 1."""
    try:
        job_types = collect()
    except Exception as error:  # the code of a job's module may raise anything
        mistake = explained(error, catalog.catalog_path().parent)
        if mistake is None:
            raise
        print(mistake, file=sys.stderr)
        return 1
    places = [Path(argument) for argument in arguments if argument != "--check"]
    files = {
        catalog.catalog_path(): catalog.to_json(job_types),
        catalog.document_path(catalog.OPENAPI): openapi.to_json(openapi.document(job_types)),
        catalog.document_path(catalog.ASYNCAPI): openapi.to_json(asyncapi.document()),
    }
    for place in places:
        files |= missing_events(place, openapi.OPERATIONS) if place.is_dir() else {place: tables.with_tables(place.read_text())}
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if "--check" in arguments:
            print(f"{path} is stale: {catalog.REMEDY}.", file=sys.stderr)
        else:
            path.write_text(files[path])
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
