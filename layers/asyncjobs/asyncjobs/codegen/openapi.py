"""The OpenAPI 3.1 document of the API: made of the records of the operations, the table of error codes and the job types.

No function imports this package. `python -m asyncjobs.codegen` writes the document while the layer is built, and the status
function returns the file.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import groupby

from asyncjobs.codegen.components import HEADERS, PARAMETERS, SCHEMAS
from asyncjobs.codegen.deliveries import WEBHOOK_SCHEMAS, webhooks
from asyncjobs.codegen.job_types import fields_name, operation_id, parameters_of, schemas_of
from asyncjobs.core.exact_json import MAX_DIGITS
from asyncjobs.http.admin_routes import ADMIN
from asyncjobs.http.command_routes import COMMANDS, operations_of_job_type
from asyncjobs.http.error_codes import ERRORS
from asyncjobs.http.event_routes import EVENTS
from asyncjobs.http.operations import Operation, Success
from asyncjobs.http.query_routes import QUERIES
from asyncjobs.http.request import BASE_PATH, MAX_BODY
from asyncjobs.http.schemas import Json, Schema, ref
from asyncjobs.http.strict_json import MAX_DEPTH
from asyncjobs.http.ticket_query_routes import TICKET_QUERIES
from asyncjobs.http.ticket_routes import TICKETS
from asyncjobs.http.tracked_routes import TRACKED
from asyncjobs.http.webhook_routes import WEBHOOKS
from asyncjobs.jobtypes.decorator import JobType

OPERATIONS = (*COMMANDS, *TRACKED, *TICKETS, *WEBHOOKS, *QUERIES, *EVENTS, *TICKET_QUERIES, *ADMIN)
"""The operations that every deployment has."""

VERSION = "1"
"""The version in the API's path. Additions keep it; a breaking change would make it 2."""

_INFO: Json = {
    "title": "asyncjobs",
    "version": VERSION,
    "description": (
        "Asynchronous jobs: submit a job, receive 202 and its id immediately, poll it until it has ended, and get its result.\n\n"
        "A job belongs to the `sub` of the token that submitted it; for other callers it does not exist. Answers may get "
        "further members, and problems further codes: ignore those that you do not use."
    ),
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}

_GATEWAY_ERRORS = {
    401: "The token is missing or invalid.",
    403: "The token lacks the required scope.",
    404: "The path has no route, for example because an id contains a slash.",
    413: "The body is larger than API Gateway (10 MB) or AWS Lambda (6 MB) allows.",
    429: "Too many requests.",
    500: "The function failed.",
    503: "The function is not available.",
}
"""The errors of API Gateway itself, by their status. Their body is a `GatewayError`."""

_BODY_RULES = (
    f"JSON in UTF-8, at most {MAX_BODY} bytes and {MAX_DEPTH} levels deep, without numbers of more than {MAX_DIGITS} digits, "
    "duplicate names in an object, or NUL. It may be compressed with gzip."
)
_BODY_ERRORS = (
    "INVALID_JSON",
    "INVALID_REQUEST",
    "REQUEST_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "UNSUPPORTED_CONTENT_ENCODING",
)
_WAITING_HEADERS = ("Location", "Vary", "Preference-Applied", "Idempotency-Replayed", "RateLimit", "RateLimit-Policy")


def document(job_types: Iterable[JobType]) -> Json:
    """Return the document of an API that has these job types."""
    types = list(job_types)
    operations = [*OPERATIONS, *(operation for type_ in types for operation in operations_of_job_type(type_))]
    paths: dict[str, Json] = {}
    for operation in operations:
        method, path = operation.route.split()
        paths.setdefault(path, {})[method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        # Relative to the document's own URL, which may have a stage or a prefix before the API's base path.
        "servers": [{"url": f"../{BASE_PATH.rpartition('/')[2]}"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "webhooks": webhooks(),
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "workerToken": {"type": "http", "scheme": "bearer", "bearerFormat": "ajw_…, for one tracked job"},
                "ticket": {"type": "http", "scheme": "bearer", "bearerFormat": "ajt_…, for some jobs, for minutes"},
                # For links and a browser's EventSource, which send no header of a page.
                "ticketInQuery": {"type": "apiKey", "in": "query", "name": "ticket"},
            },
            "parameters": PARAMETERS,
            "headers": _used_headers(paths),
            "schemas": {**SCHEMAS, **WEBHOOK_SCHEMAS, **_own_schemas(operations), **schemas_of(types, operations)},
        },
    }


