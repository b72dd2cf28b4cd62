/** Times, durations and sizes as people read them. */

import { html } from "../vendor/lit-html/lit-html.js";

const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

/** @param {number} milliseconds */
export function duration(milliseconds) {
  const ms = Math.max(0, milliseconds);
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return both(minutes, "min", Math.floor(seconds % 60), "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return both(hours, "h", minutes % 60, "min");
  return both(Math.floor(hours / 24), "d", hours % 24, "h");
}

/**
 * @param {number} large
 * @param {string} unit
 * @param {number} small
 * @param {string} smaller
 */
function both(large, unit, small, smaller) {
  return small ? `${large} ${unit} ${small} ${smaller}` : `${large} ${unit}`;
}

/**
 * @param {string | number} at
 * @param {number} [now]
 */
export function relative(at, now = Date.now()) {
  const seconds = (now - new Date(at).getTime()) / 1_000;
  const [ago, size] = [seconds >= -1, Math.abs(seconds)];
  if (size < 5) return ago ? "just now" : "in a moment";
  const text =
    size < 60
      ? `${Math.floor(size)} s`
      : size < 3_600
        ? `${Math.floor(size / 60)} min`
        : size < 86_400
          ? `${Math.floor(size / 3_600)} h`
          : `${Math.floor(size / 86_400)} d`;
  return ago ? `${text} ago` : `in ${text}`;
}

/** @param {string | number} at */
export const exact = (at) => EXACT.format(new Date(at));

/** @param {string | number} at */
export const day = (at) => DAY.format(new Date(at));

/**
 * A time that shows its distance, and on hover and to screen readers its exact value.
 * @param {string | null | undefined} at
 */
export function time(at) {
  if (!at) return html`<span class="none">–</span>`;
  return html`<time datetime=${at} title=${exact(at)}>${relative(at)}</time>`;
}

/** @param {string} id */
export const shortId = (id) => id.slice(0, 8);

/** @param {number} number */
export const count = (number) => number.toLocaleString();

/** @param {unknown} value */
export const pretty = (value) => JSON.stringify(value, null, 2);

/**
 * Whether a script holds each number of the JSON as it is written. Of those with fewer digits it holds all.
 * @param {string} text
 */
export function isExact(text) {
  const numbers = text.replace(/"(?:[^"\\]|\\.)*"/g, "").match(/[\d.]{16,}/g) ?? [];
  return numbers.every((each) => String(Number(each)) === each);
}

/**
 * JSON with a line for each member; as it is, if a script would change a number.
 * @param {string} text
 */
export const indented = (text) => (isExact(text) ? pretty(JSON.parse(text)) : text);
