"""People of the stack's own user pool, and their tokens."""

from __future__ import annotations

import base64
import json
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from local.errors import NoUserPoolError
from local.stack import Outputs

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp.type_defs import AuthenticationResultTypeTypeDef


def token(outputs: Outputs, session: boto3.Session, username: str) -> str:
    """A bearer token for the API. The user is made if there is none of that name."""
    return sign_in(outputs, session, username)["AccessToken"]


def sign_in(outputs: Outputs, session: boto3.Session, username: str) -> AuthenticationResultTypeTypeDef:
    """All the tokens that the user gets."""
    if outputs.user_pool_id is None or outputs.user_pool_client_id is None:
        raise NoUserPoolError
    pool = session.client("cognito-idp", endpoint_url=outputs.endpoint_url, config=Config(proxies={}))
    password = f"Aa1!{secrets.token_urlsafe(24)}"  # of one use, so that nobody has to keep it
    with suppress(pool.exceptions.UsernameExistsException):
        pool.admin_create_user(UserPoolId=outputs.user_pool_id, Username=username, MessageAction="SUPPRESS")
    pool.admin_set_user_password(UserPoolId=outputs.user_pool_id, Username=username, Password=password, Permanent=True)
    answer = pool.initiate_auth(
        ClientId=outputs.user_pool_client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": username, "PASSWORD": password},
    )
    return answer["AuthenticationResult"]


def subject(token: str) -> str:
    """Whose token it is: the owner of the jobs that are submitted with it."""
    payload = token.split(".")[1]
    claims: dict[str, str] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims["sub"]
