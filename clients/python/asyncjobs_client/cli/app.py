"""The commands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from asyncjobs_client._async.client import AsyncJobs
from asyncjobs_client._async.job import AsyncJob
from asyncjobs_client._sync.client import Jobs
from asyncjobs_client._sync.connection import TOKEN_VARIABLE
from asyncjobs_client._version import __version__
from asyncjobs_client.cli.inputs import WrongInput, input_of, seconds
from asyncjobs_client.cli.output import Output
from asyncjobs_client.cli.profiles import DEFAULT, Profile, Profiles, SignInFailed
from asyncjobs_client.errors import (
    ApiConnectionError,
    ApiError,
    AsyncjobsError,
    Conflict,
    Forbidden,
    GaveUp,
    JobCancelled,
    JobFailed,
    NotConfigured,
    NotFound,
    RateLimited,
    Unauthorized,
)
from asyncjobs_client.options import SubmitOptions
from asyncjobs_client.snapshot import CANCELLED, COMPLETED, Snapshot
from asyncjobs_client.wire import api_url

EXIT_CODES: dict[type[BaseException], int] = {
    JobFailed: 1,
    NotConfigured: 2,
    WrongInput: 2,
    JobCancelled: 3,
    NotFound: 4,
    Conflict: 5,
    RateLimited: 5,
    ApiConnectionError: 69,
    Unauthorized: 77,
    Forbidden: 77,
    SignInFailed: 77,
    GaveUp: 124,
    KeyboardInterrupt: 130,
    ApiError: 70,
    AsyncjobsError: 70,
}
"""The exit code of each error; the first class that fits. 69, 70 and 77 are those of sysexits.h, 124 that of `timeout`."""

_SECOND_CTRL_C = 2.0
"""Seconds in which a second Ctrl-C cancels the job."""

app = typer.Typer(
    name="asyncjobs",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Submit jobs, wait for them, and get their results. Standard output has results only.",
    epilog=(
        "Exit codes: 0 done, 1 the job failed, 2 usage, 3 the job was cancelled, 4 not found, 5 conflict or limit,"
        " 69 unreachable, 77 not authorized, 124 gave up waiting, 130 Ctrl-C."
    ),
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON; lists as a document for each line.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only.")]
GiveUp = Annotated[str, typer.Option(help="How long to wait: 90, 5m, 2h, forever. The job goes on.", metavar="DURATION")]
Id = Annotated[str, typer.Argument(help="The job's id.", metavar="ID")]
Ids = Annotated[list[str], typer.Argument(help="The jobs' ids.", metavar="ID...")]
To = Annotated[Path | None, typer.Option("--output", "-o", help="Write the result to this file.", dir_okay=False)]
Profiled = Annotated[str | None, typer.Option("--profile", help="The profile to use.", envvar="ASYNCJOBS_PROFILE")]


@dataclass(frozen=True)
class Command:
    """What a command works with."""

    profile: Profile
    output: Output

    def jobs(self) -> Jobs:
        """Return a client."""
        return Jobs(*self._api())

    def async_jobs(self) -> AsyncJobs:
        """Return a client for several jobs at the same time."""
        return AsyncJobs(*self._api())

    def _api(self) -> tuple[str, str | Callable[[], str]]:
        token = self.profile.token_source() or os.environ.get(TOKEN_VARIABLE)
        if not token:
            raise NotConfigured(f"A token is missing: run `asyncjobs login`, or set {TOKEN_VARIABLE}.")
        try:
            return api_url(self.profile.url), token
        except ValueError as error:
            raise NotConfigured(str(error)) from error


def run(arguments: Sequence[str]) -> int:
    """Run a command and return the exit code."""
    try:
        app(list(arguments), prog_name="asyncjobs")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


@contextmanager
def _command(context: typer.Context, *, as_json: bool = False, quiet: bool = False) -> Iterator[Command]:
    """Begin a command. An error ends it, with one sentence and an exit code."""
    output = Output(json=as_json, quiet=quiet)
    try:
        yield Command(Profiles.of(os.environ).chosen(context.obj, os.environ), output)
    except (AsyncjobsError, WrongInput, OSError) as error:
        output.err.print(f"asyncjobs: {error}", markup=False)
        if next_step := _next_step(error):
            output.err.print(next_step, markup=False)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_CODES[KeyboardInterrupt]) from None


def _next_step(error: BaseException) -> str | None:
    """Return what the user of a command line does about an error."""
    match error:
        case GaveUp():
            return f"asyncjobs wait {error.job_id}"
        case Unauthorized():
            return "Get a new token: run `asyncjobs login`, or set ASYNCJOBS_TOKEN."
        case ApiError(code="UNKNOWN_JOB_TYPE"):
            return "asyncjobs types"
    return None


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error."""
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


