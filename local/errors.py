"""What can go wrong on a laptop, each with a sentence for the person in front of it."""

from pathlib import Path


class LocalError(Exception):
    """The root. Its text is the whole message: no stack trace belongs under it."""


class PortTakenError(LocalError):
    """Not by us."""

    def __init__(self, port: int) -> None:
        super().__init__(f"Port {port} is taken by another program. Try: make run PORT={port + 1}")


class EngineDiedError(LocalError):
    """While it was starting, or it never answered."""

    def __init__(self, log: Path, last_lines: str) -> None:
        super().__init__(f"The local engine did not start. Its last words (all of them are in {log}):\n{last_lines}")


class NotRunningError(LocalError):
    """There is no engine, or nothing is deployed on it yet."""

    def __init__(self) -> None:
        super().__init__("Nothing is deployed on this machine. Start with: make run")


class BusyError(LocalError):
    """Somebody else is changing the same stack."""

    def __init__(self) -> None:
        super().__init__("Another `make run` or `make stop` is at work in this folder. Wait for it to end, then try again.")


class SamFailedError(LocalError):
    """The build or the deployment."""

    def __init__(self, command: str, log: Path, last_lines: str) -> None:
        super().__init__(f"`sam {command}` failed. The end of its output (all of it is in {log}):\n{last_lines}")


class StackStuckError(LocalError):
    """CloudFormation would refuse to deploy."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The local stack is stuck in {status}. Start afresh with: make stop run")


class NoUserPoolError(LocalError):
    """Tokens come from elsewhere."""

    def __init__(self) -> None:
        super().__init__("This stack has no user pool of its own (JwtIssuer is set): get a token from that issuer.")


class DemonstrationError(LocalError):
    """The job was refused or did not complete."""

    def __init__(self, what_happened: str) -> None:
        super().__init__(f"{what_happened}\nWhat the functions say: make logs")
