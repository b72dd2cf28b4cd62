/** Upload large inputs, and the files inside an input. */

import { ApiConnectionError, errorOf } from "./errors.js";
import { onAbort } from "./http.js";

/** @import { Http } from "./http.js" */
/** @import { Uploadable, UploadOptions } from "./types.js" */

/**
 * @typedef {object} Link
 * @property {string} key
 * @property {string} url
 * @property {string} method
 * @property {Record<string, string>} headers
 */

/**
 * Upload the data and return its key.
 * @param {Http} http
 * @param {Uploadable} data
 * @param {UploadOptions} [options]
 * @returns {Promise<string>}
 */
export async function upload(http, data, { contentType, onProgress, signal } = {}) {
  const blob = await blobOf(data);
  const type = contentType || blob.type || "application/octet-stream";
  const body = JSON.stringify({ contentType: type, contentLength: blob.size });
  const content = blob.slice(0, blob.size, type);
  /** @type {Link | undefined} */
  let link;
  let isSent = false;
  for (let attempt = 0; ; attempt += 1) {
    link ??= /** @type {Link} */ (await http.json("POST", "uploads", "url", { body, signal }));
    try {
      await put(http, link, content, onProgress, signal);
      return link.key;
    } catch (/** @type {any} */ error) {
      signal?.throwIfAborted();
      // A link takes one object: an earlier try has brought it.
      if (error.status === 412 && isSent) return link.key;
      isSent = !(await http.pauseOfLink(error, attempt, signal));
      if (!isSent) link = undefined;
    }
  }
}

/**
 * Return the input with the key of an upload in place of each `Blob`.
 * @param {any} input
 * @param {(file: Blob) => Promise<string>} uploadFile
 * @returns {Promise<unknown>}
 */
export async function withoutFiles(input, uploadFile) {
  if (input instanceof Blob) return uploadFile(input);
  if (Array.isArray(input)) return Promise.all(input.map((each) => withoutFiles(each, uploadFile)));
  if (!input || typeof input !== "object" || typeof input.toJSON === "function") return input;
  const members = Object.entries(input).map(async ([name, each]) => [name, await withoutFiles(each, uploadFile)]);
  return Object.fromEntries(await Promise.all(members));
}

/**
 * @param {Uploadable} data
 * @returns {Promise<Blob>}
 */
async function blobOf(data) {
  if (data instanceof Blob) return data;
  // The file is read while it is sent.
  if (typeof data === "string") return (await import("node:fs")).openAsBlob(data);
  return new Blob([/** @type {any} */ (data)]);
}

/**
 * @param {Http} http
 * @param {Link} link
 * @param {Blob} content
 * @param {UploadOptions["onProgress"]} onProgress
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<void>}
 */
function put(http, link, content, onProgress, signal) {
  if (onProgress && globalThis.XMLHttpRequest) return putWithProgress(link, content, onProgress, signal);
  const body = onProgress ? counted(content, onProgress) : content;
  const init = { method: link.method, headers: headersOf(link), body };
  // An upload has no time limit: it takes as long as its size needs.
  return http.fetch(link.url, init, { signal, timeoutMs: 2 ** 31 - 1 }, async () => {});
}

/**
 * Return the headers of the link. The length of the content is the transport's: a page must not set it.
 * @param {Link} link
 */
function headersOf(link) {
  return Object.fromEntries(Object.entries(link.headers).filter(([name]) => name.toLowerCase() !== "content-length"));
}

/**
 * Return the content, which reports how much of it has been read. Its size stays known, which a stream's is not.
 * @param {Blob} content
 * @param {NonNullable<UploadOptions["onProgress"]>} onProgress
 */
function counted(content, onProgress) {
  const total = content.size;
  let loaded = 0;
  const count = new TransformStream({
    transform(part, controller) {
      loaded += part.length;
      onProgress({ loaded, total });
      controller.enqueue(part);
    },
  });
  return Object.assign(content.slice(0, total, content.type), { stream: () => content.stream().pipeThrough(count) });
}

/**
 * Send by `XMLHttpRequest`: in a page, `fetch` does not show how much has been sent.
 * @param {Link} link
 * @param {Blob} content
 * @param {NonNullable<UploadOptions["onProgress"]>} onProgress
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<void>}
 */
function putWithProgress(link, content, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const leave = onAbort(signal, () => request.abort());
    request.open(link.method, link.url);
    for (const [name, value] of Object.entries(headersOf(link))) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress({ loaded, total });
    request.onloadend = () => {
      leave();
      const { status } = request;
      if (status >= 200 && status < 300) resolve();
      else reject(status ? errorOf(status, new Headers(), request.responseText) : new ApiConnectionError("The upload failed"));
    };
    request.send(content);
  });
}
