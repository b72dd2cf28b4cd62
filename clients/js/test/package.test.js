/** What a page loads: its size, and that it needs nothing else. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { minify } from "terser";

const SOURCE = new URL("../src/", import.meta.url);

/**
 * Return the modules that a module loads when it starts, itself among them.
 * @param {string} name
 * @param {Set<string>} [found]
 */
function loaded(name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  for (const [, from] of readFileSync(new URL(name, SOURCE), "utf8").matchAll(/^(?:import|export) [^;]*?from "\.\/([^"]+)"/gm)) loaded(from, found);
  return found;
}

/**
 * Return the size of modules as a bundler makes them: minified, compressed as one file.
 * @param {Iterable<string>} names
 */
async function size(names) {
  const texts = [];
  for (const name of names) texts.push((await minify(readFileSync(new URL(name, SOURCE), "utf8"), { module: true })).code);
  return gzipSync(texts.join("\n"), { level: 9 }).length;
}

/** The client, with the parts that it loads when they are needed. */
const CLIENT = new Set([...loaded("index.js"), "save.js"]);

test("the client has at most 8 KB", async (t) => {
  const bytes = await size(CLIENT);
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes <= 8 * 1024, `${bytes} bytes`);
});

test("the element has at most 4 KB more", async (t) => {
  const bytes = (await size(new Set([...CLIENT, ...loaded("element.js")]))) - (await size(CLIENT));
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

test("the element can be imported where there is no page", async () => {
  const { JobProgress } = await import("../src/element.js");
  assert.equal(typeof JobProgress, "function");
});
