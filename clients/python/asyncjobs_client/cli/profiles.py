"""Profiles: an API's address and how to get a token, in a file that only its owner reads."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncjobs_client.errors import AsyncjobsError, NotConfigured

if TYPE_CHECKING:
    from asyncjobs_client.cli.sign_in import Tokens

if sys.platform != "win32":
    import fcntl

_OTHERS = 0o077
DEFAULT = "default"
_MARGIN = 30
"""Seconds before its end at which a token counts as over."""


class SignInFailed(AsyncjobsError):
    """The issuer gave no token."""


@dataclass(frozen=True)
class Profile:
    """An API and its user. A token, the command that prints one, or the issuer that the user has signed in to."""

    url: str
    token: str | None = field(default=None, repr=False)
    token_command: str | None = None
    issuer: str | None = None
    client_id: str | None = None
    scope: str | None = None
    redirect_uri: str | None = None
    audience: str | None = None
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: int | None = None
    """When the token of a sign-in is over, by this machine's clock."""
    stored: tuple[Profiles, str] | None = field(default=None, repr=False, compare=False)
    """The file that has the profile, and its name there."""

    def token_source(self) -> str | Callable[[], str] | None:
        """Return the token, or a function that gets a new one."""
        if self.issuer and self.stored:
            return SignedIn(*self.stored)
        if self.token_command is None:
            return self.token
        command = shlex.split(self.token_command)

        def printed() -> str:
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - the user's own
            except (OSError, subprocess.CalledProcessError) as error:
                raise NotConfigured(f"The profile's token command failed: {error}") from error
            return done.stdout.strip()

        return printed

    def is_over(self, now: float) -> bool:
        """Return whether the token of a sign-in is over, or nearly."""
        return self.expires_at is not None and self.expires_at - _MARGIN < now

    def with_tokens(self, tokens: Tokens) -> Profile:
        """Return the profile after a sign-in."""
        return replace(self, token=tokens.access, refresh_token=tokens.refresh, expires_at=tokens.expires_at, stored=None)


class SignedIn:
    """The token of a profile whose user has signed in by the browser. It is renewed, and stored, when it is over."""

    def __init__(self, profiles: Profiles, name: str) -> None:
        self._profiles = profiles
        self._name = name
        self._last: str | None = None

    def __call__(self) -> str:
        """Return the stored token, or a new one if that is over or has been returned before, and so was refused."""
        with self._profiles.locked():  # another process may renew it: a refresh token may be good for one use
            profile = self._profiles.all()[self._name]
            if profile.token in {None, self._last} or profile.is_over(time.time()):
                profile = profile.with_tokens(self._renewed(profile))
                self._profiles.write(self._name, profile)
        self._last = profile.token or ""
        return self._last

    def _renewed(self, profile: Profile) -> Tokens:
        from asyncjobs_client.cli.sign_in import renewed  # noqa: PLC0415 - most tokens are not over

        again = f"Sign in again: asyncjobs --profile {shlex.quote(self._name)} login"
        if not (profile.issuer and profile.client_id and profile.refresh_token):
            raise SignInFailed(f"The sign-in is over. {again}")
        try:
            return renewed(profile.issuer, profile.client_id, profile.refresh_token)
        except SignInFailed as error:
            raise SignInFailed(f"{error} {again}") from error


@dataclass(frozen=True)
class Profiles:
    """The file of profiles."""

    path: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Profiles:
        """Return the user's file."""
        base = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".config"
        return cls(Path(base) / "asyncjobs" / "config.toml")

    def chosen(self, name: str | None, environment: Mapping[str, str]) -> Profile:
        """Return the profile to use. `ASYNCJOBS_URL` and `ASYNCJOBS_TOKEN` come first."""
        url, token = environment.get("ASYNCJOBS_URL"), environment.get("ASYNCJOBS_TOKEN")
        if url and name is None:
            return Profile(url, token)
        found = self.all().get(name or environment.get("ASYNCJOBS_PROFILE") or DEFAULT)
        if found is None:
            raise NotConfigured("No API is configured: run `asyncjobs login`, or set ASYNCJOBS_URL and ASYNCJOBS_TOKEN.")
        return Profile(found.url, token) if token and name is None else found

    def all(self) -> dict[str, Profile]:
        """Return the profiles by their names."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return {}
        read: dict[str, dict[str, Any]] = tomllib.loads(text).get("profiles", {})
        has_secret = any({"token", "refresh_token"} & each.keys() for each in read.values())
        if has_secret and self.path.stat().st_mode & _OTHERS and os.name == "posix":
            raise NotConfigured(f"{self.path} has a token, and others can read it: chmod 600 {self.path}")
        return {
            name: Profile(**{key: value for key, value in each.items() if key in _MEMBERS}, stored=(self, name))
            for name, each in read.items()
        }

    def save(self, name: str | None, profile: Profile) -> None:
        """Add or replace a profile."""
        with self.locked():
            self.write(name or DEFAULT, profile)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing the file."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_name(f"{self.path.name}.lock").open("w") as file:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def write(self, name: str, profile: Profile) -> None:
        """Add or replace a profile, inside `locked`. The file is whole at any time, and private before it has a token."""
        profiles = self.all() | {name: profile}
        partial = self.path.with_name(f"{self.path.name}.part")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            for each, found in profiles.items():
                file.write(f"[profiles.{json.dumps(each)}]\n")
                for key in _MEMBERS:
                    if (value := getattr(found, key)) is not None:
                        file.write(f"{key} = {json.dumps(value)}\n")
        partial.replace(self.path)


_MEMBERS = [each.name for each in fields(Profile) if each.name != "stored"]
