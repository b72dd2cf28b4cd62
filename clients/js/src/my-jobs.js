/** `<my-jobs>`: the jobs of the user, as they run, for every page. */

import { PageElement, STYLES } from "./page-element.js";
import { JobsWatch } from "./watch-jobs.js";

/** @import { Job } from "./types.js" */

const PAGE = 20;
const MINUTE_MS = 60_000;

const TEXTS = {
  locale: "en",
  label: "My jobs",
  loading: "Loading …",
  empty: "No jobs",
  unavailable: "The jobs cannot be shown.",
  unfinished: "Unfinished",
  more: "Show more",
  PENDING: "Waiting",
  IN_PROGRESS: "Running",
  COMPLETED: "Done",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};

/** The units of a time ago, from the longest on, in seconds. @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

const MARKUP = `
<style>${STYLES}
  ul { list-style: none; margin: 0; padding: 0; }
  li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0.25em 1em; padding-block: 0.5em; border-block-start: 1px solid; border-color: color-mix(in srgb, currentcolor 25%, transparent); }
  [part="name"], [part="text"] { overflow-wrap: anywhere; }
  a { color: inherit; display: inline-block; min-height: 24px; }
  [part="status"]::before { content: "○ " / ""; }
  [part~="IN_PROGRESS"] [part="status"]::before { content: "◐ " / ""; }
  [part~="COMPLETED"] [part="status"]::before { content: "✓ " / ""; }
  [part~="FAILED"] [part="status"]::before { content: "✕ " / ""; }
  [part~="CANCELLED"] [part="status"]::before { content: "– " / ""; }
  progress { grid-column: 1 / -1; width: 100%; height: 0.5em; }
  time { text-align: end; }
  [part="note"] { margin: 0; }
</style>
<ul part="list" role="list"></ul>
<p part="note"></p>
<button part="more" type="button" hidden></button>
<div role="status"></div>`;

const ROW = `<span part="name"></span><span part="status"></span><progress part="bar" max="100"></progress><span part="text"></span><time part="time"></time>`;

/**
 * The element. Attributes: `ticket-url`, `base-url`, `label`, `limit`, `status`, `job-type`; `href`, the address of a job's page, with
 * `{id}` in it. Parts: `list`, `job` (also by its status, as `FAILED`), `name`, `status`, `bar`, `text`, `time`, `note`, `more`.
 * Events: `jobs-update`, with the jobs as its `detail`; `jobs-unavailable`, with the error, when they cannot be read any more.
 * @extends {PageElement<JobsWatch>}
 */
export class MyJobs extends PageElement {
  static observedAttributes = ["ticket-url", "base-url", "label", "limit", "status", "job-type", "href"];

  /** The element's words. Replace them for another language, of which `locale` is the name. @type {Record<string, string>} */
  static texts = TEXTS;

  /** @type {Map<string, HTMLElement>} */ #rows = new Map();
  /** @type {Job[]} */ #shown = [];
  /** @type {ReturnType<typeof setInterval> | undefined} */ #ticking;

  constructor() {
    super(MARKUP);
    this.piece("more").addEventListener("click", () => this.#showMore());
  }

  /** The jobs as they were last seen. */
  get jobs() {
    return this.#shown;
  }

  connectedCallback() {
    super.connectedCallback();
    // "A minute ago" is true for a minute.
    this.#ticking = setInterval(() => this.render(), MINUTE_MS);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.#ticking);
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === "label" || name === "href") this.render();
    else this.connect();
  }

  #showMore() {
    const { watch } = this;
    if (!watch) return;
    watch.options.limit += PAGE;
    watch.restart();
  }

  /** @protected */
  watched() {
    const client = this.clientFor({ scope: "owner" });
    const status = this.getAttribute("status") ?? undefined;
    const jobType = this.getAttribute("job-type") ?? undefined;
    const limit = Number(this.getAttribute("limit")) || PAGE;
    return client && new JobsWatch(client, { status, jobType, limit });
  }

  /** @protected */
  update() {
    const { jobs, isRead, error, connection } = /** @type {JobsWatch} */ (this.watch).snapshot();
    const isNews = isRead && jobs !== this.#shown;
    if (isNews) this.#shown = jobs;
    this.render();
    if (isNews) this.dispatch("jobs-update", jobs);
    if (error && connection === "closed") this.dispatch("jobs-unavailable", error);
  }

  /** @protected */
  render() {
    const texts = MyJobs.texts;
    const { error, hasMore = false, isRead = false } = this.watch?.snapshot() ?? {};
    const list = this.piece("list");
    list.setAttribute("aria-label", this.getAttribute("label") ?? texts.label);
    for (const [id, row] of this.#rows) {
      if (this.#shown.some((job) => job.id === id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    for (const [index, job] of this.#shown.entries()) {
      const row = this.#row(job);
      // A row that is moved loses its focus, so it stays where it is.
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    }
    const note = this.piece("note");
    note.textContent = error ? texts.unavailable : isRead ? texts.empty : texts.loading;
    note.hidden = !error && this.#shown.length > 0;
    const more = this.piece("more");
    more.textContent = texts.more;
    more.hidden = !hasMore;
    const said = `${texts.unfinished}: ${this.#shown.filter(({ ended }) => !ended).length}`;
    if (error || isRead) this.announce(error ? texts.unavailable : this.#shown.length ? said : texts.empty, Boolean(error));
  }

  /**
   * Return the row of the job, as it is now.
   * @param {Job} job
   */
  #row(job) {
    const texts = MyJobs.texts;
    const row = this.#rows.get(job.id) ?? document.createElement("li");
    if (!row.firstChild) row.innerHTML = ROW;
    this.#rows.set(job.id, row);
    const [name, status, bar, text, time] = /** @type {any[]} */ ([...row.children]);
    const { data } = job;
    const type = data?.jobType ?? "";
    row.setAttribute("part", `job ${job.status}`);
    const href = this.getAttribute("href")?.replaceAll("{id}", encodeURIComponent(job.id));
    const link = name.querySelector("a") ?? document.createElement("a");
    if (!href) name.textContent = type;
    else {
      link.textContent = type;
      link.href = href;
      if (!link.parentNode) name.replaceChildren(link);
    }
    status.textContent = texts[job.status ?? ""] ?? job.status;
    bar.hidden = job.ended;
    bar.setAttribute("aria-label", type);
    if (job.progress) bar.value = job.progress;
    else bar.removeAttribute("value");
    text.textContent = job.error?.message ?? job.message ?? "";
    const at = new Date(data?.endedAt ?? data?.createdAt ?? 0);
    time.dateTime = at.toISOString();
    time.title = at.toLocaleString(texts.locale);
    time.textContent = ago(at, texts.locale);
    return row;
  }
}

/**
 * Return how long ago a time was. A clock that is wrong makes it no time ahead.
 * @param {Date} at
 * @param {string} locale
 */
function ago(at, locale) {
  const seconds = Math.max(0, (Date.now() - at.getTime()) / 1000);
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(-Math.floor(seconds / length), unit);
}

if (globalThis.customElements && !customElements.get("my-jobs")) customElements.define("my-jobs", MyJobs);
