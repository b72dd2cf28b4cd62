"""Profiles: an API's address and how to get a token, in a file that only its owner reads."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from asyncjobs_client.errors import NotConfigured

_OTHERS = 0o077
_DEFAULT = "default"


@dataclass(frozen=True)
class Profile:
    """An API and its user. A token, or the command that prints one."""

    url: str
    token: str | None = None
    token_command: str | None = None

    def token_source(self) -> str | Callable[[], str] | None:
        """Return the token, or a function that gets a new one."""
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
        found = self.all().get(name or environment.get("ASYNCJOBS_PROFILE") or _DEFAULT)
        if found is None:
            raise NotConfigured("No API is configured: run `asyncjobs login`, or set ASYNCJOBS_URL and ASYNCJOBS_TOKEN.")
        return Profile(found.url, token) if token and name is None else found

    def all(self) -> dict[str, Profile]:
        """Return the profiles by their names."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return {}
        read: dict[str, dict[str, str]] = tomllib.loads(text).get("profiles", {})
        if any("token" in each for each in read.values()) and self.path.stat().st_mode & _OTHERS and os.name == "posix":
            raise NotConfigured(f"{self.path} has a token, and others can read it: chmod 600 {self.path}")
        known = {"url", "token", "token_command"}
        return {name: Profile(**{key: value for key, value in each.items() if key in known}) for name, each in read.items()}

    def save(self, name: str | None, profile: Profile) -> None:
        """Add or replace a profile. The file is whole at any time, and private before it has a token."""
        profiles = self.all() | {name or _DEFAULT: profile}
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.part")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            for each, found in profiles.items():
                file.write(f"[profiles.{json.dumps(each)}]\n")
                for key, value in vars(found).items():
                    if value is not None:
                        file.write(f"{key} = {json.dumps(value)}\n")
        partial.replace(self.path)
