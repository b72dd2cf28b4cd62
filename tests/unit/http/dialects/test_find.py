"""Dialects by their names, of the library and of the jobs layer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncjobs.core.errors import InvalidDialect
from asyncjobs.http.dialects import dialect as dialect_module
from asyncjobs.http.dialects import find
from asyncjobs.http.dialects.find import BUILT_IN, find_dialects

FOLDER = Path(dialect_module.__file__).parent
MACHINERY = {"__init__", "api", "dialect", "find", "multipart", "words"}


def test_every_table_of_the_library_is_built_in() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - MACHINERY == BUILT_IN


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of dialects in a jobs package."""
    package = f"jobs_{tmp_path.name}"
    folder = tmp_path / package / "dialects"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(find, "JOBS_PACKAGE", package)
    yield folder
    for name in [name for name in sys.modules if name.startswith(package)]:
        del sys.modules[name]


def test_own_dialect_is_in_the_jobs_layer(own: Path) -> None:
    (own / "acme.py").write_text("from asyncjobs.http.dialects.polling import DIALECT\n")
    assert list(find_dialects(["acme", "daemon"])) == ["acme", "daemon"]


@pytest.mark.usefixtures("own")
def test_unknown_name_says_what_to_do() -> None:
    with pytest.raises(InvalidDialect, match=r"daemon, entity, executor.*layers/jobs/jobs/dialects/acme\.py"):
        find_dialects(["acme"])


def test_module_without_a_dialect_says_so(own: Path) -> None:
    (own / "acme.py").write_text("DIALECT = None\n")
    with pytest.raises(InvalidDialect, match="assigns no `Dialect`"):
        find_dialects(["acme"])


def test_missing_import_of_an_own_dialect_is_its_own_error(own: Path) -> None:
    (own / "acme.py").write_text("import no_such_module\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        find_dialects(["acme"])
