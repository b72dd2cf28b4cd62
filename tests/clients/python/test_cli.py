"""The command line: what it prints where, its exit codes, and what it stores."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import asyncjobs_client as client
from asyncjobs_client import File, NotConfigured, Snapshot
from asyncjobs_client.cli import app
from asyncjobs_client.cli.inputs import WrongInput, input_of, seconds
from asyncjobs_client.cli.output import Output
from asyncjobs_client.cli.profiles import Profile, Profiles
from clients.contract import server
from tests.support.pace import SLOWNESS


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str


Shell = Callable[..., Ran]


@pytest.fixture(scope="module")
def faults() -> Iterator[server.FaultServer]:
    with server.serve() as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("ASYNCJOBS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path


@pytest.fixture
def shell(faults: server.FaultServer, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Shell:
    def run(*arguments: str, case: str | None = None) -> Ran:
        session = faults.begin(case) if case else None
        if session:
            monkeypatch.setenv("ASYNCJOBS_URL", faults.sessions[session].base)
            monkeypatch.setenv("ASYNCJOBS_TOKEN", "token-1")
        code = app.run(arguments)
        out, err = capfdbinary.readouterr()
        if session:
            assert faults.verdict(session)["problems"] == []
        return Ran(code, out.decode(), err.decode())

    return run


def played(faults: server.FaultServer, *exchanges: dict[str, Any]) -> str:
    """Begin a session of these exchanges and return its address, which ends with the session's name."""
    base = f"{faults.url}/played-{len(faults.sessions)}"
    faults.sessions[base.rpartition("/")[2]] = server.Session(base, list(exchanges))
    return base


def test_result_alone_is_on_standard_output(shell: Shell) -> None:
    assert shell("run", "text.search", "query=lease", case="run_quick") == Ran(0, '{\n  "matches": 2\n}\n', "")


def test_json_is_one_line(shell: Shell) -> None:
    assert shell("run", "text.search", "query=lease", "--json", case="run_quick").out == '{"matches": 2}\n'


def test_detached_run_prints_the_id(shell: Shell) -> None:
    assert shell("run", "text.search", "query=lease", "--detach", case="submit_makes_one_key") == Ran(0, f"{server.JOB}\n", "")


def test_large_result_is_printed_or_written(shell: Shell, tmp_path: Path) -> None:
    assert json.loads(shell("result", server.JOB, case="result_large").out) == {"pages": [1, 2]}
    path = tmp_path / "result.json"
    assert shell("result", server.JOB, "-o", str(path), case="result_large") == Ran(0, "", "")
    assert path.read_text() == '{"pages": [1, 2]}'


def test_input_is_printed_as_it_was_submitted(shell: Shell) -> None:
    assert shell("input", server.JOB, case="input") == Ran(0, '{\n  "query": "lease",\n  "limit": 3\n}\n', "")
    assert shell("input", server.JOB, "--json", case="input").out == '{"query": "lease", "limit": 3}\n'
    missing = shell("input", server.JOB, case="input_not_stored")
    assert (missing.code, missing.out) == (4, "")


def test_job_is_shown(shell: Shell) -> None:
    assert json.loads(shell("get", server.JOB, "--json", case="get").out)["progress"] == 10
    assert f"id       {server.JOB}" in shell("get", server.JOB, case="get").out


def test_list_is_a_document_for_each_line(shell: Shell) -> None:
    lines = shell("ls", "-n", "2", "--json", case="list_limit").out.splitlines()
    assert [json.loads(line)["asyncJobId"] for line in lines] == ["a", "b"]
    table = shell("ls", "-n", "2", case="list_limit").out.splitlines()
    assert [line.split()[0] for line in table] == ["id", "a", "b"]


def test_types_are_listed_and_one_is_shown(shell: Shell) -> None:
    assert "text.search" in shell("types", case="types").out
    assert json.loads(shell("types", "text.search", case="types").out)["expectedSeconds"] == 0.2
    assert shell("types", "none", case="types").code == 2