@app.callback()
def _options(
    context: typer.Context, profile: Profiled = None, version: Annotated[bool, typer.Option("--version")] = False
) -> None:
    context.obj = profile
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def login(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help="The API's address.")] = None,
    token_command: Annotated[str | None, typer.Option(help="A command that prints a token: nothing secret is stored.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Sign in by the browser: the OpenID Connect issuer of the tokens.")] = None,
    client_id: Annotated[str | None, typer.Option(help="The issuer's public client to sign in with.")] = None,
    scope: Annotated[
        str | None, typer.Option(help="The scopes to request; by default those of the API's own user pool.")
    ] = None,
    redirect_uri: Annotated[
        str | None, typer.Option(help="The address on this machine that the client allows. [default: http://localhost:8976/]")
    ] = None,
    audience: Annotated[
        str | None, typer.Option(help="The API that the token is for, where the issuer has several: Auth0's API identifier.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the browser, or only print the address.")] = True,
) -> None:
    """Store an API's address, and a token or how to get one, as a profile.

    With --issuer and --client-id, you sign in by the browser. Otherwise the token is read from standard input. Only you can
    read the file. Without --url, the profile gets a new token in the same way as before.
    """
    output, profiles = Output(), Profiles.of(os.environ)
    given = Profile(url or "", None, token_command, issuer, client_id, scope, redirect_uri, audience)
    try:
        if not url and (known := profiles.all().get(context.obj or DEFAULT)):
            given = known if given == Profile("") else replace(given, url=known.url)
        profile = _with_token(given, output, browser=browser)
        with Jobs(profile.url, profile.token_source()) as jobs:
            jobs.types()  # before anything is stored
        profiles.save(context.obj, profile)
    except (AsyncjobsError, ValueError) as error:
        output.err.print(f"asyncjobs: {error}", markup=False)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_CODES[KeyboardInterrupt]) from None
    output.say(f"Stored in {profiles.path}.")


def _with_token(profile: Profile, output: Output, *, browser: bool) -> Profile:
    """Return a profile that the user completes: by signing in, or by typing or piping what is missing."""
    if not profile.url:
        profile = replace(profile, url=_typed("The API's address", "Give the API's address: --url https://..."))
    if profile.issuer:
        return _signed_in(profile, output, browser=browser)
    if profile.token_command:
        return profile
    if sys.stdin.isatty():
        return replace(profile, token=typer.prompt("Token", hide_input=True))
    token = sys.stdin.read().strip()
    if not token:
        raise WrongInput("Pipe the token into the command, or give --token-command or --issuer.")
    return replace(profile, token=token)


def _typed(what: str, advice: str) -> str:
    if not sys.stdin.isatty():
        raise WrongInput(advice)
    found: str = typer.prompt(what)
    return found


