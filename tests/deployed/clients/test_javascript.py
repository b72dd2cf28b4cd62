"""The JavaScript client on the deployed stack: its examples in Node.js, and pages in Chromium on another origin than the API's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from local.process import PROJECT
from local.stack import FRONT_END
from tests.clients.js.pages import Answer, Site, page
from tests.support.browser import Browser
from tests.support.deployed import Caller
from tests.support.node import CLIENT, node

pytestmark = pytest.mark.slow

ANALYZE = """
import { analyzeWithPolling } from "./examples/analyze.js";
const shown = [];
const result = await analyzeWithPolling("sample.works", { seconds: 3 }, (percent) => shown.push(percent));
console.log(JSON.stringify({ result, shown }));
"""
PROCESS = """
import { processDocument } from "./examples/process-document.js";
import { processFile } from "./examples/processor.js";
const file = new File(["a contract of five words"], "contract.pdf", { type: "application/pdf" });
const shown = [];
const onProgress = (percent, message) => shown.push([percent, message]);
const start = async (job, file) => { setTimeout(() => processFile(job, file), 100) };
const result = await processDocument(file, start, { parentId: "contract_7", trackProgress: true, onProgress });
console.log(JSON.stringify({ result, shown }));
"""
RESUME = """
import { writeFile } from "node:fs/promises";
import { GaveUp, createClient } from "@asyncjobs/client";
const jobs = createClient();
const gaveUp = await jobs.run("sample.works", { seconds: 4 }, { giveUpMs: 500 }).catch((error) => error);
const other = createClient();  // another process would do the same
console.log(JSON.stringify({ gaveUp: gaveUp instanceof GaveUp, result: await other.job(gaveUp.job.id).result() }));
"""
DOWNLOAD = """
import { readFile } from "node:fs/promises";
import { createClient } from "@asyncjobs/client";
const job = await createClient().submit("sample.streams", { size: 3_000_000 });
await job.wait();
await job.download(process.argv.at(-1));
console.log((await readFile(process.argv.at(-1))).length, (await (await job.open()).arrayBuffer()).byteLength);
"""


def program(source: str, environment: dict[str, str], *arguments: str | Path) -> str:
    """Run a program in the client's folder, where its package has its own name."""
    return node("--input-type=module", "--eval", source, "--", *arguments, environment=environment)


def test_example_of_seed_3_shows_progress_and_returns_the_result(environment: dict[str, str]) -> None:
    found = json.loads(program(ANALYZE, environment))
    assert found["result"] == "attempt 1"
    assert found["shown"] == sorted(found["shown"])
    assert found["shown"][-1] == 100


def test_documented_program_shows_a_bar_and_the_result(environment: dict[str, str]) -> None:
    (source,) = re.findall(r"with a bar.*?```js\n(.*?)```", (PROJECT / "docs/clients.md").read_text(), flags=re.DOTALL)
    printed = program(source, environment)
    assert "[####################] 100 %" in printed
    assert "matches:" in printed


def test_example_of_seed_4_tracks_a_processor_elsewhere(environment: dict[str, str]) -> None:
    found = json.loads(program(PROCESS, environment))
    assert found["result"] == {"documentId": "doc_123abc", "words": 5}
    assert found["shown"][0] == [0, "Upload queued"]
    assert found["shown"][-1] == [100, "Document processed"]


def test_job_of_a_wait_that_gave_up_is_waited_for_again(environment: dict[str, str]) -> None:
    assert json.loads(program(RESUME, environment)) == {"gaveUp": True, "result": "attempt 1"}


def test_large_result_is_saved(environment: dict[str, str], tmp_path: Path) -> None:
    length, opened = program(DOWNLOAD, environment, tmp_path / "result").split()
    assert int(length) == int(opened) >= 3_000_000


# ── In a browser ──


def opened(browser: Browser, site: Site, environment: dict[str, str], script: str, body: str = "") -> None:
    """Open a page of the front end with a client of the deployed API."""
    given = json.dumps({"baseUrl": environment["ASYNCJOBS_URL"], "token": environment["ASYNCJOBS_TOKEN"]})
    site.page = page(body, f"window.client = createClient({given});\n{script}")
    browser.open(f"{FRONT_END}/")
    browser.wait_for("window.isReady")


