"""What the author of a job sees of a mistake in its module."""

from __future__ import annotations

import pytest

from asyncjobs.codegen.__main__ import main
from tests.unit.conftest import JOB, JobsPackage

MISTAKES = {
    "one.py, line 3: 'A b' ": "from asyncjobs import job\n\n@job('A b')\ndef f(input: int, context: object) -> int: ...\n",
    "invalid syntax": "def f():\n    return 1 +\n",
    "one.py, line 1: No module named 'no_such_package'. If a package": "import no_such_package\n",
    "ZeroDivisionError: division by zero": "import json\n\ndef half(of: int) -> float:\n    return of / 0\n\nhalf(2)\n",
}


@pytest.mark.parametrize(("said", "source"), MISTAKES.items(), ids=["options", "syntax", "package", "code"])
def test_mistake_in_a_module_of_jobs_is_shown_without_what_imports_it(
    jobs_package: JobsPackage, said: str, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    package = jobs_package(one=source)
    assert main([]) == 1
    output = capsys.readouterr().err
    assert said in output
    assert str(package / "one.py") in output
    assert "importlib" not in output
    assert not (package / "catalog.json").exists()


def test_mistake_elsewhere_is_raised(jobs_package: JobsPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs_package(one=JOB.format(name="a.b", function="f"))
    monkeypatch.setattr("asyncjobs.codegen.collect._check_locks", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main([])