def to_json(document: Mapping[str, object]) -> str:
    """Return the text of the document's file: the same text for the same document."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def name_of(operation: Operation) -> str:
    """Return the operationId: the name of the operation in generated clients."""
    if operation.job_type is not None or operation.handler is None:
        return operation_id(operation.route)
    first, *words = operation.handler.__name__.split("_")
    return "".join([first, *(word.title() for word in words)])


def summary_of(operation: Operation) -> str:
    """Return what the operation does, in a phrase."""
    if operation.job_type is not None:
        return operation.job_type.description
    return _docstring(operation)[0].removesuffix(".")


def codes_of(operation: Operation) -> list[tuple[int, str]]:
    """Return every code that a problem of the operation may have, and its status, in the table's order."""
    codes = {"INTERNAL_ERROR", *operation.errors}
    if operation.is_json:
        codes |= {"NOT_ACCEPTABLE"}
    if operation.security == "bearer":
        codes |= {"OWNER_MISSING"}
    if _body_of(operation) is not None:
        codes |= {*_BODY_ERRORS}
    if _is_about_a_job(operation) and operation.security == "bearer":
        codes |= {"JOB_NOT_FOUND"}
    waiting = {(ERRORS[code].waiting_status or ERRORS[code].status, code) for code in operation.waiting_errors}
    order = list(ERRORS)
    return sorted(waiting | {(ERRORS[code].status, code) for code in codes}, key=lambda each: (each[0], order.index(each[1])))


def _operation(operation: Operation) -> Json:
    description = operation.description or _docstring(operation)[1]
    parameters = [*_path_parameters(operation), *map(_parameter, operation.parameters)]
    security: Mapping[str | None, Json] = {
        "bearer": {},
        "workerToken": {"security": [{"workerToken": []}]},
        "ticket": {"security": [{"ticket": []}, {"ticketInQuery": []}]},
        None: {"security": []},
    }
    return {
        "operationId": name_of(operation),
        "tags": [_tag(operation)],
        "summary": summary_of(operation),
        **({"description": description} if description else {}),
        **security[operation.security],
        **({"parameters": parameters} if parameters else {}),
        **_request_body(operation),
        "responses": _responses(operation),
    }


def _tag(operation: Operation) -> str:
    """Return the group of the operation in tools and clients: its job type, or the first word of its path."""
    if operation.job_type is not None:
        return operation.job_type.name
    return operation.route.partition("/")[2].partition("/")[0].partition(".")[0]


def _docstring(operation: Operation) -> tuple[str, str]:
    """Return the first line of the handler's docstring and the rest, each paragraph on one line."""
    if operation.job_type is not None:
        return operation.job_type.description, ""
    first, *rest = inspect.cleandoc(operation.handler.__doc__ or "").split("\n\n")
    return first, "\n\n".join(paragraph.replace("\n", " ") for paragraph in rest)


def _path_parameters(operation: Operation) -> list[Json]:
    if operation.job_type is not None:
        return list(parameters_of(operation.job_type, operation.route))
    return [_parameter(name) for name in operation.path_parameters]


def _parameter(parameter: str | Json) -> Json:
    return {"$ref": f"#/components/parameters/{parameter}"} if isinstance(parameter, str) else parameter


def _body_of(operation: Operation) -> str | None:
    return fields_name(operation) if operation.body is None else _component(operation.body)


def _component(schema: str | Schema) -> str:
    """Return the name of the schema's component."""
    return schema if isinstance(schema, str) else schema.name


