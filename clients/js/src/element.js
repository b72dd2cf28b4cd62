/** `<job-progress job-id="...">`: the progress of a job, for every page. */

import { createClient } from "./client.js";
import { ApiConnectionError, errorOf } from "./errors.js";
import { JobWatch } from "./watch.js";

/** @import { Client, Job } from "./types.js" */

/** A screen reader is not interrupted more often. The end is announced immediately. */
const ANNOUNCE_MS = 5_000;

const TEXTS = {
  label: "Progress",
  cancel: "Cancel",
  unknown: "Loading …",
  unavailable: "The job cannot be shown.",
  PENDING: "Waiting …",
  IN_PROGRESS: "Running …",
  COMPLETED: "Done",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};

const MARKUP = `
<style>
  :host { display: block; font: inherit; }
  :host([hidden]), [hidden] { display: none !important; }
  [part="row"] { display: flex; align-items: center; gap: 0.5em; }
  progress { flex: 1; min-width: 4em; height: 0.75em; accent-color: inherit; }
  [part="percent"] { min-width: 3.5ch; text-align: end; font-variant-numeric: tabular-nums; }
  [part="text"] { min-height: 1lh; overflow-wrap: anywhere; }
  button { font: inherit; min-width: 24px; min-height: 24px; }
  [role="status"] { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
</style>
<div part="row">
  <progress part="bar" max="100"></progress>
  <span part="percent" aria-hidden="true"></span>
  <button part="cancel" type="button" hidden></button>
</div>
<div part="text" aria-hidden="true"></div>
<div role="status"></div>
<slot name="done" hidden></slot>
<slot name="failed" hidden></slot>`;

/** Without a DOM, as on a server that renders pages, the module can be imported all the same. */
const Base = globalThis.HTMLElement ?? /** @type {typeof HTMLElement} */ (class {});

/**
 * The element. Attributes: `job-id`, `ticket-url`, `base-url`, `label`, `cancelable`. Parts: `row`, `bar`, `percent`, `cancel`, `text`.
 * Slots: `done`, `failed`. Events, each with the job as its `detail`: `job-update`, and once `job-complete` or `job-error`,
 * when the record has ended; `job-unavailable`, with the error, when the job cannot be read any more.
 */
export class JobProgress extends Base {
  static observedAttributes = ["job-id", "ticket-url", "base-url", "label", "cancelable"];

  /** @type {Client | undefined} */ static #shared;
  /** @type {Set<JobProgress>} */ static #connected = new Set();

  /** The client of all elements that have none of their own. They wait for one. */
  static get client() {
    return JobProgress.#shared;
  }

  static set client(client) {
    JobProgress.#shared = client;
    for (const element of JobProgress.#connected) if (!element.#client) element.#connect();
  }

  /** The element's words. Replace them for another language. @type {Record<string, string>} */
  static texts = TEXTS;

  /** @type {Client | undefined} */ #client;
  /** @type {JobWatch | undefined} */ #watch;
  /** @type {(() => void) | undefined} */ #unsubscribe;
  /** @type {Job | null} */ #shown = null;
  #saidAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #saying;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = MARKUP;
    this.#part("cancel").addEventListener("click", () => void this.cancel());
  }

  /** The client of this element. It is a property, so that no token is in the markup. */
  get client() {
    return this.#client ?? JobProgress.client;
  }

  set client(client) {
    this.#client = client;
    this.#connect();
  }

  /** The job as it was last seen. */
  get job() {
    return this.#shown;
  }

  get jobId() {
    return this.getAttribute("job-id");
  }

  set jobId(id) {
    if (id) this.setAttribute("job-id", id);
    else this.removeAttribute("job-id");
  }

  connectedCallback() {
    // A property that was set before the element was defined hides the accessor.
    if (Object.hasOwn(this, "client")) {
      const { client } = this;
      delete (/** @type {any} */ (this).client);
      this.#client = client;
    }
    JobProgress.#connected.add(this);
    this.#connect();
  }

  disconnectedCallback() {
    JobProgress.#connected.delete(this);
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    clearTimeout(this.#saying);
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === "label" || name === "cancelable") this.#render();
    else this.#connect();
  }

