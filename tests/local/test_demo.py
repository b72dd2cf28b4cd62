"""What `make run` shows."""

import io

from local.demo import ProgressBar, curl, summary


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def job(status: str, progress: int) -> dict[str, object]:
    return {"asyncJobId": "1", "status": status, "progress": progress, "message": "Reading page 2 of 4"}


def test_a_terminal_has_one_line_that_moves() -> None:
    out = Terminal()
    bar = ProgressBar(out)
    bar.show(job("IN_PROGRESS", 50))
    bar.show(job("COMPLETED", 100))
    bar.end()
    assert out.getvalue().count("\r") == 2
    assert out.getvalue().count("\n") == 1
    assert "[################................]  50 %  Reading page 2 of 4" in out.getvalue()


def test_a_file_has_a_line_for_each_thing_that_happens() -> None:
    out = io.StringIO()
    bar = ProgressBar(out)
    for _ in range(3):
        bar.show(job("IN_PROGRESS", 50))
    bar.end()
    assert out.getvalue().count("\n") == 1


def test_the_curl_can_be_pasted() -> None:
    assert curl("http://127.0.0.1:1/x", "a.b.c", job("COMPLETED", 100)) == (
        "curl -s -H 'Authorization: Bearer a.b.c' http://127.0.0.1:1/x/api/v1/jobs/1"
    )


def test_a_long_result_is_cut_short() -> None:
    shown = summary({"pages": list(range(100))}).splitlines()
    assert shown[-1].strip() == "... 80 more lines"
    assert len(shown) == 25
