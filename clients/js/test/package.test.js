/** What a page loads: its size, and that it needs nothing else. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const SOURCE = new URL("../src/", import.meta.url);

/**
 * Return the size of what an application gains that uses all of these modules: bundled, minified and compressed.
 * @param {string[]} names
 */
async function size(names) {
  const contents = names.map((name) => `export * from "./${name}";`).join("\n");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: fileURLToPath(SOURCE) },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["node:*"],
    write: false,
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

test("the client has at most 8 KB", async (t) => {
  const bytes = await size(["index.js"]);
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes <= 8 * 1024, `${bytes} bytes`);
});

test("no page loads the verification of webhooks", async () => {
  assert.equal("verifyWebhook" in (await import("../src/index.js")), false);
});

test("the element has at most 4 KB more", async (t) => {
  const bytes = (await size(["index.js", "element.js"])) - (await size(["index.js"]));
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes <= 4 * 1024, `${bytes} bytes`);
});

test("the list of jobs has at most 4 KB more", async (t) => {
  const bytes = (await size(["index.js", "my-jobs.js"])) - (await size(["index.js"]));
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes <= 4 * 1024, `${bytes} bytes`);
});

test("no module but that of the hooks imports a package", () => {
  for (const name of readdirSync(SOURCE).filter((each) => each.endsWith(".js"))) {
    const source = readFileSync(new URL(name, SOURCE), "utf8");
    const found = [...source.matchAll(/^import [^;]*? from "([^."][^"]*)";$|await import\("([^."][^"]*)"\)/gm)].map(([, now, late]) => now ?? late);
    // Node.js's own modules are imported late, and not by a page.
    assert.deepEqual(found.filter((each) => !each.startsWith("node:")), name === "react.js" ? ["react"] : [], name);
  }
});

test("the elements can be imported where there is no page", async () => {
  const { JobProgress } = await import("../src/element.js");
  const { MyJobs } = await import("../src/my-jobs.js");
  assert.deepEqual([typeof JobProgress, typeof MyJobs], ["function", "function"]);
});
