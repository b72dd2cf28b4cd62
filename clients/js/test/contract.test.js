/** The contract of the clients (`clients/contract`), against its server, which plays the faults. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { countingClock, run } from "./contract.js";

const CONTRACT = new URL("../../contract/", import.meta.url);

/** @type {import("node:child_process").ChildProcess} */
let server;
let url = "";

before(async () => {
  server = spawn(process.env.PYTHON ?? "python3", [fileURLToPath(new URL("server.py", CONTRACT))], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface(/** @type {import("node:stream").Readable} */ (server.stdout));
  url = await new Promise((resolve) => lines.once("line", resolve));
});

after(() => server.kill());

for (const file of readdirSync(new URL("cases/", CONTRACT)).sort()) {
  const described = JSON.parse(readFileSync(new URL(`cases/${file}`, CONTRACT), "utf8"));
  const { name, behavior } = described;
  test(`${name}: ${behavior}`, async () => {
    const session = await json("/sessions", { method: "POST", body: JSON.stringify({ case: name }) });
    const { thrown, compare } = await run(session.url, described, countingClock());
    const verdict = await json(`/sessions/${session.session}`);
    assert.deepEqual(verdict, { problems: [], left: 0 }, String(thrown?.stack));
    compare();
  });
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
async function json(path, init) {
  return (await fetch(url + path, init)).json();
}