def test_upload_prints_the_key(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("hello")
    assert shell("upload", str(path), case="upload") == Ran(0, "uploads/u1\n", "")


def test_events_are_lines(shell: Shell) -> None:
    ran = shell("events", server.JOB, "--after", "1", case="events_to_the_end")
    assert [line.split()[0:3:2] for line in ran.out.splitlines()] == [["2", "started"], ["3", "completed"]]


@pytest.mark.parametrize(
    ("arguments", "case", "code", "said"),
    [
        (("run", "text.search", "query=lease"), "run_failed_while_the_server_waited", 1, "BROKEN_PDF: The file is not a PDF."),
        (("wait", "{job}"), "wait_for_a_finished_job", 1, "BROKEN_PDF"),
        (("rm", "{job}"), "delete_unknown", 4, "404"),
        (("cancel", "{job}"), "cancel_too_late", 5, "JOB_ALREADY_FINISHED"),
        (("run", "text.search", "query=lease", "-d"), "submit_429_for_too_long", 5, "TOO_MANY_LIVE_JOBS"),
        (("run", "text.search", "query=lease", "-d"), "submit_500_with_code", 70, "INTERNAL_ERROR"),
        (("run", "text.search", "query=lease", "-d"), "submit_invalid_input", 70, "/input/query: is too long"),
        (("wait", "{job}"), "wait_forbidden", 77, "403"),
        (("wait", "{job}", "--give-up", "0"), "wait_gives_up", 124, "asyncjobs wait {job}"),
        (("run", "text.search", "query"), None, 2, "key=value"),
        (("run", "text.search", "--input", "{}"), None, 2, "JSON from @FILE, or - for standard input; '{}' is not"),
        (("run", "text.search", "--file", "key"), None, 2, "field=path"),
        (("run", "text.search", "--file", "key=/none.pdf"), None, 2, "There is no file '/none.pdf' for 'key'"),
        (("frobnicate",), None, 2, "frobnicate"),
    ],
)
def test_error_is_on_standard_error_and_has_its_exit_code(
    shell: Shell, arguments: tuple[str, ...], case: str | None, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCJOBS_URL", "https://api.example.com")
    ran = shell(*(each.replace("{job}", server.JOB) for each in arguments), case=case)
    assert (ran.code, ran.out) == (code, "")
    assert said.replace("{job}", server.JOB) in ran.err


@pytest.mark.parametrize("given", [None, ""])
def test_missing_token_names_the_ways_to_give_one(shell: Shell, monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    monkeypatch.setenv("ASYNCJOBS_URL", "https://api.example.com")
    if given is not None:
        monkeypatch.setenv("ASYNCJOBS_TOKEN", given)
    ran = shell("types")
    assert (ran.code, ran.err) == (2, "asyncjobs: A token is missing: run `asyncjobs login`, or set ASYNCJOBS_TOKEN.\n")


def test_address_that_is_none_is_an_error_of_usage(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCJOBS_URL", "api.example.com")
    monkeypatch.setenv("ASYNCJOBS_TOKEN", "token-1")
    for command in ("types", "wait"):
        ran = shell(command, *(["j-1"] if command == "wait" else []))
        assert ran.code == 2
        assert "begins with https://" in ran.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": 401, "body": {"message": "Unauthorized"}}, "has expired.\nGet a new token: run `asyncjobs login`"),
        ({"status": 403, "body": {"message": "Forbidden"}}, "403: Forbidden: Check the API's address"),
        ({"status": 404, "body": {"message": "Not Found"}}, "404: Not Found: Check the API's address."),
        ({"problem": {"status": 400, "code": "UNKNOWN_JOB_TYPE"}}, "\nasyncjobs types\n"),
    ],
)
def test_refusal_says_what_to_do(
    shell: Shell, faults: server.FaultServer, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], said: str
) -> None:
    types = {"request": {"method": "GET", "path": "/job-types"}, "answer": answer}
    monkeypatch.setenv("ASYNCJOBS_URL", played(faults, types))
    monkeypatch.setenv("ASYNCJOBS_TOKEN", "token-1")
    assert said in shell("types").err


def test_each_kind_of_error_has_the_exit_code_of_the_documents() -> None:
    job = Snapshot(server.RUNNING)
    assert app.exit_code(client.JobCancelled(job)) == 3
    assert app.exit_code(client.ApiTimeout("no answer")) == 69
    assert app.exit_code(client.GaveUp(job, 1)) == 124
    assert app.exit_code(KeyboardInterrupt()) == 130


def test_interrupted_wait_leaves_the_job_alone_and_names_it(faults: server.FaultServer) -> None:
    session = faults.begin("wait_gives_up")
    environment = os.environ | {
        "ASYNCJOBS_URL": faults.sessions[session].base,
        "ASYNCJOBS_TOKEN": "t",
        "PYTHONPATH": str(Path(client.__file__).parents[1]),
    }
    command = [sys.executable, "-m", "asyncjobs_client", "wait", server.JOB]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        end = time.monotonic() + 60 * SLOWNESS
        while faults.verdict(session)["left"] == 3 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.2 * SLOWNESS)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60 * SLOWNESS)
    assert (running.returncode, out, err) == (130, "", f"asyncjobs: still running: {server.JOB}\n")
    assert faults.verdict(session) == {"problems": [], "left": 2}


