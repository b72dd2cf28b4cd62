"""Users of the stack's own pool."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from local import users
from local.errors import UnknownGroupError, UserNameError
from local.process import REGION
from local.stack import Outputs

VALUES: dict[str, Any] = {**dict.fromkeys(Outputs.__dataclass_fields__, "x"), "endpoint_url": "http://127.0.0.1:9"}
OUTPUTS = Outputs(**VALUES)
"""Of a stack that is not called."""


def test_empty_user_name_is_named_as_that() -> None:
    with pytest.raises(UserNameError, match=r"'' is no user name.*USER=alice"):
        users.token(OUTPUTS, boto3.Session("x", "x", region_name=REGION), "")


class _Pool:
    """Has one group, and makes no user."""

    def client(self, *_: object, **__: object) -> _Pool:
        return self

    def list_groups(self, **_: object) -> dict[str, Any]:
        return {"Groups": [{"GroupName": "viewer"}]}


def test_unknown_group_is_an_error_that_lists_the_groups_before_a_user_is_made() -> None:
    session: Any = _Pool()
    with pytest.raises(UnknownGroupError, match=r"no group 'viewr'. Choose from: viewer\."):
        users.create(OUTPUTS, session, "ops", group="viewr")
