"""Forms with a file (multipart/form-data, RFC 7578)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from asyncjobs.core.errors import InputProblem
from asyncjobs.http.header_fields import item
from asyncjobs.http.problems import invalid_request

MAX_FIELDS = 20

_DISPOSITION = re.compile(r'; *(name|filename) *= *(?:"((?:[^"\\]|\\.)*)"|([^";\s]+))', re.IGNORECASE)
_BOUNDARY = re.compile(r"boundary *= *(?:\"([^\"]{1,70})\"|([^\";,\s]{1,70}))", re.IGNORECASE)


class File(NamedTuple):
    """The file of a form."""

    name: str
    content_type: str
    data: bytes


class Part(NamedTuple):
    """A part of a form: a field, or the file."""

    name: str
    file_name: str | None
    content_type: str
    data: bytes


def read_form(content_type: str, data: bytes) -> tuple[File, Mapping[str, str]]:
    """Return the form's file, and its other fields. Raise a `Problem` (400) for a form without exactly one file."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise _invalid("", "has no boundary in its Content-Type")
    files, fields = list[Part](), dict[str, str]()
    for part in _parts((found[1] or found[2]).encode(), data):
        if part.file_name is not None:
            files.append(part)
        elif part.name in fields or len(fields) == MAX_FIELDS:
            raise _invalid(f"/{part.name}", f"is given twice, or is one of more than {MAX_FIELDS} fields")
        else:
            fields[part.name] = _text(part)
    if len(files) != 1:
        raise _invalid("/file", "must be exactly one file")
    (file,) = files
    return File(file.file_name or "", _media_type(file.content_type), file.data), fields


def _parts(boundary: bytes, data: bytes) -> Iterator[Part]:
    # The first delimiter has no line break before it, if there is no preamble.
    _, *parts = (b"\r\n" + data).split(b"\r\n--" + boundary)
    if not parts or not parts[-1].startswith(b"--"):
        raise _invalid("", "does not end with its boundary")
    for part in parts[:-1]:
        head, separator, content = part.lstrip(b" \t").removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = dict(_header(line) for line in head.decode(errors="replace").split("\r\n"))
        names = {
            name.lower(): quoted or bare for name, quoted, bare in _DISPOSITION.findall(headers.get("content-disposition", ""))
        }
        if not separator or not names.get("name"):
            raise _invalid("", "has a part without a name")
        yield Part(_unquoted(names["name"]), _file_name(names), headers.get("content-type", ""), content)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def _file_name(names: Mapping[str, str]) -> str | None:
    return _unquoted(names["filename"]) if "filename" in names else None


def _unquoted(text: str) -> str:
    # As browsers write it (WHATWG): percent signs for quotes and line breaks. Others use backslashes.
    return re.sub(r"\\(.)", r"\1", text).replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _text(part: Part) -> str:
    try:
        return part.data.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"/{part.name}", "is not UTF-8") from error


def _media_type(content_type: str) -> str:
    """Return the type without parameters, in lower case, if it is one; else the type of any bytes."""
    name, _ = item(content_type)
    return name if re.fullmatch(r"[a-z0-9!#$&^_.+-]{1,50}/[a-z0-9!#$&^_.+-]{1,50}", name) else "application/octet-stream"


def _invalid(pointer: str, detail: str) -> Exception:
    return invalid_request(InputProblem(pointer, f"The form {detail}." if not pointer else detail))