def test_second_interruption_cancels_the_jobs_that_have_not_ended(faults: server.FaultServer) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    base = played(
        faults,
        cancelled("late", {"problem": {"status": 409, "code": "JOB_ALREADY_FINISHED"}}),
        cancelled("deleted", {"problem": {"status": 404, "code": "JOB_NOT_FOUND"}}),
        cancelled("live", {"status": 200, "job": {"status": "CANCELLED"}}),
    )
    text = io.StringIO()
    output = Output(err=Console(file=text, force_terminal=True, highlight=False))
    app._interrupted(app.Command(Profile(base, "token-1"), output), ["late", "deleted", "live"], interrupt)
    assert text.getvalue().endswith("asyncjobs: cancelled.\n")
    assert faults.verdict(base.rpartition("/")[2]) == {"problems": [], "left": 0}


def cancelled(job_id: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {"request": {"method": "POST", "path": f"/jobs/{job_id}/cancel"}, "answer": answer}


def test_completion_is_a_script_of_the_shell() -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(client.__file__).parents[1])}
    command = [sys.executable, "-m", "asyncjobs_client", "completion", "bash"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "complete -o default -F _asyncjobs_completion asyncjobs" in done.stdout


def test_every_command_has_help(shell: Shell) -> None:
    named = re.findall(r"^\W*(\w+)  ", shell("--help").out.partition("Commands")[2], flags=re.MULTILINE)
    assert {"login", "run", "get", "wait", "watch", "result", "cancel", "retry", "rm", "ls", "types"} <= set(named)
    assert {"upload", "events", "webhooks", "token", "completion"} <= set(named)
    assert {command: shell(command, "--help").code for command in named} == dict.fromkeys(named, 0)


def test_progress_is_shown_on_a_terminal_only() -> None:
    def shown(*, terminal: bool, quiet: bool = False) -> str:
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=100)
        with Output(err=console, quiet=quiet).bars() as bars:
            bars.show(Snapshot({**server.RUNNING, "progress": 40, "message": "Page [2] of 5"}))
        return text.getvalue()

    assert "Page [2] of 5" in shown(terminal=True)
    assert "40 %" in shown(terminal=True)
    assert shown(terminal=False).strip() == ""
    assert shown(terminal=True, quiet=True) == ""


@pytest.mark.parametrize(("no_color", "is_colored"), [("", True), ("1", False)])
def test_no_color_is_obeyed(
    no_color: str, is_colored: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color", "NO_COLOR": no_color}.items():
        monkeypatch.setenv(name, value)
    Output().record(Snapshot({**server.RUNNING, "status": "COMPLETED"}))
    assert ("\x1b[32m" in capsys.readouterr().out) is is_colored


def test_input_is_made_of_pairs_files_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"limit": 1, "query": "a"}')
    assert input_of(["limit=3", "tags=[1]", "q.text=b c", "on=true"], None, []) == {
        "limit": 3,
        "tags": [1],
        "q": {"text": "b c"},
        "on": True,
    }
    assert input_of(["limit=3"], f"@{path}", [f"key={path}"]) == {"limit": 3, "query": "a", "key": File(str(path))}
    monkeypatch.setattr("sys.stdin", io.StringIO("[1]"))
    assert input_of([], "-", []) == [1]
    assert input_of([], None, []) is None


