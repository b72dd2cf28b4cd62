"""Where inputs, results and artifacts are stored: in the record up to a limit, in the bucket above it, and under which name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote

from asyncjobs.core.errors import Fatal
from asyncjobs.core.exact_json import distinct_members, write_json
from asyncjobs.core.job import UUID, AsyncJob, Result
from asyncjobs.core.records import replace

INLINE_INPUT_LIMIT = 2 * 1024
"""Bytes of JSON up to which an input is stored in the record, which each write pays for: see docs/decisions.md."""
INLINE_RESULT_LIMIT = 8 * 1024
"""Bytes of JSON up to which a result is stored in the record: up to here one larger write is cheaper than a PUT."""
LINK_LIFETIME = timedelta(minutes=5)
UPLOAD_LIFETIME = timedelta(minutes=15)
"""How long an upload may be started; an upload in progress may continue."""
MAX_UPLOAD = 5 * 1024**3
"""Bytes. The most that S3 accepts in one PUT. A deployment may accept less."""
MAX_UPLOADS_PER_JOB = 10
"""Uploads that an input may name: the submit marks each of them by a request of its own."""
MAX_RESULT = 100 * 1_000_000
"""Bytes. The largest result by default; a deployment may set another limit (`MaxResultMegabytes`)."""
MAX_OBJECT_NAME = 1024
"""Bytes. The longest name of an object in S3."""
MAX_ARTIFACTS = 10
"""Artifacts of an attempt. So few that a deletion names all that there may be, and lists none."""
JSON = "application/json"

_REFERENCE = "asyncjobs:artifact:"
_ARTIFACT_NAME = r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}"

UPLOADS, FILES = "uploads/", "files/"
"""The parts of an owner's inputs area that hold what clients upload, and what jobs save for later jobs."""
_IN_JSON = f'"(uploads/{UUID})"'.encode()
MAX_FILE_NAME = 64
"""Characters. The longest name of a file that a job saves: with it, the longest owner's objects have names that S3 accepts."""
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


def is_upload_id(text: str) -> bool:
    """Return whether the text is the part after `uploads/` of an upload's key."""
    return re.fullmatch(UUID, text) is not None


def uploads_in(data: bytes) -> tuple[str, ...]:
    """Return the keys of the uploads that the JSON names: each is a text in it, as the upload's answer had it."""
    # Most inputs name none: they need no pattern, which takes time to compile, too.
    if b'"uploads/' not in data:
        return ()
    return tuple(dict.fromkeys(key.decode() for key in re.findall(_IN_JSON, data)))


def inputs_area(owner: str) -> str:
    """Return how the names of the owner's inputs begin, and no name of another owner's.

    The owner is percent-encoded, and so is a `/` in it. Dots are too, if there is nothing else: HTTP clients resolve `..`.
    """
    name = quote(owner, safe="")
    return f"inputs/{name if name.strip('.') else name.replace('.', '%2E')}/"


def is_upload_key(key: str) -> bool:
    """Return whether the text is the key of an upload, as `POST /uploads` gives it."""
    return key.startswith(UPLOADS) and is_upload_id(key.removeprefix(UPLOADS))


def is_file_name(name: str) -> bool:
    """Return whether a job may save a file under this name: parts joined by `/`, none of which begins with a dot."""
    return len(name) <= MAX_FILE_NAME and _FILE_NAME.fullmatch(name) is not None


def file_location(owner: str, name: str) -> str:
    """Return the location of a file that a job of the owner has saved."""
    return f"{inputs_area(owner)}{FILES}{name}"


def input_location(job: AsyncJob) -> str:
    """Return the location of a large input. It has the generation, so that deleting an earlier job does not delete this input."""
    return f"{inputs_area(job.owner)}{job.async_job_id}/{job.generation}.json"


def is_input_of(job: AsyncJob, location: str) -> bool:
    """Return whether the location may be the job's input, which keeps the name of the generation that stored it.

    A record says where its objects are, and a worker that a document has taken over could write any location there.
    """
    area = f"{inputs_area(job.owner)}{job.async_job_id}/"
    return location.startswith(area) and re.fullmatch(r"[0-9A-Za-z-]+\.json", location.removeprefix(area)) is not None


def is_result_of(job: AsyncJob, location: str) -> bool:
    """Return whether the location may be the result of one of the job's attempts."""
    return location in {result_location(job, attempt) for attempt in range(1, job.attempt + 1)}


def result_location(job: AsyncJob, attempt: int) -> str:
    """Return the location of an attempt's result, which no other attempt uses."""
    return f"results/{job.async_job_id}/{job.generation}/{attempt}"


def artifact_location(job: AsyncJob, attempt: int, number: int) -> str:
    """Return the location of an attempt's artifact, which no other attempt uses."""
    return f"{result_location(job, attempt)}.{number}"


def locations_of_attempts(job: AsyncJob) -> list[str]:
    """Return the locations of all results and artifacts that the job's attempts may have left."""
    attempts, numbers = range(1, job.attempt + 1), range(1, MAX_ARTIFACTS + 1)
    artifacts = [artifact_location(job, attempt, number) for attempt in attempts for number in numbers]
    return [*(result_location(job, attempt) for attempt in attempts), *artifacts]


def check_artifact(name: str, *, number: int) -> None:
    """Raise `ValueError` for a name that a file may not have on each system and in a header, and for too many artifacts."""
    if re.fullmatch(_ARTIFACT_NAME, name) is None:
        raise ValueError(
            f"{name!r} is not a name for an artifact: use up to 100 letters, digits, spaces, dots, hyphens and underscores."
        )
    if number > MAX_ARTIFACTS:
        raise ValueError(f"An attempt has {MAX_ARTIFACTS} artifacts at most. Put several files into one archive.")


def artifact_reference(number: int) -> str:
    """Return the text that stands for the artifact in its job's result."""
    return f"{_REFERENCE}{number}"


def with_links(job: AsyncJob, link: Callable[[AsyncJob, int], str]) -> AsyncJob:
    """Return the job with a link in place of each reference to an artifact in its result.

    A result says only the artifact's number: whatever it contains, it leads to no other job's artifact.
    """
    text = job.result.text if job.result is not None else None
    # Most results have no reference: they need no pattern, which takes time to compile, too.
    if text is None or f'"{_REFERENCE}' not in text:
        return job
    # A quotation mark within a text has a backslash before it.
    linked = re.sub(rf'(?<!\\)"{_REFERENCE}([1-9]|10)"(?!\s*:)', lambda found: json.dumps(link(job, int(found[1]))), text)
    return replace(job, result=Result(text=linked))


def checked_json(data: bytes) -> str:
    """Return the bytes as text. Raises `Fatal` unless they are JSON that can be read and written again.

    NaN, 1e999 and an object with the same name twice cannot.
    """
    try:
        text = data.decode()
        write_json(json.loads(text, object_pairs_hook=distinct_members)).encode()
    except (ValueError, RecursionError) as error:
        raise Fatal(
            f"The streamed result is not valid JSON: {type(error).__name__}.", code="RESULT_NOT_SERIALIZABLE"
        ) from error
    return text
