/** The parts that pages are made of. */

import { html, nothing, svg } from "../vendor/lit-html/lit-html.js";
import { shortId } from "./format.js";

/** @type {Record<string, string>} */
export const STATUS_WORDS = {
  PENDING: "Waiting",
  IN_PROGRESS: "Running",
  COMPLETED: "Completed",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};

/** The states in which a job has ended. */
export const ENDED = ["COMPLETED", "FAILED", "CANCELLED"];

const STROKES = {
  jobs: "M2.5 4h11M2.5 8h11M2.5 12h7",
  types: "M2.5 2.5h4.5v4.5H2.5zM9 2.5h4.5v4.5H9zM2.5 9h4.5v4.5H2.5zM9 9h4.5v4.5H9z",
  webhooks: "M5.2 10.8 8 5.6M8 5.6a2.3 2.3 0 1 0-2.3-2.3M5.2 10.8A2.3 2.3 0 1 1 3 8.6M5.2 11h5.6m0 0a2.3 2.3 0 1 0 2-3.4",
  overview: "M2.5 13.5v-4M6.2 13.5v-8M9.8 13.5v-5.5M13.5 13.5v-11",
  live: "M1.5 8h3l2-5 3 10 2-5h3",
  failed: "M8 5v3.5M8 11v.2M7.1 2.4 1.7 12a1 1 0 0 0 .9 1.5h10.8a1 1 0 0 0 .9-1.5L8.9 2.4a1 1 0 0 0-1.8 0z",
  queues: "M2 3.5h12v3H2zM2 9.5h12v3H2z",
  audit: "M4 2.5h8v11H4zM6.2 5.5h3.6M6.2 8h3.6M6.2 10.5h2",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.4 10.4 14 14",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  check: "M3 8.5 6.5 12 13 4.5",
  close: "M4 4l8 8M12 4l-8 8",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.5v9l7-4.5z",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M12.6 3.4l-.7.7M4.1 11.9l-.7.7",
  keys: "M2 4h12v8H2zM4.5 6.5h.1M7 6.5h.1M9.5 6.5h.1M12 6.5h.1M5 9.5h6",
  out: "M6 2.5H3v11h3M10.5 5 13.5 8l-3 3M13 8H6.5",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  trash: "M3 4.5h10M6 4.5v-2h4v2M4.5 4.5l.6 9h5.8l.6-9",
  stop: "M4 4h8v8H4z",
  next: "M6 3.5 10.5 8 6 12.5",
  back: "M10 3.5 5.5 8l4.5 4.5",
  plus: "M8 3v10M3 8h10",
  download: "M8 2.5v7.5M4.8 7 8 10.2 11.2 7M3 13.5h10",
};

/** @param {keyof typeof STROKES} name */
export function icon(name) {
  return html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">${svg`<path d=${STROKES[name]} />`}</svg>`;
}

/**
 * The status by shape and color, beside its word.
 * @param {string} status
 * @param {number} [progress]
 */
export function statusIcon(status, progress = 0) {
  const around = svg`<circle cx="8" cy="8" r="6" class="ring" />`;
  const full = svg`<circle cx="8" cy="8" r="7" class="full" />`;
  /** @type {Record<string, unknown>} */
  const shapes = {
    PENDING: svg`<circle cx="8" cy="8" r="6" class="ring" stroke-dasharray="2.6 2.1" />`,
    IN_PROGRESS: svg`${around}<circle cx="8" cy="8" r="2" class="pie" transform="rotate(-90 8 8)"
      stroke-dasharray="${Math.max(8, progress) * 0.12566} 12.566" />`,
    COMPLETED: svg`${full}<path class="cut" d="M5 8.3 7.2 10.5 11 6" />`,
    FAILED: svg`<path class="full" d="M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1z" /><path class="cut" d="M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4" />`,
    CANCELLED: svg`${around}<path class="line" d="M3.9 12.1l8.2-8.2" />`,
  };
  return html`<svg class="status-icon" data-status=${status} viewBox="0 0 16 16" aria-hidden="true">${shapes[status] ?? around}</svg>`;
}