def _own_schemas(operations: Iterable[Operation]) -> dict[str, Json]:
    """Return the schemas that only one operation uses."""
    found = [schema for each in operations for schema in (each.body, *(success.schema for success in each.answers.values()))]
    return {schema.name: schema.json for schema in found if isinstance(schema, Schema)}


def _is_about_a_job(operation: Operation) -> bool:
    return operation.job_type is None and "asyncJobId" in operation.path_parameters


def _request_body(operation: Operation) -> Json:
    name = _body_of(operation)
    if name is None:
        return {}
    example = {} if operation.example is None else {"example": operation.example}
    content = {"application/json": {"schema": ref(name), **example}}
    # The body of a job type's route is its input, in which null is what the type says. Its fields may all be in the path and the
    # query.
    is_own = operation.job_type is None
    rules = f"{_BODY_RULES} Null is as good as a field that is left out." if is_own else _BODY_RULES
    return {"requestBody": {"required": is_own, "description": rules, "content": content}}


def _responses(operation: Operation) -> dict[str, Json]:
    codes = {status: [code for _, code in of] for status, of in groupby(codes_of(operation), key=lambda each: each[0])}
    gateway = _gateway_statuses(operation)
    successes = {str(status): _success(success) for status, success in operation.answers.items()}
    failures = {
        str(status): _failure(operation, status, codes.get(status, []), with_gateway=status in gateway)
        for status in sorted({*codes, *gateway})
    }
    return {**successes, **failures}


def _gateway_statuses(operation: Operation) -> set[int]:
    inapplicable = {
        401: operation.security != "bearer",
        403: operation.security != "bearer",
        404: not operation.path_parameters and operation.job_type is None,
        413: _body_of(operation) is None,
    }
    return {status for status in _GATEWAY_ERRORS if not inapplicable.get(status)}


def _success(success: Success) -> Json:
    headers = {
        **{name: {**HEADERS[name], "required": True} for name in success.always},
        **{name: {"$ref": f"#/components/headers/{name}"} for name in success.sometimes},
        **success.headers,
    }
    job = {"asyncJobId": "$response.body#/asyncJobId"}
    links = {name: {"operationId": name, "parameters": job} for name in success.links}
    return {
        "description": success.description,
        **({"headers": headers} if headers else {}),
        **({"content": _content(success, success.schema)} if success.schema else {}),
        **({"links": links} if links else {}),
    }


def _content(success: Success, schema: str | Schema) -> Json:
    others = {name: {"schema": other} for name, other in success.others.items()}
    return {"application/json": {"schema": ref(_component(schema))}, **others}


def _failure(operation: Operation, status: int, codes: list[str], *, with_gateway: bool) -> Json:
    meanings = [f"`{code}`: {ERRORS[code].title}. {ERRORS[code].detail}" for code in codes]
    content: Json = {}
    if status == HTTPStatus.FORBIDDEN and with_gateway:
        # First, since generated clients read the first one: a missing scope is more common than a missing subject.
        content["application/json"] = {"schema": ref("GatewayError")}
    if codes:
        # Beside the reference, not in a second part of allOf: so client generators make one model of all problems.
        narrowed = {"status": {"const": status}, "code": {"enum": codes}}
        content["application/problem+json"] = {"schema": {"allOf": [ref("Problem")], "properties": narrowed}}
    if with_gateway:
        meanings.append(f"From API Gateway: {_GATEWAY_ERRORS[status]}" if codes else _GATEWAY_ERRORS[status])
        content["application/json"] = {"schema": ref("GatewayError")}
    headers = {name: {"$ref": f"#/components/headers/{name}"} for code in codes for name in _headers_of(operation, code)}
    return {"description": "\n\n".join(meanings), **({"headers": headers} if headers else {}), "content": content}


def _headers_of(operation: Operation, code: str) -> tuple[str, ...]:
    return (*ERRORS[code].headers, *(_WAITING_HEADERS if code in operation.waiting_errors else ()))


def _used_headers(paths: Mapping[str, Json]) -> dict[str, Json]:
    text = json.dumps(paths)
    return {name: header for name, header in HEADERS.items() if f'"#/components/headers/{name}"' in text}
