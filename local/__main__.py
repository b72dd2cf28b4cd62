"""The commands behind `make run`, `make token`, `make console`, `make env`, `make invoke` and `make logs`."""

import argparse
import shlex
import sys
import time
from contextlib import suppress
from urllib.parse import quote

from local import demo, logs, process, users
from local.errors import LocalError
from local.process import PROJECT
from local.samples import raw_pdf
from local.stack import LocalStack, Outputs
from tools.examples import assemble, named

STATE = PROJECT / ".local"
PAGES = 600
DEFAULT_PORT = 4566
DEFAULT_USER = "alice"


def main() -> int:
    """Run one command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("--port")
    running.add_argument("--examples", default="")
    commands.add_parser("token").add_argument("--user", default=DEFAULT_USER)
    console = commands.add_parser("console")
    console.add_argument("--user", default=DEFAULT_USER)
    console.add_argument("--group")
    commands.add_parser("env")
    invoking = commands.add_parser("invoke")
    invoking.add_argument("event")
    invoking.add_argument("--stack")
    commands.add_parser("logs").add_argument("--follow", action="store_true")
    options = parser.parse_args()
    try:
        match options.command:
            case "run":
                _run(options.port, options.examples)
            case "token":
                _token(options.user)
            case "console":
                _console(options.user, options.group)
            case "env":
                _env()
            case "invoke":
                return _invoke(options.event, options.stack)
            case "logs":
                _logs(follow=options.follow)
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. `make run` continues, `make stop` stops the engine.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `make logs | head`
        sys.stderr.close()
    return 0


def _run(wanted: str | None, examples: str) -> None:
    began = time.monotonic()
    running = process.find(STATE)
    port = process.port_number(wanted) if wanted else running.port if running else DEFAULT_PORT
    if examples:
        _say(f"Adding examples: {examples}")
        added = assemble(named(examples), STATE / "examples")
        stack, parameters = LocalStack(added.tree, STATE, port=port, say=_say), added.parameters
    else:
        stack, parameters = LocalStack(PROJECT, STATE, port=port, say=_say), {}
    outputs = stack.up(parameters)
    bearer = users.token(outputs, stack.session, DEFAULT_USER)
    key = _upload(stack, outputs, owner=users.subject(bearer))
    seconds = time.monotonic() - began
    print(
        f"Ready after {seconds:.1f} s. Running a job, document.extract of a report of {PAGES:,} pages, and watching it over the WebSocket:",
        flush=True,
    )
    job = demo.run_job(outputs.api_url, bearer, {"jobType": "document.extract", "input": {"key": key}})
    status, result = demo.summary(job, demo.result_of(outputs.api_url, bearer, job)).splitlines()
    print(
        f"""
Status   {status}
Result   {result}
The job  {demo.curl(outputs.api_url, DEFAULT_USER, job)}

{_console_lines(stack, outputs, DEFAULT_USER)}
API      {outputs.api_url}/api/v1
Token    make token USER={DEFAULT_USER}
Client   {demo.client(outputs.api_url, DEFAULT_USER)}
Logs     make logs
AWS CLI  eval "$(make env)"; aws dynamodb list-tables
Stop     make stop"""
    )


def _say(what: str) -> None:
    sys.stdout.write(f"{what} ...\n")  # in one piece: the engine starts in another thread
    sys.stdout.flush()


def _upload(stack: LocalStack, outputs: Outputs, *, owner: str) -> str:
    """Put a PDF into the owner's inputs area, since it is too large for a request, and return its key."""
    s3 = stack.session.client("s3", endpoint_url=outputs.endpoint_url)
    s3.put_object(Bucket=outputs.bucket_name, Key=f"inputs/{quote(owner, safe='')}/report.pdf", Body=raw_pdf.long_report(PAGES))
    return "report.pdf"


def _token(username: str) -> None:
    stack = LocalStack(PROJECT, STATE)
    print(users.token(stack.outputs, stack.session, username))


def _console(username: str, group: str | None) -> None:
    stack = LocalStack(PROJECT, STATE)
    print(_console_lines(stack, stack.outputs, username, group), end="")


def _console_lines(stack: LocalStack, outputs: Outputs, username: str, group: str | None = None) -> str:
    """Return where the console is and how this user signs in; nothing if the console is off."""
    if outputs.console_url is None:
        return ""
    password = users.create(outputs, stack.session, username, group=group)
    return f"Console  {outputs.console_url}\nSign in  {username}  {password}\n"


def _env() -> None:
    for name, value in LocalStack(PROJECT, STATE).engine.environment.items():
        print(f"export {name}={shlex.quote(value)}")


def _invoke(event: str, deployed: str | None) -> int:
    from local.invoke import invoke  # noqa: PLC0415 - SAM's modules take a second, and no other command needs them

    return invoke(LocalStack(PROJECT, STATE, say=_say), event, deployed=deployed)


def _logs(*, follow: bool) -> None:
    stack = LocalStack(PROJECT, STATE)
    with suppress(KeyboardInterrupt):  # Ctrl-C ends following
        logs.show(stack.outputs, stack.session, follow=follow)


if __name__ == "__main__":
    sys.exit(main())