def test_element_follows_a_job_to_its_end(browser: Browser, site: Site, environment: dict[str, str]) -> None:
    script = """
      import { JobProgress } from "/src/element.js";
      JobProgress.client = window.client;
      const job = await client.submit("sample.works", { seconds: 6 });
      document.querySelector("job-progress").setAttribute("job-id", job.id);
    """
    opened(browser, site, environment, script, "<job-progress></job-progress>")
    browser.wait_for("seen.some(([name]) => name == 'job-complete')")
    found = browser.run("seen")
    assert [name for name, *_ in found].count("job-complete") == 1
    assert [percent for _, _, percent in found] == sorted(percent for _, _, percent in found)
    assert any(0 < percent < 100 for _, _, percent in found)


def test_hook_submits_a_job_and_gets_its_result(browser: Browser, site: Site, environment: dict[str, str]) -> None:
    script = """
      import { createElement as h } from "react";
      import { createRoot } from "react-dom/client";
      import { useJob, useSubmit } from "/src/react.js";
      function App() {
        const { submit, job } = useSubmit("text.search", { client });
        const { status, result } = useJob(job, { client });
        return h("button", { onClick: () => submit({ query: "lease" }) }, `${status}: ${JSON.stringify(result)}`);
      }
      createRoot(document.querySelector("main")).render(h(App));
    """
    opened(browser, site, environment, script)
    browser.wait_for("document.querySelector('button')")
    browser.run("document.querySelector('button').click()")
    browser.wait_for("document.querySelector('button').textContent.startsWith('COMPLETED')")
    assert "lease" in browser.run("document.querySelector('button').textContent")


def test_page_uploads_a_file_with_its_progress_and_runs_a_job_on_it(
    browser: Browser, site: Site, environment: dict[str, str]
) -> None:
    opened(browser, site, environment, "")
    text = (PROJECT / "local/samples/report.pdf").read_bytes()
    upload = f"""
      (async () => {{
        const file = new File([new Uint8Array({json.dumps(list(text))})], "a.pdf", {{ type: "application/pdf" }});
        const shown = [];
        const key = await client.upload(file, {{ onProgress: (progress) => shown.push(progress) }});
        const {{ pages }} = await client.run("document.extract", {{ key }});
        return [key, shown.at(-1), pages.length];
      }})()
    """
    key, shown, pages = browser.run(upload)
    assert key.startswith("uploads/")
    assert shown == {"loaded": len(text), "total": len(text)}
    assert pages > 0


def test_page_reads_a_large_result(browser: Browser, site: Site, environment: dict[str, str]) -> None:
    opened(browser, site, environment, "")
    script = "client.run('contract.searches', { subject: 'x', size: 20000 }).then(({ text }) => text.length)"
    assert browser.run(script) == 20_000


def test_element_reads_with_a_ticket(browser: Browser, site: Site, environment: dict[str, str], alice: Caller) -> None:
    job = alice.submit("sample.works", {"seconds": 2})
    ticket = alice.post("/tickets", json={"jobs": [job["asyncJobId"]]}).json()["ticket"]
    # The page's own server would check its user and issue the ticket.
    site.answer = lambda _: Answer({"ticket": ticket})
    base, own = environment["ASYNCJOBS_URL"], f"{FRONT_END}/api/v1/own-server"
    element = f'<job-progress job-id="{job["asyncJobId"]}" base-url="{base}" ticket-url="{own}"></job-progress>'
    opened(browser, site, environment, 'import "/src/element.js";', element)
    browser.wait_for("seen.some(([name]) => name == 'job-complete')")


def test_examples_are_small() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in (CLIENT / "examples").glob("*.js")}
    assert max(lines.values()) <= 25, lines


def test_page_without_npm_works_as_it_is(browser: Browser, site: Site, environment: dict[str, str]) -> None:
    site.page = (CLIENT / "examples/page.html").read_text().replace("../src/", "/src/")
    browser.open(f"{FRONT_END}/?example#api={environment['ASYNCJOBS_URL']}&token={environment['ASYNCJOBS_TOKEN']}")
    browser.wait_for("customElements.get('job-progress')")
    browser.run("document.querySelector('form').requestSubmit()")
    browser.wait_for("document.querySelector('output').textContent.includes('lease')")
