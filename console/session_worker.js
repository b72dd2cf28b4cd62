/**
 * Holds the tokens of a session in memory, for the tabs of the console: a tab that is loaded again has lost its own. It reads
 * no request, and writes nothing: with the last tab closed, the browser ends it within a minute, and the tokens with it.
 */

let held = null;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("message", ({ data, ports, origin }) => {
  if (origin !== self.location.origin) return;
  if (data.type === "hold") held = data.tokens;
  else if (data.type === "get") ports[0].postMessage(held);
});