/**
 * @param {string} status
 * @param {number} [progress]
 */
export function statusBadge(status, progress) {
  return html`<span class="status" data-status=${status}>${statusIcon(status, progress)}<span>${STATUS_WORDS[status] ?? status}</span></span>`;
}

/** @param {number} percent */
export function bar(percent) {
  return html`<progress class="bar" max="100" value=${percent} aria-label="Progress">${percent} %</progress>`;
}

/**
 * A button that copies a text, and says so.
 * @param {string} text
 * @param {string} label
 * @param {unknown} [content]
 */
export function copyButton(text, label, content = nothing) {
  return html`<button class="copy" type="button" title=${label} aria-label=${label} @click=${(/** @type {Event} */ event) => copy(event, text)}>
    ${content}${icon("copy")}
  </button>`;
}

/** @param {string} id */
export function idOf(id) {
  return copyButton(id, `Copy the id ${id}`, html`<code>${shortId(id)}</code>`);
}

/**
 * @param {Event} event
 * @param {string} text
 */
async function copy(event, text) {
  const button = /** @type {HTMLElement} */ (event.currentTarget);
  event.stopPropagation();
  await navigator.clipboard.writeText(text);
  say("Copied");
  button.dataset.done = "";
  setTimeout(() => delete button.dataset.done, 1_200);
}

/** @type {(text: string, kind?: "info" | "error") => void} */
export let say = () => {};

/** @param {typeof say} given */
export function sayBy(given) {
  say = given;
}

/**
 * @param {{ icon: keyof typeof STROKES, title: string, text?: unknown, action?: unknown }} options
 */
export function empty({ icon: name, title, text = nothing, action = nothing }) {
  return html`<div class="empty"><div class="empty-icon">${icon(name)}</div><h2>${title}</h2><p>${text}</p>${action}</div>`;
}

/**
 * The view in place of content that could not be read.
 * @param {any} error
 * @param {() => void} [again]
 */
export function failure(error, again) {
  if (error.status === 403) return noRight(error);
  const title = error.title ?? "The API could not be reached";
  const text = error.detail ?? (error.status ? "" : "Check the network. The page tries again by itself when you come back to it.");
  return html`<div class="empty" role="alert">
    <div class="empty-icon bad">${icon("failed")}</div>
    <h2>${title}</h2>
    <p>${text}</p>
    ${error.requestId ? html`<p class="quiet">Request ${copyButton(error.requestId, `Copy the request id ${error.requestId}`, html`<code>${error.requestId}</code>`)}</p>` : nothing}
    ${again ? html`<button class="button" @click=${again}>${icon("retry")}Try again</button>` : nothing}
  </div>`;
}

/** @param {any} error */
function noRight(error) {
  return empty({
    icon: "keys",
    title: "This needs a right that you do not have",
    text: error.detail ?? "An administrator of the stack can add you to a group that has it.",
  });
}

/** @param {number} [rows] */
export function loading(rows = 6) {
  return html`<div class="loading" role="status" aria-label="Loading">${Array.from({ length: rows }, () => html`<div class="skeleton"></div>`)}</div>`;
}

/**
 * A description list of facts.
 * @param {[string, unknown][]} rows
 */
export function facts(rows) {
  return html`<dl class="facts">
    ${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value ?? html`<span class="none">–</span>`}</dd></div>`)}
  </dl>`;
}

/**
 * A modal dialog that waits for a decision.
 * @param {{ title: string, text: unknown, action: string, danger?: boolean }} question
 * @param {(isYes: boolean) => void} decide
 */
export function confirmDialog({ title, text, action, danger = false }, decide) {
  return html`<dialog class="dialog" aria-labelledby="dialog-title" @close=${() => decide(false)} @cancel=${() => decide(false)}>
    <h2 id="dialog-title">${title}</h2>
    <div>${text}</div>
    <div class="dialog-actions">
      <button class="button" type="button" @click=${() => decide(false)}>Keep</button>
      <button class="button ${danger ? "danger" : "primary"}" type="button" autofocus @click=${() => decide(true)}>${action}</button>
    </div>
  </dialog>`;
}
