"""Users of the stack's own user pool, and their tokens."""

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
    """Return a bearer token for the API. A user that does not exist is created."""
    return sign_in(outputs, session, username)["AccessToken"]


def sign_in(outputs: Outputs, session: boto3.Session, username: str) -> AuthenticationResultTypeTypeDef:
    """Return all tokens of a new sign-in."""
    if outputs.user_pool_id is None or outputs.user_pool_client_id is None:
        raise NoUserPoolError
    pool = session.client("cognito-idp", endpoint_url=outputs.endpoint_url, config=Config(proxies={}))
    password = f"Aa1!{secrets.token_urlsafe(24)}"  # used once, so nobody has to keep it
    with suppress(pool.exceptions.UsernameExistsException):
        pool.admin_create_user(UserPoolId=outputs.user_pool_id, Username=username, MessageAction="SUPPRESS")
    pool.admin_set_user_password(UserPoolId=outputs.user_pool_id, Username=username, Password=password, Permanent=True)
    answer = pool.admin_initiate_auth(  # with AWS credentials, whatever DirectSignIn lets a user do
        UserPoolId=outputs.user_pool_id,
        ClientId=outputs.user_pool_client_id,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": username, "PASSWORD": password},
    )
    return answer["AuthenticationResult"]


def subject(token: str) -> str:
    """Return the token's user, the owner of the jobs that it submits."""
    payload = token.split(".")[1]
    claims: dict[str, str] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims["sub"]
