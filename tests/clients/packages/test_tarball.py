"""The package of the JavaScript client as npm packs it, installed into an empty folder and used from there."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from asyncjobs.jobtypes.catalog import OPENAPI, document_path
from tests.support.node import CLIENT, node, npm, package, tsc

pytestmark = pytest.mark.slow

PROGRAM = """
import { JobFailed, createClient } from "@asyncjobs/client";
import { JobProgress } from "@asyncjobs/client/element";
import { MyJobs } from "@asyncjobs/client/my-jobs";
import { verifyWebhook } from "@asyncjobs/client/webhooks";
const jobs = createClient({ baseUrl: "http://127.0.0.1:9", maxRetries: 0 });
const error = await jobs.get("x").catch((error) => error);
console.log([error.name, error.asyncJobId, typeof verifyWebhook, JobProgress.name, MyJobs.name, new JobFailed(jobs.job("y")).asyncJobId].join());
"""

TYPED = """
import { createClient, type JobFailed } from "@asyncjobs/client";
import { JobProgress } from "@asyncjobs/client/element";
import { verifyWebhook } from "@asyncjobs/client/webhooks";
import type { components, paths } from "./api.js";

const jobs = createClient<paths, components>({ baseUrl: "http://127.0.0.1" });
export async function typed(file: Blob): Promise<string> {
  const found = await jobs.run("text.search", { query: "lease", limit: 3 });
  const excerpt: components["schemas"]["text.search.output"] = found;
  const job = await jobs.submit("document.extract", { key: file }, { priority: "low" });
  for await (const update of job.updates({ giveUpMs: 1000 })) console.log(update.progress);
  const { pages } = await job.result();
  // @ts-expect-error There is no such type of jobs.
  await jobs.run("text.serach", {});
  // @ts-expect-error Its input has no such member.
  await jobs.run("text.search", { quest: "lease" });
  // @ts-expect-error A result has the type of its job's output.
  const wrong: number = await jobs.run("text.search", { query: "lease" });
  JobProgress.client = jobs;
  return `${excerpt} ${pages} ${wrong} ${(null as JobFailed | null)?.code}`;
}

export async function received(request: Request): Promise<string> {
  // @ts-expect-error A webhook is not verified without its secret.
  await verifyWebhook(await request.text(), request.headers);
  return (await verifyWebhook(await request.text(), request.headers, ["whsec_bmV3", "whsec_b2xk"], { toleranceSeconds: 60 })).type;
}

// Without types, results are what the caller says.
export const untyped: Promise<{ a: number }> = createClient().run("anything", { b: 1 });
"""

HOOKS = """
import { useJob, useSubmit } from "@asyncjobs/client/react";
export function progress(): number {
  const { submit, job } = useSubmit<{ documentId: string }>("text.search");
  const { result, progress, connection } = useJob(job, { onComplete: (ended) => console.log(ended.id) });
  return result?.documentId === connection ? progress : Number(submit);
}
"""


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    package("typescript")
    folder = tmp_path_factory.mktemp("packed")
    npm("pack", "--pack-destination", folder)
    (packed,) = folder.iterdir()
    return packed


@pytest.fixture(scope="module")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the tarball into an empty folder, and return the folder."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    npm("install", "--no-audit", "--no-fund", tarball, cwd=folder)
    assert [path.name for path in (folder / "node_modules").iterdir() if path.is_dir()] == ["@asyncjobs"]
    return folder


def test_tarball_has_the_sources_and_their_types_and_nothing_else(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        found = {name.removeprefix("package/") for name in archive.getnames()}
    sources = {f"src/{path.name}" for path in (CLIENT / "src").glob("*.js")}
    types = {f"types/{path.stem}.d.ts" for path in (CLIENT / "src").iterdir()}
    assert found == {*sources, *types, "package.json", "README.md", "LICENSE", "CHANGELOG.md"}


def test_package_is_used_from_an_empty_folder(installed: Path) -> None:
    (installed / "program.js").write_text(PROGRAM)
    assert node("program.js", cwd=installed).strip() == "ApiConnectionError,x,function,JobProgress,MyJobs,y"


def test_typescript_checks_a_program_by_the_types_of_the_deployment(installed: Path) -> None:
    generator = package("openapi-typescript") / "bin" / "cli.js"
    node(generator, document_path(OPENAPI), "--output", installed / "api.ts", "--default-non-nullable=false", cwd=installed)
    (installed / "typed.ts").write_text(TYPED)
    options = ("--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom,dom.asynciterable")
    assert tsc(*options, "typed.ts", cwd=installed) == ""


def test_hooks_are_typed_and_need_react_only_where_they_are_used(installed: Path) -> None:
    (installed / "hooks.ts").write_text(HOOKS)
    modules = installed / "node_modules"
    for name in ("react", "@types/react", "csstype"):
        (modules / name).parent.mkdir(exist_ok=True)
        (modules / name).symlink_to(package(name))
    options = ("--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom,dom.asynciterable")
    assert tsc(*options, "hooks.ts", cwd=installed) == ""
    assert node(
        "--input-type=module", "--eval", "console.log(typeof (await import('@asyncjobs/client/react')).useJob)", cwd=installed
    ) == ("function\n")


def test_version_is_that_of_the_changelog() -> None:
    version = json.loads((CLIENT / "package.json").read_text())["version"]
    assert f"\n## {version}" in (CLIENT / "CHANGELOG.md").read_text()
