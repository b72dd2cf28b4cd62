"""Operations of administrators: each names the right that it needs, which is checked before its handler runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from asyncjobs.core.administration import GROUPS, Right, rights_of
from asyncjobs.core.errors import InputProblem
from asyncjobs.core.job import JobKey, is_owner
from asyncjobs.http.answers import Answer
from asyncjobs.http.operations import Operation
from asyncjobs.http.parameters import known_texts
from asyncjobs.http.problems import Problem, invalid_request
from asyncjobs.http.query_string import Query, text_of
from asyncjobs.http.request import Request
from asyncjobs.service.administration import Actor

OWNER = "owner"


class Groups:
    """The groups of a token: a claim, and what the deployment calls each group."""

    def __init__(self, claim: str, names: Mapping[str, str]) -> None:
        """`names` has the deployment's name of each group; without any, nobody has a right."""
        self._claim = claim
        self._groups = {name: group for group, name in names.items()}

    @classmethod
    def named(cls, claim: str, names: Collection[str]) -> Groups:
        """Return the groups with these names, in the order of `GROUPS`."""
        return cls(claim, dict(zip(GROUPS, names, strict=bool(names))))

    def of(self, request: Request) -> Collection[str]:
        """Return the groups of the request's token.

        The gateway hands a list over as a text: `[one two]`. A name with a space would be read as two, so none may have one.
        """
        authorizer = request.event["requestContext"].get("authorizer") or {}
        value = (authorizer.get("jwt") or {}).get("claims", {}).get(self._claim)
        if not isinstance(value, str):
            return ()
        names = value.removeprefix("[").removesuffix("]").split(" ")
        return [self._groups[name] for name in dict.fromkeys(names) if name in self._groups]


class AdminRequest(Request):
    """A request about the jobs of an owner whom its query names. The links in its answer lead to administrators' operations."""

    @property
    def caller(self) -> str:
        """Return the administrator: the subject of the token."""
        return super().owner

    @property
    def actor(self) -> Actor:
        """Return the administrator and the request."""
        return Actor(self.caller, self.request_id)

    @property
    def owner_if_any(self) -> str | None:
        """Return the owner in the query, if it names one. Raise a `Problem` (400) if it is not a valid owner."""
        values = super().query.get(OWNER, [])
        if not values:
            return None
        owner = text_of(values[0])
        if len(values) > 1 or not is_owner(owner):
            raise invalid_request(InputProblem(f"/{OWNER}", "must be one owner of jobs: 1 to 255 ASCII characters"))
        return owner

    @property
    def owner(self) -> str:
        """Return the owner in the query. Raise a `Problem` (400) if there is none."""
        owner = self.owner_if_any
        if owner is None:
            raise invalid_request(InputProblem(f"/{OWNER}", "is required: the owner is a part of a job's key"))
        return owner

    @property
    def job_key(self) -> JobKey:
        """Return the key of the job in the path."""
        return JobKey(self.owner, self.job_id)

    @property
    def base(self) -> str:
        """Return the base path of administrators' operations, as `Request.base` returns the API's."""
        return super().base.removesuffix("../")

    @property
    def own_base(self) -> str:
        """Return the API's base path, below which the administrator's own jobs are."""
        return super().base

    @property
    def query(self) -> Query:
        """Return the parameters of the query, without the owner."""
        return {name: values for name, values in super().query.items() if name != OWNER}

    def accepts(self, media_type: str) -> bool:
        """Return whether the client names this media type. No operation of administrators answers with a stream."""
        return media_type != "text/event-stream" and super().accepts(media_type)


class AdminOperation(Operation):
    """An operation that needs a right. No handler runs without it."""

    def __init__(self, route: str, *, right: Right | None, errors: tuple[str, ...] = (), **options: Any) -> None:
        common = ("INVALID_REQUEST", "ADMIN_RIGHT_MISSING", "UNAVAILABLE")
        super().__init__(route, errors=errors if right is None else (*errors, *common), **options)
        self.right = right
        self._has_parameters = any(each["name"] != OWNER for each in self.parameters if isinstance(each, dict))

    def handle(self, routes: Any, request: Request) -> Answer:
        """Answer the request, if its token has the right. An operation without parameters but the owner rejects all others."""
        asked = AdminRequest(request.event)
        _ = asked.caller  # an ID token has groups, too, and opens nothing
        if self.right is not None and self.right not in rights_of(routes.groups.of(asked)):
            raise Problem("ADMIN_RIGHT_MISSING", right=self.right.value)
        if not self._has_parameters:
            _, problems = known_texts(asked.query, set())
            if problems:
                raise invalid_request(*problems)
        return super().handle(routes, asked)
