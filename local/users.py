"""Users of the stack's own user pool, and their tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ParamValidationError

from local.errors import NoUserPoolError, UnknownGroupError, UserNameError
from local.stack import Outputs

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp.type_defs import AuthenticationResultTypeTypeDef


def token(outputs: Outputs, session: boto3.Session, username: str) -> str:
    """Return a bearer token for the API. A user that does not exist is created."""
    return sign_in(outputs, session, username)["AccessToken"]


def sign_in(outputs: Outputs, session: boto3.Session, username: str) -> AuthenticationResultTypeTypeDef:
    """Return all tokens of a new sign-in."""
    password, pool = create(outputs, session, username), _pool(outputs, session)
    answer: AuthenticationResultTypeTypeDef = pool.admin_initiate_auth(  # with AWS credentials, whatever DirectSignIn permits
        UserPoolId=outputs.user_pool_id,
        ClientId=outputs.user_pool_client_id,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": username, "PASSWORD": password},
    )["AuthenticationResult"]
    return answer


def create(outputs: Outputs, session: boto3.Session, username: str, *, group: str | None = None) -> str:
    """Create the user, unless there is one, put it into the group, and return its password."""
    pool = _pool(outputs, session)
    if group and group not in (known := _groups(pool, outputs)):
        raise UnknownGroupError(group, known)
    password = _password(outputs, username)
    user = {"UserPoolId": outputs.user_pool_id, "Username": username}
    try:
        with suppress(pool.exceptions.UsernameExistsException):
            pool.admin_create_user(**user, MessageAction="SUPPRESS")
    except (ParamValidationError, pool.exceptions.InvalidParameterException) as error:
        raise UserNameError(username) from error
    pool.admin_set_user_password(**user, Password=password, Permanent=True)
    if group:
        pool.admin_add_user_to_group(**user, GroupName=group)
    return password


def subject(token: str) -> str:
    """Return the token's user, the owner of the jobs that it submits."""
    payload = token.split(".")[1]
    claims: dict[str, str] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims["sub"]


def _groups(pool: Any, outputs: Outputs) -> list[str]:
    """Return the groups that the template makes: no other one has a right."""
    return [each["GroupName"] for each in pool.list_groups(UserPoolId=outputs.user_pool_id)["Groups"]]


def _password(outputs: Outputs, username: str) -> str:
    """Return the user's password: the same until the engine is started again, so that a printed one stays valid."""
    digest = hmac.digest(outputs.secret_access_key.encode(), f"password of {username}".encode(), hashlib.sha256)
    return f"Aa1-{base64.b32encode(digest)[:16].decode().lower()}"


def _pool(outputs: Outputs, session: boto3.Session) -> Any:
    if outputs.user_pool_id is None or outputs.user_pool_client_id is None:
        raise NoUserPoolError
    return session.client("cognito-idp", endpoint_url=outputs.endpoint_url, config=Config(proxies={}))
