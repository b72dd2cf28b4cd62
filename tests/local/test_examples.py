"""Examples are added to the project or to a copy of it."""

from pathlib import Path

import pytest

from local.errors import LocalError
from local.process import PROJECT
from tools.examples import LOCAL, MARKERS, Example, adopt, every, merged, named, one

TEMPLATE = """\
Parameters:
  # Parameters of jobs.
Resources:
  SubmitFunction:
    Environment:
      Variables:
        ONE: 1
        # Environment of jobs.
    Events:
        # Routes of job types: one for each that a `@job` declares.
        Search: {}
  WorkerFunction:
    Environment:
      Variables:
        # Environment of jobs.
        TWO: 2
"""
FRAGMENT = """\
# Read by nobody.
Parameters:
  Places:
    Type: String

    Default: ""
Environment:
  PLACES: !Ref Places
Routes:
  Sing: {}
Local:
  Places: here,there
  Others: ""
"""
ONE_PACKAGE = """\
# made by a tool
first==1.0 \\
    --hash=sha256:1
second==2.0 ; sys_platform == 'linux' \\
    --hash=sha256:2
second==1.9 ; sys_platform != 'linux' \\
    --hash=sha256:3 \\
    --hash=sha256:4
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for file in ("layers/jobs/jobs/own.py", "tests/unit/jobs/test_own.py", "layers/jobs/requirements.in"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("one==1\n")
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    return tmp_path


@pytest.fixture
def example(tmp_path: Path) -> Example:
    folder = tmp_path / "examples/sing-a-song"
    (folder / "jobs/song_book").mkdir(parents=True)
    (folder / "jobs/sing_a_song.py").write_text("SONG = 1\n")
    (folder / "jobs/song_book/words.txt").write_text("la la\n")
    (folder / "test_sing_a_song.py").write_text("def test(): ...\n")
    (folder / "test_sing_a_song_deployed.py").write_text("def test(): ...\n")
    (folder / "requirements.in").write_text("-c ../../layers/jobs/requirements.txt\none==1\ntwo==2\n")
    (folder / "template.yaml").write_text(FRAGMENT)
    return Example(folder)


def test_modules_their_data_and_unit_tests_are_copied(project: Path, example: Example) -> None:
    adopt(example, project)
    added = {str(path.relative_to(project)) for folder in ("layers", "tests") for path in (project / folder).rglob("*.*")}
    assert added == {
        "layers/jobs/jobs/own.py",
        "layers/jobs/jobs/sing_a_song.py",
        "layers/jobs/jobs/song_book/words.txt",
        "layers/jobs/requirements.in",
        "tests/unit/jobs/test_own.py",
        "tests/unit/jobs/test_sing_a_song.py",
    }


def test_packages_are_added_once(project: Path, example: Example) -> None:
    adopt(example, project)
    assert (project / "layers/jobs/requirements.in").read_text() == "one==1\ntwo==2\n"


def test_sections_of_its_template_are_inserted_at_each_of_their_markers(project: Path, example: Example) -> None:
    adopt(example, project)
    assert (project / "template.yaml").read_text() == (
        TEMPLATE.replace(
            "  # Parameters of jobs.\n", '  # Parameters of jobs.\n  Places:\n    Type: String\n\n    Default: ""\n'
        )
        .replace("        # Environment of jobs.\n", "        # Environment of jobs.\n        PLACES: !Ref Places\n")
        .replace("        Search: {}\n", "        Sing: {}\n        Search: {}\n")
    )


def test_parameters_of_the_local_stack_are_read_from_its_template(example: Example) -> None:
    assert example.local_parameters() == {"Places": "here,there", "Others": ""}


def test_unknown_section_is_an_error(example: Example) -> None:
    (example.folder / "template.yaml").write_text("Outputs:\n  One: 1\n")
    with pytest.raises(LocalError, match="unknown sections: Outputs"):
        example.sections()


def test_example_that_was_copied_before_is_not_copied_over_the_users_own(project: Path, example: Example) -> None:
    adopt(example, project)
    (project / "layers/jobs/jobs/sing_a_song.py").write_text("SONG = 'my own'\n")
    with pytest.raises(LocalError, match=r"layers/jobs/jobs/sing_a_song\.py exists already"):
        adopt(example, project)
    assert (project / "layers/jobs/jobs/sing_a_song.py").read_text() == "SONG = 'my own'\n"


def test_locks_are_merged_with_each_package_once(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(ONE_PACKAGE)
    (tmp_path / "two.txt").write_text("# made by a tool\nanother==3 \\\n    --hash=sha256:5\n" + ONE_PACKAGE)
    lock = merged([tmp_path / "one.txt", tmp_path / "two.txt"])
    assert lock == "another==3 \\\n    --hash=sha256:5\n" + ONE_PACKAGE.partition("\n")[2]


@pytest.mark.parametrize("other", ["1.1", "1.0 ; sys_platform == 'linux'"])
def test_locks_with_different_versions_are_an_error(tmp_path: Path, other: str) -> None:
    (tmp_path / "one.txt").write_text(ONE_PACKAGE)
    (tmp_path / "two.txt").write_text(f"first=={other} \\\n    --hash=sha256:1\n")
    with pytest.raises(LocalError, match=r"two\.txt has another version of first"):
        merged([tmp_path / "one.txt", tmp_path / "two.txt"])


def test_unknown_name_is_an_error_that_lists_the_examples() -> None:
    with pytest.raises(LocalError, match=rf"no example 'nothing'. Choose from: .*{every()[0].name}.*; or all"):
        named("nothing")
    with pytest.raises(LocalError, match="no example ''"):
        named("")


@pytest.mark.parametrize("name", ["", "all", "mysql-import,diagram-pdf", "nothing"])
def test_one_example_is_copied_at_a_time(name: str) -> None:
    with pytest.raises(LocalError, match=rf"no example '{name}'. Write make example NAME=.*{every()[0].name}"):
        one(name)


def test_all_examples_are_named_by_one_word() -> None:
    assert named("all") == every() == named(",".join(example.name for example in every()))


# ── The examples of this project ───────────────────────────────────────────────────────────────────


def test_template_has_each_marker_in_each_function_that_may_run_jobs() -> None:
    lines = [line.strip() for line in (PROJECT / "template.yaml").read_text().splitlines()]
    assert {section: lines.count(marker) for section, marker in MARKERS.items()} == {
        "Parameters": 1,
        "Environment": 3,
        "Permissions": 3,
        "Routes": 1,
    }


def test_no_two_examples_have_a_module_of_one_name() -> None:
    modules = [module.name for example in every() for module in example.modules]
    assert sorted(set(modules)) == sorted(modules)


@pytest.mark.parametrize("example", every(), ids=lambda example: example.name)
def test_each_example_has_its_tests_and_a_lock_of_its_packages(example: Example) -> None:
    tested = [module.stem for module in example.modules if module.suffix == ".py"]
    assert [name for name in tested if not (example.folder / f"test_{name}.py").exists()] == []
    assert (example.folder / f"test_{example.name.replace('-', '_')}_deployed.py").exists()
    assert (example.folder / "requirements.in").exists() == (example.lock is not None)
    assert example.sections().get(LOCAL) is None or example.local_parameters().keys() <= {
        line.rstrip(":") for line in example.sections()["Parameters"].splitlines()
    }


def test_locks_of_all_examples_agree() -> None:
    locks = [example.lock for example in every() if example.lock is not None]
    assert merged([PROJECT / "layers/jobs/requirements.txt", *locks])


def test_example_without_jobs_is_not_copied_and_the_reason_is_shown(project: Path) -> None:
    (example,) = named("file-workflow")
    with pytest.raises(LocalError, match="no job to copy"):
        adopt(example, project)
