"""`make catalog` writes the generated files, `make check` compares them."""

from __future__ import annotations

import json

import pytest

from asyncjobs.codegen import openapi
from asyncjobs.codegen.__main__ import main
from asyncjobs.codegen.collect import collect
from asyncjobs.jobtypes.catalog import OPENAPI, document_path
from tests.unit.conftest import JOB, JobsPackage

FILES = ["catalog.json", "openapi.json"]


def test_committed_openapi_document_is_current() -> None:
    assert document_path(OPENAPI).read_text() == openapi.to_json(openapi.document(collect()))


def test_command_writes_both_files_and_then_finds_them_current(jobs_package: JobsPackage) -> None:
    package = jobs_package(one=JOB.format(name="a.b", function="f"))
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert list(json.loads((package / "catalog.json").read_text())) == ["a.b", "generic"]
    assert "a.b.input" in json.loads((package / "openapi.json").read_text())["components"]["schemas"]
    assert main(["--check"]) == 0


def test_current_file_is_not_written_again(jobs_package: JobsPackage) -> None:
    package = jobs_package(one=JOB.format(name="a.b", function="f"))
    main([])
    for name in FILES:
        (package / name).chmod(0o444)
    before = [(package / name).stat().st_mtime_ns for name in FILES]
    assert main([]) == 0
    assert [(package / name).stat().st_mtime_ns for name in FILES] == before


@pytest.mark.parametrize("name", FILES)
def test_check_reports_a_stale_file_and_leaves_it(
    jobs_package: JobsPackage, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    package = jobs_package(one=JOB.format(name="a.b", function="f"))
    main([])
    (package / name).write_text("{}")
    assert main(["--check"]) == 1
    output = capsys.readouterr().err
    assert f"{name} is stale: run `make catalog`" in output
    assert output.count("\n") == 1
    assert (package / name).read_text() == "{}"
