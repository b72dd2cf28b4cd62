"""What `make deploy PARAMETERS=...` may name."""

from __future__ import annotations

import pytest

from tests.template.source import ROOT
from tools.parameters import known_parameters, main, mistakes

KNOWN = ["LogLevel", "JwtIssuer"]


@pytest.mark.parametrize("given", ["LogLevel=DEBUG", "JwtIssuer=https://a.example/?b=c", "LogLevel="])
def test_known_parameter_with_a_value_or_an_empty_one_is_no_mistake(given: str) -> None:
    assert list(mistakes([given], KNOWN)) == []


def test_misspelled_parameter_is_named_with_the_one_that_is_probably_meant() -> None:
    assert list(mistakes(["JwtIsuer=https://a.example", "Nonsense=1"], KNOWN)) == [
        "The template has no parameter 'JwtIsuer'. Is it JwtIssuer? docs/operations.md describes all of them.",
        "The template has no parameter 'Nonsense'. docs/operations.md describes all of them.",
    ]


def test_list_with_spaces_is_a_mistake() -> None:
    (mistake,) = mistakes(["LogLevel=DEBUG", "https://b.example"], KNOWN)
    assert mistake.startswith("'https://b.example' has no value")


def test_parameters_of_the_template_are_known(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert {"LogLevel", "JwtIssuer", "EventLog", "PythonRuntime"} <= set(known_parameters((ROOT / "template.yaml").read_text()))
    assert main(["EventLog=OFF"]) == 0
    assert main(["EventLogs=OFF"]) == 1
    assert capsys.readouterr().err.startswith("The template has no parameter 'EventLogs'. Is it EventLog?")
