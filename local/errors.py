"""Errors of the local twin, each with a sentence that says what to do."""

from collections.abc import Sequence
from pathlib import Path


class LocalError(Exception):
    """The root of these errors. Its text is the whole message, without a traceback."""


class PortTakenError(LocalError):
    """Another program uses the port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"Port {port} is taken by another program. Try: make run PORT={port + 1}")


class EngineDiedError(LocalError):
    """The engine ended while it started, or never answered."""

    def __init__(self, log: Path, last_lines: str) -> None:
        super().__init__(f"The local engine did not start. The end of its log (complete in {log}):\n{last_lines}")


class NotRunningError(LocalError):
    """No engine runs, or nothing is deployed on it yet."""

    def __init__(self) -> None:
        super().__init__("Nothing is deployed on this machine. Start with: make run")


class BusyError(LocalError):
    """Another process is changing the same stack."""

    def __init__(self) -> None:
        super().__init__("Another `make run` or `make stop` runs in this folder. Wait for it to end, then try again.")


class SamFailedError(LocalError):
    """A build or a deployment by sam failed."""

    def __init__(self, command: str, log: Path, last_lines: str) -> None:
        super().__init__(f"`sam {command}` failed. The end of its output (complete in {log}):\n{last_lines}")


class StackStuckError(LocalError):
    """The stack is in a state in which CloudFormation refuses to deploy."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The local stack is stuck in {status}. Start again with: make stop run")


class DockerMissingError(LocalError):
    """`sam local invoke` cannot work."""

    def __init__(self, what_is_missing: str) -> None:
        super().__init__(
            f"`sam local invoke` runs functions in Docker. {what_is_missing}\n"
            "Install or start Docker and try again. Without Docker, `make run` runs the same functions."
        )


class NoUserPoolError(LocalError):
    """The stack has no user pool, so tokens come from another issuer."""

    def __init__(self) -> None:
        super().__init__("This stack has no user pool of its own (JwtIssuer is set): get a token from that issuer.")


class UserNameError(LocalError):
    """The user pool takes no user of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is no user name. Use letters, digits and signs, such as: make token USER=alice")


class UnknownGroupError(LocalError):
    """The user pool has no group of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no group {name!r}. Choose from: {', '.join(known) or 'none, since AdminApi is OFF'}.")


class DemonstrationError(LocalError):
    """The sample job was rejected or did not complete."""

    def __init__(self, what_happened: str) -> None:
        super().__init__(f"{what_happened}\nRead the functions' logs with: make logs")
