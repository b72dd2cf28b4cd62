/** A job's events as the state machine that they are: waits, attempts, retries and takeovers, with their durations. */

/** @import { JobEvent } from "../answers.js" */

/**
 * @typedef {object} Span a time that the job was waiting, or an attempt
 * @property {"wait" | "attempt"} kind
 * @property {number} attempt
 * @property {number} from
 * @property {number} to the present for the last one of a job that goes on
 * @property {"going" | "done" | "failed" | "lost" | "completed" | "cancelled"} outcome
 * @property {string | null} code why an attempt failed
 * @property {boolean} isTakeover whether it began although the one before had not reported its end
 * @property {JobEvent[]} reports
 *
 * @typedef {{ spans: Span[], retries: number[], end: JobEvent | null, isPartial: boolean }} Timeline
 */

/** @type {Record<string, Span["outcome"]>} */
const ENDS = { completed: "completed", failed: "failed", cancelled: "cancelled" };

/**
 * @param {JobEvent[]} events in their order
 * @param {number} now
 * @returns {Timeline}
 */
export function timelineOf(events, now) {
  /** @type {Span[]} */
  const spans = [];
  /** @type {Span | null} */
  let open = null;
  /** @type {JobEvent | null} */
  let end = null;
  let isPartial = false;
  const retries = [];
  const close = (/** @type {number} */ at, /** @type {Span["outcome"]} */ outcome, /** @type {string | null} */ code = null) => {
    if (open) Object.assign(open, { to: at, outcome, code });
    open = null;
  };
  const begin = (/** @type {Span["kind"]} */ kind, /** @type {JobEvent} */ event, isTakeover = false) => {
    const at = Date.parse(event.at);
    open = { kind, attempt: event.attempt, from: at, to: now, outcome: "going", code: null, isTakeover, reports: [] };
    spans.push(open);
  };
  for (const event of events) {
    const at = Date.parse(event.at);
    // The state that the event shows, whatever events the log lacks.
    const type = event.type === "snapshot" ? typeOfSnapshot(event, /** @type {Span | null} */ (open)) : event.type;
    isPartial ||= event.type === "snapshot";
    const before = /** @type {Span | null} */ (open);
    if (type === "created") begin("wait", event);
    else if (type === "started") {
      const isTakeover = before?.kind === "attempt";
      close(at, isTakeover ? "lost" : "done");
      begin("attempt", event, isTakeover);
    } else if (type === "progress") before?.reports.push(event);
    else if (type === "released") {
      close(at, "failed", event.code);
      begin("wait", event);
    } else if (type === "retried") {
      end = null;
      retries.push(spans.length);
      begin("wait", event);
    } else if (type in ENDS) {
      if (before?.kind === "attempt") close(at, /** @type {Span["outcome"]} */ (ENDS[type]), event.code);
      else close(at, "done");
      end = event;
    }
  }
  return { spans, retries, end, isPartial };
}

/**
 * @param {JobEvent} event
 * @param {Span | null} open
 */
function typeOfSnapshot({ status, attempt }, open) {
  if (status === "PENDING") return open?.kind === "attempt" ? "released" : open ? "progress" : "created";
  if (status === "IN_PROGRESS") return open?.kind === "attempt" && open.attempt === attempt ? "progress" : "started";
  return status.toLowerCase();
}
