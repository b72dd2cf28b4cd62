/** `<job-progress job-id="...">`: the progress of a job, for every page. */

import { PageElement, STYLES } from "./page-element.js";
import { JobWatch } from "./watch.js";

/** @import { Job } from "./types.js" */

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
<style>${STYLES}
  [part="row"] { display: flex; align-items: center; gap: 0.5em; }
  progress { flex: 1; min-width: 4em; height: 0.75em; }
  [part="percent"] { min-width: 3.5ch; text-align: end; font-variant-numeric: tabular-nums; }
  [part="text"] { min-height: 1lh; overflow-wrap: anywhere; }
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

/**
 * The element. Attributes: `job-id`, `ticket-url`, `base-url`, `label`, `cancelable`. Parts: `row`, `bar`, `percent`, `cancel`, `text`.
 * Slots: `done`, `failed`. Events, each with the job as its `detail`: `job-update`, and once `job-complete` or `job-error`,
 * when the record has ended; `job-unavailable`, with the error, when the job cannot be read any more.
 * @extends {PageElement<JobWatch>}
 */
export class JobProgress extends PageElement {
  static observedAttributes = ["job-id", "ticket-url", "base-url", "label", "cancelable"];

  /** The element's words. Replace them for another language. @type {Record<string, string>} */
  static texts = TEXTS;

  /** @type {Job | null} */ #shown = null;

  constructor() {
    super(MARKUP);
    this.piece("cancel").addEventListener("click", () => void this.cancel());
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

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === "label" || name === "cancelable") this.render();
    else this.connect();
  }

  /** Cancel the job. */
  async cancel() {
    /** @type {HTMLButtonElement} */ (this.piece("cancel")).disabled = true;
    const { watch } = this;
    try {
      watch?.restart({ job: await watch.client.job(watch.id).cancel() });
    } catch {
      // It ended meanwhile, or cannot be reached: its next state shows it.
      this.render();
    }
  }

  /** @protected */
  watched() {
    const id = this.jobId;
    if (this.watch?.id !== id) this.#shown = null;
    const client = id && this.clientFor({ jobId: id });
    return client ? new JobWatch(client, id) : undefined;
  }

  /** @protected */
  update() {
    const { job, error, connection } = /** @type {JobWatch} */ (this.watch).snapshot();
    const before = this.#shown;
    if (job && job !== before) {
      this.#shown = job;
      this.render();
      // The record has ended, and not only a connection. An end is reported once; a retried job has another one.
      const hasEnded = job.ended && job.data?.endedAt !== before?.data?.endedAt;
      if (hasEnded || !job.ended) this.dispatch("job-update", job);
      if (hasEnded) this.dispatch(job.status === "COMPLETED" ? "job-complete" : "job-error", job);
    }
    if (error && connection === "closed") {
      this.render(JobProgress.texts.unavailable);
      this.dispatch("job-unavailable", error);
    }
  }

  /**
   * @protected
   * @param {string} [trouble]
   */
  render(trouble) {
    const job = this.#shown;
    const texts = JobProgress.texts;
    const bar = /** @type {HTMLProgressElement} */ (this.piece("bar"));
    const button = /** @type {HTMLButtonElement} */ (this.piece("cancel"));
    const isIndeterminate = !job?.ended && !job?.progress;
    if (isIndeterminate) bar.removeAttribute("value");
    else bar.value = job.progress;
    bar.setAttribute("aria-label", this.getAttribute("label") ?? texts.label);
    this.piece("percent").textContent = isIndeterminate ? "" : `${job.progress} %`;
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
    this.piece("text").textContent = text;
    if (job || trouble) this.announce(isIndeterminate ? text : `${text} ${job.progress} %`, Boolean(trouble ?? job?.ended));
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