def _signed_in(profile: Profile, output: Output, *, browser: bool) -> Profile:
    import webbrowser  # noqa: PLC0415 - as the next one

    from asyncjobs_client.cli.sign_in import REDIRECT_URI, SCOPE, sign_in  # noqa: PLC0415 - other commands need no server

    if not (profile.issuer and profile.client_id):
        raise WrongInput("Give the issuer's public client: --client-id.")
    if not output.err.is_terminal:
        raise WrongInput("The browser needs somebody at a terminal. Without one, pipe a token or give --token-command.")

    def show(url: str) -> None:
        output.err.print(f"Sign in at {url}", markup=False)
        if browser:
            webbrowser.open(url)

    scope, redirect_uri = profile.scope or SCOPE, profile.redirect_uri or REDIRECT_URI
    tokens = sign_in(
        profile.issuer, profile.client_id, scope=scope, redirect_uri=redirect_uri, audience=profile.audience, show=show
    )
    return profile.with_tokens(tokens)


@app.command("run")
def run_job(
    context: typer.Context,
    job_type: Annotated[str, typer.Argument(help="One of `asyncjobs types`.", metavar="TYPE")],
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Members of the input: key=value. A value that is JSON counts as JSON: 3, true, '\"3\"'.",
            metavar="KEY=VALUE...",
        ),
    ] = None,
    source: Annotated[str | None, typer.Option("--input", help="JSON from @FILE, or - for standard input.")] = None,
    file: Annotated[list[str] | None, typer.Option(help="A file to upload into a member: field=path.")] = None,
    key: Annotated[str | None, typer.Option(help="The idempotency key: the same key is the same job.")] = None,
    priority: Annotated[str | None, typer.Option(help="high, standard or low.")] = None,
    delay: Annotated[str | None, typer.Option(help="The earliest start: 90, 5m, 2h.", metavar="DURATION")] = None,
    give_up: GiveUp = "5m",
    output: To = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Print the job's id, and do not wait.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Submit a job, show its progress, and print its result."""
    with _command(context, as_json=as_json, quiet=quiet) as command:
        value = input_of(pairs or (), source, file or ())
        options: SubmitOptions = {"key": key, "priority": priority, "delay": seconds(delay) if delay else None}
        limit = seconds(give_up)
        prefer = "respond-async" if detach else None
        with command.jobs() as jobs:
            job: Snapshot = jobs._submitted(job_type, value, options, prefer=prefer)  # noqa: SLF001 - of the same package
        if detach:
            command.output.value(dict(job.raw) if as_json else job.id)
            return
        if not job.is_finished:
            (job,) = _followed(command, [job.id], limit)
        _result(command, job, output)


@app.command()
def get(context: typer.Context, job_id: Id, as_json: Json = False) -> None:
    """Show a job."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        command.output.record(jobs.get(job_id))


@app.command()
def wait(
    context: typer.Context,
    job_ids: Ids,
    give_up: GiveUp = "5m",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Wait until jobs have ended. The exit code is that of the first one that did not complete."""
    with _command(context, as_json=as_json, quiet=quiet) as command:
        found = _followed(command, job_ids, seconds(give_up))
        if as_json:
            command.output.records(found)
        _end_by(found)


@app.command()
def watch(context: typer.Context, job_ids: Ids, give_up: GiveUp = "forever", as_json: Json = False) -> None:
    """Show jobs while they change, until they have ended. With --json, each change is a line."""
    with _command(context, as_json=as_json) as command:
        found = _followed(command, job_ids, seconds(give_up), each=command.output.json)
        if not as_json:
            command.output.records(found)
        _end_by(found)


@app.command()
def result(context: typer.Context, job_id: Id, give_up: GiveUp = "5m", output: To = None, as_json: Json = False) -> None:
    """Print a job's result, or write it to a file. Waits for it."""
    with _command(context, as_json=as_json) as command:
        _result(command, _followed(command, [job_id], seconds(give_up))[0], output)


@app.command("input")
def show_input(context: typer.Context, job_id: Id, as_json: Json = False) -> None:
    """Print a job's input, as it was submitted: `asyncjobs input ID --json | asyncjobs run TYPE --input -` runs it once more."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        command.output.value(jobs.job(job_id).input())


@app.command()
def cancel(context: typer.Context, job_id: Id, as_json: Json = False) -> None:
    """Cancel a job."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        command.output.record(jobs.job(job_id).cancel())