  /** Cancel the job. */
  async cancel() {
    /** @type {HTMLButtonElement} */ (this.#part("cancel")).disabled = true;
    const watch = this.#watch;
    try {
      watch?.restart(await watch.client.job(watch.id).cancel());
    } catch {
      // It ended meanwhile, or cannot be reached: its next state shows it.
      this.#render();
    }
  }

  /** Follow the job that the attributes name, from its present state on. */
  #connect() {
    if (!this.isConnected) return;
    const id = this.jobId;
    const client = id && (this.client ?? this.#clientOf(id));
    if (this.#watch?.id !== id) this.#shown = null;
    this.#unsubscribe?.();
    this.#watch = client ? new JobWatch(client, id) : undefined;
    this.#unsubscribe = this.#watch?.subscribe(() => this.#update());
    this.#render();
  }

  /**
   * Return a client that reads this job with tickets of the page's own server.
   * @param {string} id
   */
  #clientOf(id) {
    const baseUrl = this.getAttribute("base-url") ?? undefined;
    const ticketUrl = this.getAttribute("ticket-url");
    if (!ticketUrl) return undefined;
    const url = new URL(ticketUrl, document.baseURI);
    url.searchParams.set("jobId", id);
    const ticket = async () => {
      const answer = await fetch(url).catch(() => null);
      if (answer?.ok) return (await answer.json()).ticket;
      // A server that is not there now may be there later; one that refuses a ticket has decided.
      if (!answer || answer.status >= 500) throw new ApiConnectionError("No ticket: the server cannot be reached");
      throw errorOf(answer.status, answer.headers, await answer.text());
    };
    return createClient({ baseUrl, ticket });
  }

  #update() {
    const { job, error, connection } = /** @type {JobWatch} */ (this.#watch).snapshot();
    const before = this.#shown;
    this.dataset.connection = connection;
    if (job && job !== before) {
      this.#shown = job;
      this.#render();
      // The record has ended, and not only a connection. An end is reported once; a retried job has another one.
      const hasEnded = job.ended && job.data?.endedAt !== before?.data?.endedAt;
      if (hasEnded || !job.ended) this.#dispatch("job-update", job);
      if (hasEnded) this.#dispatch(job.status === "COMPLETED" ? "job-complete" : "job-error", job);
    }
    if (error && connection === "closed") {
      this.#render(JobProgress.texts.unavailable);
      this.#dispatch("job-unavailable", error);
    }
  }

  /** @param {string} [trouble] */
  #render(trouble) {
    const job = this.#shown;
    const texts = JobProgress.texts;
    const bar = /** @type {HTMLProgressElement} */ (this.#part("bar"));
    const button = /** @type {HTMLButtonElement} */ (this.#part("cancel"));
    const isIndeterminate = !job?.ended && !job?.progress;
    if (isIndeterminate) bar.removeAttribute("value");
    else bar.value = job.progress;
    bar.setAttribute("aria-label", this.getAttribute("label") ?? texts.label);
    this.#part("percent").textContent = isIndeterminate ? "" : `${job.progress} %`;
    button.textContent = texts.cancel;
    button.disabled = false;
    button.hidden = !this.hasAttribute("cancelable") || !job || job.ended;
    for (const [slot, isShown] of Object.entries({
      done: job?.status === "COMPLETED",
      failed: Boolean(job?.ended) && job?.status !== "COMPLETED",
    })) {
      /** @type {HTMLElement} */ (this.shadowRoot?.querySelector(`slot[name=${slot}]`)).hidden = !isShown;
    }
    this.dataset.status = job?.status ?? "";
    const text = trouble ?? textOf(job, texts);
    this.#part("text").textContent = text;
    if (job || trouble) this.#announce(isIndeterminate ? text : `${text} ${job.progress} %`, Boolean(trouble ?? job?.ended));
  }

  /**
   * Say it to a screen reader, at most each five seconds.
   * @param {string} text
   * @param {boolean} isLast
   */
  #announce(text, isLast) {
    clearTimeout(this.#saying);
    const say = () => {
      this.#saidAt = performance.now();
      /** @type {Element} */ (this.shadowRoot?.querySelector("[role=status]")).textContent = text;
    };
    const pause = this.#saidAt + ANNOUNCE_MS - performance.now();
    if (isLast || pause <= 0) say();
    else this.#saying = setTimeout(say, pause);
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  #dispatch(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  /** @param {string} name */
  #part(name) {
    return /** @type {HTMLElement} */ (this.shadowRoot?.querySelector(`[part=${name}]`));
  }
}

/**
 * @param {Job | null} job
 * @param {Record<string, string>} texts
 */
function textOf(job, texts) {
  if (!job?.status) return texts.unknown;
  const status = texts[job.status] ?? job.status;
  if (job.ended && job.error) return `${status}: ${job.error.message}`;
  return job.message && !job.ended ? job.message : status;
}

if (globalThis.customElements && !customElements.get("job-progress")) customElements.define("job-progress", JobProgress);