@pytest.mark.parametrize(("pairs", "files"), [(["a"], []), ([], ["a=none.pdf"]), (["a=1", "a.b=2"], [])])
def test_wrong_input_is_an_error(pairs: list[str], files: list[str]) -> None:
    with pytest.raises(WrongInput):
        input_of(pairs, None, files)


def test_command_never_waits_for_a_terminals_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    with pytest.raises(WrongInput, match="terminal"):
        input_of([], "-", [])


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("forever", None)])
def test_duration_has_a_unit(text: str, expected: float | None) -> None:
    assert seconds(text) == expected
    with pytest.raises(WrongInput, match="duration"):
        seconds("soon")


def test_login_stores_a_profile_that_only_its_owner_reads(
    shell: Shell, home: Path, faults: server.FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = faults.begin("types")
    monkeypatch.setattr("sys.stdin", io.StringIO("token-1\n"))
    ran = shell("--profile", "work", "login", "--url", faults.sessions[session].base)
    assert (ran.code, ran.out) == (0, "")
    path = home / "asyncjobs/config.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert Profiles(path).all() == {"work": Profile(faults.sessions[session].base, "token-1")}


def test_login_that_is_refused_stores_nothing(
    shell: Shell, home: Path, faults: server.FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = {"status": 401, "headers": {"content-type": "application/json"}, "body": {"message": "Unauthorized"}}
    base = played(faults, {"request": {"method": "GET", "path": "/job-types"}, "answer": refusal})
    monkeypatch.setattr("sys.stdin", io.StringIO("token-1\n"))
    ran = shell("login", "--url", base)
    assert (ran.code, ran.out) == (77, "")
    assert "401" in ran.err
    assert faults.verdict(base.rpartition("/")[2]) == {"problems": [], "left": 0}
    assert not (home / "asyncjobs").exists()


def test_login_without_a_token_or_an_address_stores_nothing(shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert shell("login", "--url", "https://api.example.com").code == 2
    assert shell("login").code == 2
    assert not (home / "asyncjobs").exists()


def test_profile_that_others_can_read_is_refused(home: Path) -> None:
    profiles = Profiles(home / "config.toml")
    profiles.save(None, Profile("https://api.example.com", "secret"))
    profiles.path.chmod(0o640)
    with pytest.raises(NotConfigured, match="chmod 600"):
        profiles.chosen(None, {})


def test_command_of_a_profile_gets_the_token(home: Path) -> None:
    profiles = Profiles(home / "config.toml")
    profiles.save("a", Profile("https://a.example.com", token_command=f"{sys.executable} -c 'print(\"minted\")'"))
    profiles.save("b", Profile('https://b.example.com/"quoted"', "t"))
    source: Any = profiles.chosen("a", {}).token_source()
    assert source() == "minted"
    assert profiles.chosen("b", {}).token_source() == "t"
    assert profiles.chosen(None, {"ASYNCJOBS_PROFILE": "b"}).url == 'https://b.example.com/"quoted"'
    failing: Any = Profile("https://a.example.com", token_command="false").token_source()
    with pytest.raises(NotConfigured, match="token command"):
        failing()


def test_environment_comes_before_the_profile(home: Path) -> None:
    profiles = Profiles(home / "config.toml")
    with pytest.raises(NotConfigured, match="asyncjobs login"):
        profiles.chosen(None, {})
    profiles.save(None, Profile("https://a.example.com", "t"))
    assert profiles.chosen(None, {"ASYNCJOBS_URL": "https://b.example.com"}) == Profile("https://b.example.com")
    assert profiles.chosen(None, {"ASYNCJOBS_TOKEN": "u"}) == Profile("https://a.example.com", "u")