@app.command()
def retry(context: typer.Context, job_id: Id, as_json: Json = False) -> None:
    """Run a job again that failed or was cancelled."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        command.output.record(jobs.get(job_id).retry())


@app.command()
def rm(context: typer.Context, job_ids: Ids) -> None:
    """Delete finished jobs, their inputs and their results."""
    with _command(context) as command, command.jobs() as jobs:
        for job_id in job_ids:
            jobs.job(job_id).delete()


@app.command()
def ls(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="PENDING, IN_PROGRESS, COMPLETED, FAILED or CANCELLED.")] = None,
    job_type: Annotated[str | None, typer.Option("--type", help="Only jobs of this type.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many jobs.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """List your jobs, newest first."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        command.output.records(jobs.list(status=status.upper() if status else None, job_type=job_type, limit=limit))


@app.command()
def types(
    context: typer.Context,
    job_type: Annotated[str | None, typer.Argument(help="Show this type with its schemas.", metavar="TYPE")] = None,
    as_json: Json = False,
) -> None:
    """List the job types, or show one."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        found = jobs.types()
        if job_type is None:
            short = [
                {"type": each.name, "tracked": "tracked" if each.tracked else "", "description": each.description}
                for each in found
            ]
            command.output.rows([dict(each.raw) for each in found] if as_json else short)
            return
        named = next((each for each in found if each.name == job_type), None)
        if named is None:
            raise WrongInput(f"There is no job type {job_type!r}: see `asyncjobs types`.")
        command.output.value(dict(named.raw))


@app.command()
def upload(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE")],
    content_type: Annotated[str | None, typer.Option(help="The file's type; by default, that of its name.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Upload a file, and print the key for a job's input."""
    with _command(context, as_json=as_json, quiet=quiet) as command, command.jobs() as jobs:
        with command.output.bars() as bars:
            key = jobs.upload(path, content_type=content_type, on_progress=lambda done, size: bars.bytes(path.name, done, size))
        command.output.value(key)


@app.command()
def events(
    context: typer.Context,
    job_id: Id,
    after: Annotated[int, typer.Option(help="Only events after this number.", min=0)] = 0,
    give_up: GiveUp = "forever",
    as_json: Json = False,
) -> None:
    """Print a job's events, until it has ended."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        for event in jobs.job(job_id).events(after=after, give_up=seconds(give_up)):
            if as_json:
                command.output.value(dict(event.raw))
            else:
                progress = "" if event.progress is None else f"{event.progress} %"
                kind = event.name or event.type
                print(f"{event.seq:>4} {event.at or '':<24} {kind:<10} {progress:>5} {event.message or ''}".rstrip())


webhooks = typer.Typer(no_args_is_help=True, help="Create, list, test and delete webhooks.")
app.add_typer(webhooks, name="webhooks")
WebhookId = Annotated[str, typer.Argument(help="The webhook's id.", metavar="ID")]


@webhooks.command("add")
def add_webhook(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="An https address.", metavar="URL")],
    event: Annotated[list[str] | None, typer.Option(help="job.completed, ...; by default those that end a job.")] = None,
    job_type: Annotated[list[str] | None, typer.Option("--type", help="Only jobs of this type.")] = None,
    as_json: Json = False,
) -> None:
    """Create a webhook, and print its id and its secret: no other answer has it."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        found = jobs.webhooks.create(url, events=event, job_types=job_type)
        command.output.rows([dict(found.raw) if as_json else {"id": found.id, "url": found.url, "secret": found.secret}])


@webhooks.command("ls")
def list_webhooks(context: typer.Context, as_json: Json = False) -> None:
    """List your webhooks."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        found = jobs.webhooks.all()
        short = [
            {"id": each.id, "url": each.url, "events": " ".join(each.events), "disabled": each.disabled_reason}
            for each in found
        ]
        command.output.rows([dict(each.raw) for each in found] if as_json else short)


@webhooks.command("test")
def deliver_test(context: typer.Context, webhook_id: WebhookId, as_json: Json = False) -> None:
    """Deliver a test, and wait for the answer."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        job = jobs.webhooks.test(webhook_id).wait()
        command.output.record(job)
        _end_by([job])


