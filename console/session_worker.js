/**
 * Holds the tokens of a session in memory, for the tabs of the console: a tab that is loaded again has lost its own. It reads
 * no request, and writes nothing: with the last tab closed, the browser ends it within a minute, and the tokens with it.
 */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
/** @type {unknown} */
let held = null;

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener("message", ({ data, ports, origin }) => {
  if (origin !== worker.location.origin) return;
  if (data.type === "hold") held = data.tokens;
  else if (data.type === "get") ports[0]?.postMessage(held);
});
