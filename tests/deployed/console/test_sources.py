"""The console has no build step, so nothing but this reads its files before a browser does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asyncjobs.jobtypes.catalog import OPENAPI, document_path
from tests.support.node import CLIENT, node, package, tsc
from tests.template.source import ROOT

CONSOLE = ROOT / "console"
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in CONSOLE.rglob("*.js"))
STRICT = (
    *(
        "--strict",
        "--noEmit",
        "--allowJs",
        "--checkJs",
        "--noUnusedLocals",
        "--noImplicitReturns",
        "--noFallthroughCasesInSwitch",
    ),
    *(
        "--noUncheckedIndexedAccess",
        "--skipLibCheck",
        "--target",
        "es2023",
        "--module",
        "esnext",
        "--moduleResolution",
        "bundler",
    ),
)

MISTAKES = """
/** @import { App } from "./main.js" */
import { html } from "./vendor/lit-html/lit-html.js";
/** @param {App} app */
export async function mistakes(app) {
  const { jobs, nextCursor } = await app.api.get("admin/live-jobs", { query: { cursor: null } });
  const posted = await app.api.post("admin/dead-letters/redrive", {});
  // @ts-expect-error A job has no such member.
  console.log(jobs[0]?.jobtype);
  // @ts-expect-error The list may be empty.
  console.log(jobs[0].jobType, nextCursor);
  // @ts-expect-error It is no number.
  console.log(jobs.map((each) => each.jobType * 2));
  // @ts-expect-error The answer has no such member.
  console.log(posted.jobs, posted.isMore);
  // @ts-expect-error There is no such path of the API's client.
  app.api.http.fetchJson("jobs");
  // @ts-expect-error A template is no text.
  console.log(html`<p></p>`.trim());
}
"""


PARSE = """
import { readFileSync } from "node:fs";
import { SourceTextModule } from "node:vm";
const faults = {};
for (const module of process.argv.slice(1)) {
  try {
    new SourceTextModule(readFileSync(module, "utf8"), { identifier: module });
  } catch (error) {
    faults[module] = error.stack;
  }
}
console.log(JSON.stringify(faults));
"""


@pytest.fixture(scope="module")
def faults() -> dict[str, str]:
    """Return the modules that do not parse, each with its error. One process reads them all."""
    found: dict[str, str] = json.loads(
        node("--experimental-vm-modules", "--input-type=module", "--eval", PARSE, "--", *MODULES, cwd=ROOT)
    )
    return found


@pytest.mark.parametrize("module", MODULES)
def test_module_parses(module: str, faults: dict[str, str]) -> None:
    assert module not in faults, faults[module]


@pytest.mark.slow
def test_types_are_strict_and_those_of_the_api(tmp_path: Path) -> None:
    """The comments of the modules name the types of the API's answers, of its client and of lit-html."""
    shutil.copytree(CONSOLE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("vendor", "session_worker.js"))
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor/lit-html").symlink_to(package("lit-html"))
    tsc("--project", "tsconfig.types.json", "--outDir", tmp_path / "client")
    shutil.copy(Path(__file__).with_name("answers.d.ts"), tmp_path)
    generator = package("openapi-typescript") / "bin" / "cli.js"
    node(generator, document_path(OPENAPI), "--output", tmp_path / "openapi.d.ts", "--default-non-nullable=false", cwd=tmp_path)
    (tmp_path / "mistakes.js").write_text(MISTAKES)
    types = ("--typeRoots", CLIENT / "node_modules/@types", "--types", "trusted-types", "--lib", "es2023,dom,dom.iterable")
    assert tsc(*STRICT, *types, "main.js", "mistakes.js", cwd=tmp_path) == ""


@pytest.mark.slow
def test_types_of_the_worker_are_strict(tmp_path: Path) -> None:
    shutil.copy(CONSOLE / "session_worker.js", tmp_path)
    types = ("--typeRoots", tmp_path, "--lib", "es2023,webworker")
    assert tsc(*STRICT, *types, "session_worker.js", cwd=tmp_path) == ""


def test_vendored_modules_are_those_of_npm() -> None:
    folder = package("lit-html")
    version = json.loads((folder / "package.json").read_text())["version"]
    assert f"lit-html {version} from npm" in (CONSOLE / "vendor/SHA256SUMS.txt").read_text()
    modules = sorted((CONSOLE / "vendor/lit-html").rglob("*.js"))
    assert modules
    assert [
        path for path in modules if path.read_bytes() != (folder / path.relative_to(CONSOLE / "vendor/lit-html")).read_bytes()
    ] == []