@webhooks.command("rotate")
def rotate_webhook(context: typer.Context, webhook_id: WebhookId) -> None:
    """Replace the secret, and print the new one."""
    with _command(context) as command, command.jobs() as jobs:
        command.output.value(jobs.webhooks.rotate(webhook_id).secret)


@webhooks.command("rm")
def remove_webhook(context: typer.Context, webhook_id: WebhookId) -> None:
    """Delete a webhook."""
    with _command(context) as command, command.jobs() as jobs:
        jobs.webhooks.delete(webhook_id)


@app.command()
def token(
    context: typer.Context,
    job: Annotated[list[str] | None, typer.Option(help="A job that the ticket opens; by default all your jobs.")] = None,
    ttl: Annotated[str, typer.Option(help="How long it is valid, 15 minutes at most.", metavar="DURATION")] = "15m",
    as_json: Json = False,
) -> None:
    """Print a ticket for a browser: it opens jobs, read-only."""
    with _command(context, as_json=as_json) as command, command.jobs() as jobs:
        ticket = jobs.ticket(*(job or ()), ttl=seconds(ttl))
        command.output.value(dict(ticket.raw) if as_json else ticket.text)


@app.command()
def completion(shell: Annotated[str, typer.Argument(help="bash, zsh, fish or powershell.")]) -> None:
    """Print the completion script of a shell: `eval "$(asyncjobs completion bash)"`."""
    environment = os.environ | {"_ASYNCJOBS_COMPLETE": f"source_{shell}"}
    raise typer.Exit(subprocess.run([sys.executable, "-m", "asyncjobs_client"], env=environment, check=False).returncode)


def _followed(command: Command, job_ids: Sequence[str], give_up: float | None, *, each: bool = False) -> list[AsyncJob]:
    """Wait for jobs and show them. Ctrl-C leaves them alone; a second one cancels them."""
    try:
        return asyncio.run(_follow(command, job_ids, give_up, each=each))
    except KeyboardInterrupt:
        _interrupted(command, job_ids)
        raise


async def _follow(command: Command, job_ids: Sequence[str], give_up: float | None, *, each: bool) -> list[AsyncJob]:
    with command.output.bars() as bars:

        def show(job: Snapshot) -> None:
            bars.show(job)
            if each:
                command.output.value(dict(job.raw))

        live = show if each or (command.output.err.is_terminal and not command.output.quiet) else None
        async with command.async_jobs() as jobs:
            waits = (jobs.job(job_id).wait(give_up=give_up, on_update=live) for job_id in job_ids)
            return list(await asyncio.gather(*waits))


def _interrupted(command: Command, job_ids: Sequence[str], sleep: Callable[[float], None] = time.sleep) -> None:
    command.output.err.print(f"asyncjobs: still running: {' '.join(job_ids)}", markup=False)
    if not command.output.err.is_terminal:
        return
    command.output.err.print("Press Ctrl-C again to cancel.", markup=False)
    try:
        sleep(_SECOND_CTRL_C)
    except KeyboardInterrupt:
        with command.jobs() as jobs:
            for job_id in job_ids:
                with suppress(Conflict, NotFound):  # it has ended meanwhile
                    jobs.job(job_id).cancel()
        command.output.err.print("asyncjobs: cancelled.", markup=False)


def _result(command: Command, job: Snapshot, path: Path | None) -> None:
    """Print the result of a job that has ended, or raise what it ended by."""
    with command.jobs() as jobs:
        handle = jobs.job(job.id).with_record(dict(job.raw))
        if job.status == COMPLETED and path:
            with command.output.bars() as bars:
                handle.download(path, on_progress=lambda done, size: bars.bytes(path.name, done, size))
        else:
            command.output.value(handle.result())


def _end_by(jobs: Sequence[Snapshot]) -> None:
    for job in jobs:
        if job.status == CANCELLED:
            raise JobCancelled(job)
        if job.status != COMPLETED:
            raise JobFailed(job)
