/** One job: what it is, what happened to it, and what can be done with it. */

import { html, nothing, svg } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { BULK_ACTION } from "../lib/bulk.js";
import { API } from "../lib/config.js";
import { day, duration, exact, indented, pretty, time } from "../lib/format.js";
import { changed } from "../lib/live.js";
import { Page } from "../lib/page.js";
import { place } from "../lib/router.js";
import { timelineOf } from "../lib/timeline.js";
import { ENDED, bar, copyButton, empty, facts, failure, icon, loading, statusBadge } from "../lib/ui.js";

/** @import { Change, Job, JobEvent } from "../answers.js" */
/** @import { Span } from "../lib/timeline.js" */

/** The members that a change does not carry: the record is read after these. */
const READ_AFTER = ["completed", "failed", "cancelled", "released", "retried"];
const LARGEST_SHOWN = 200_000;
const REPORTS_SHOWN = 4;
/** How often events that the log did not have yet are read again, each time after twice as long: for a minute in all. */
const MOST_TRIES = 6;

export class JobPage extends Page {
  title = "Job";
  /** What the page says when it shows an input or a result. @type {string | undefined} */ noted;
  /** @type {Job | null} */ job = null;
  /** @type {JobEvent[]} */ events = [];
  /** Texts that were read after a click, by their names. @type {Record<string, string>} */ revealed = {};
  /** @type {"curl" | "python" | "cli"} */ language = "curl";
  isActing = false;
  /** @type {Set<number>} */ #open = new Set();
  #tries = 0;
  #again = 0;

  get id() {
    return place().parts[1] ?? "";
  }

  /** The page that lists such jobs. */
  get list() {
    return { path: "jobs", name: "My jobs" };
  }

  /** The job's path of the API. */
  get path() {
    return `jobs/${encodeURIComponent(this.id)}`;
  }

  /** The query of each request about the job. @returns {Record<string, string>} */
  get query() {
    return {};
  }

  get mayOperate() {
    return true;
  }

  /** An action on many jobs is started again instead: jobs that it has changed are not eligible any more. */
  get mayRetry() {
    const { job } = this;
    return this.mayOperate && job !== null && ["FAILED", "CANCELLED"].includes(job.status) && job.jobType !== BULK_ACTION;
  }

  /** Keep the page as the job is. */
  follow() {
    this.until(this.app.live.watch({ onChange: (change) => this.#onChange(change), onStale: this.refresh }));
  }

  get shortcuts() {
    return [
      { keys: "u", does: "Back to the list", run: () => this.app.router.go(this.list.path) },
      { keys: "c", does: "Cancel the job", run: () => void this.#cancel() },
      { keys: "r", does: "Retry the job", run: () => void this.#retry() },
      { keys: "y", does: "Copy the job's id", run: () => void navigator.clipboard.writeText(this.id).then(() => this.app.say("Copied")) },
    ];
  }

  enter() {
    super.enter();
    this.until(() => clearTimeout(this.#again));
    this.follow();
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    const record = () => this.app.api.get(this.path, { query: this.query, signal });
    let [job, events] = await Promise.all([record(), this.#readEvents(signal)]);
    // The events were read later than the job. A change in between was pushed before there was a job to show it on.
    if (job.seq < (events.at(-1)?.seq ?? 0)) job = await record();
    this.job = this.job && this.job.seq > job.seq ? this.job : job;
    this.events = events;
    this.#readMissingLater();
  }

  /** Read again where a snapshot replaces events: the log has them when the stream is handled, unless it is off. */
  #readMissingLater() {
    clearTimeout(this.#again);
    if (!this.events.some(({ type }) => type === "snapshot")) this.#tries = 0;
    else if (this.#tries < MOST_TRIES) this.#again = setTimeout(this.refresh, 1000 * 2 ** this.#tries++);
  }

  /** @param {AbortSignal} signal */
  async #readEvents(signal) {
    /** @type {JobEvent[]} */
    const events = [];
    for (let after = 0; ; ) {
      const page = await this.app.api.get(`${this.path}/events`, { query: { ...this.query, after }, signal });
      events.push(...page.events);
      // `more` stays true while the job goes on: an empty page is the end for now.
      if (!page.more || !page.events.length || page.seq === after) return events;
      after = page.seq;
    }
  }

  /** @param {Change} change */
  #onChange(change) {
    if (change.asyncJobId !== this.id || !this.job) return;
    this.#tries = 0;
    const last = this.events.at(-1)?.seq ?? 0;
    const next = changed(this.job, change);
    if (next) this.job = next;
    // A connection gets the newest change of several: the log has those between.
    if (change.seq > last + 1 || READ_AFTER.includes(change.type)) this.refresh();
    else if (change.seq > last) this.events = [...this.events, change];
    this.app.draw();
  }

  async #cancel() {
    if (!this.job || !this.mayOperate || ENDED.includes(this.job.status)) return;
    const text = html`<p>The worker stops at its next report. What it has done already is not undone.</p>`;
    if (await this.app.confirm({ title: "Cancel this job?", text, action: "Cancel the job", danger: true })) await this.#do("cancel", "The job is cancelled");
  }

  async #retry() {
    if (!this.mayRetry) return;
    const text = html`<p>The job runs again with the same input, from its first attempt.</p>`;
    if (await this.app.confirm({ title: "Retry this job?", text, action: "Retry the job" })) await this.#do("retry", "The job runs again");
  }

  async #delete() {
    const text = html`<p>The record, its input and its result are deleted. This cannot be undone.</p>`;
    if (!(await this.app.confirm({ title: "Delete this job?", text, action: "Delete the job", danger: true }))) return;
    if (await this.act(() => this.app.api.delete(this.path, { query: this.query }), "The job is deleted")) this.app.router.go(this.list.path);
  }

  /**
   * @param {string} action
   * @param {string} done
   */
  async #do(action, done) {
    this.isActing = true;
    this.app.draw();
    await this.act(() => this.app.api.post(`${this.path}/${action}`, undefined, { query: this.query }), done);
    delete this.revealed.result;
    this.isActing = false;
    await this.reload();
  }

  /** A ticket opens the link without a header: the browser downloads it as any other. */
  async #download() {
    await this.act(async () => {
      const { ticket } = await this.app.api.post("tickets", { jobs: [this.id], ttlSeconds: 60 });
      location.assign(new URL(`tickets/jobs/${this.id}/result?ticket=${ticket}`, API));
    }, "The download begins");
  }

  view() {
    const { job, error } = this;
    if (error && !job) return html`${this.#head("Job")}${error.status === 404 ? this.#missing() : failure(error, this.reload)}`;
    if (!job) return html`${this.#head("Job")}${loading(4)}`;
    return html`${this.#head(job.jobType)} ${this.#state(job)}
      <div class="columns">
        <div>
          <section aria-labelledby="timeline"><h2 id="timeline">Timeline</h2>${this.#timeline()}</section>
          ${this.#outcome(job)}
        </div>
        <aside aria-label="Facts">${this.#facts(job)}${this.#code()}</aside>
      </div>`;
  }

  #missing() {
    return empty({
      icon: "search",
      title: "There is no such job",
      text: "It belongs to another user, was deleted, or its record has expired.",
      action: html`<a class="button" href=${this.list.path}>Go to ${this.list.name}</a>`,
    });
  }

  /** @param {string} title */
  #head(title) {
    const { job } = this;
    const isEnded = job && ENDED.includes(job.status);
    return html`<nav class="crumbs" aria-label="Place"><a href=${this.list.path}>${this.list.name}</a>${icon("next")}${copyButton(this.id, `Copy the job's id ${this.id}`, html`<code>${this.id}</code>`)}</nav>
      <div class="page-head">
        <h1 tabindex="-1">${title}</h1>
        ${job && this.mayOperate
          ? html`<div class="actions">
              ${isEnded ? nothing : html`<button class="button" ?disabled=${this.isActing} @click=${() => this.#cancel()}>${icon("stop")}Cancel</button>`}
              ${this.mayRetry ? html`<button class="button primary" ?disabled=${this.isActing} @click=${() => this.#retry()}>${icon("retry")}Retry</button>` : nothing}
              ${isEnded ? html`<button class="button" ?disabled=${this.isActing} @click=${() => this.#delete()}>${icon("trash")}Delete</button>` : nothing}
            </div>`
          : nothing}
      </div>`;
  }

  /** @param {Job} job */
  #state(job) {
    const isRunning = job.status === "IN_PROGRESS";
    return html`<div class="state-line" data-status=${job.status}>
      ${statusBadge(job.status, job.progress)}
      ${isRunning ? html`<div class="state-bar">${bar(job.progress)}<span>${job.progress} %</span></div>` : nothing}
      ${job.message ? html`<span class="clip">${job.message}</span>` : nothing}
      ${isRunning && job.estimatedEndAt && Date.parse(job.estimatedEndAt) > Date.now() ? html`<span class="quiet">about ${duration(Date.parse(job.estimatedEndAt) - Date.now())} left</span>` : nothing}
    </div>`;
  }

  /** Further facts of a page of operators. @returns {[string, unknown][]} */
  get moreFacts() {
    return [];
  }

  /** @param {Job} job */
  #facts(job) {
    const began = job.startedAt && Date.parse(job.startedAt);
    const rows = /** @type {[string, unknown][]} */ ([
      ["Created", time(job.createdAt)],
      ["Started", time(job.startedAt)],
      ["Ended", time(job.endedAt)],
      ["Took", began ? duration((job.endedAt ? Date.parse(job.endedAt) : Date.now()) - began) : null],
      ["Attempt", job.attempt ? `${job.attempt} of ${job.maxAttempts}` : `none of ${job.maxAttempts} yet`],
      ["Priority", job.priority],
      ...this.moreFacts,
      ["Kept until", html`<time datetime=${new Date(job.recordExpiresAt * 1000).toISOString()} title=${exact(job.recordExpiresAt * 1000)}>${day(job.recordExpiresAt * 1000)}</time>`],
    ]);
    return html`<section class="card" aria-label="Facts">${facts(rows)}</section>
      ${job.metadata ? html`<section class="card"><h2>Metadata</h2><pre class="code wrap">${pretty(job.metadata)}</pre></section>` : nothing}`;
  }

  /** @param {Job} job */
  #outcome(job) {
    const { error } = job;
    return html`${error
        ? html`<section aria-labelledby="error"><h2 id="error">${job.status === "FAILED" ? "Why it failed" : "Why the last attempt failed"}</h2>
            <div class="error-box"><code class="code-word">${error.code}</code><p>${error.message}</p>
              ${error.retryable === undefined ? nothing : html`<p class="quiet">${error.retryable ? "Trying again may help." : "Trying again without a change will fail again."}</p>`}</div></section>`
        : nothing}
      ${job.jobType === BULK_ACTION && this.app.may("audit") ? html`<p><a class="button" href="actions/${job.asyncJobId}">${icon("audit")}Show the outcome of each job</a></p>` : nothing}
      ${this.contents(job)}`;
  }

  /**
   * What went in and came out, behind a click.
   * @param {Job} job
   */
  contents(job) {
    return html`<section aria-labelledby="input"><h2 id="input">Input</h2>
        <div class="contents">
          ${this.reveal("input")}
          ${mayBeSubmitted(job) ? html`<p><a class="button" href="types/${encodeURIComponent(job.jobType)}?from=${this.id}">${icon("plus")}Submit again with changes</a></p>` : nothing}
        </div>
      </section>
      ${this.#result(job)}`;
  }

  /**
   * A button that reads what went in or came out, or what it has read.
   * @param {"input" | "result"} name
   */
  reveal(name) {
    const text = this.revealed[name];
    if (text === undefined) return html`<p><button class="button" @click=${() => this.#reveal(name)}>Show the ${name}</button></p>`;
    return html`<div class="code-frame">${copyButton(text, `Copy the ${name}`)}<pre class="code" tabindex="0">${shown(text)}</pre></div>`;
  }

  /** @param {"input" | "result"} name */
  #reveal(name) {
    return this.act(async () => {
      this.revealed[name] = indented(await this.readContent(name));
      this.app.draw();
    }, this.noted);
  }

  /** @param {"input" | "result"} name @returns {Promise<string>} */
  readContent(name) {
    return this.app.api.text(`${this.path}/${name}`, { query: this.query });
  }

  /** @param {any} job */
  #result(job) {
    if (job.status !== "COMPLETED") return nothing;
    return html`<section aria-labelledby="result"><h2 id="result">Result</h2>
            ${job.resultType === null
              ? html`<p class="quiet">The job has no result.</p>`
              : job.resultType === "INLINE"
                ? html`<details class="reveal"><summary>Show the result</summary><div class="code-frame">${copyButton(pretty(job.result), "Copy the result")}<pre class="code">${shown(pretty(job.result))}</pre></div></details>`
                : html`<button class="button" @click=${() => this.#download()}>${icon("download")}Download the result</button>`}
          </section>`;
  }

  #timeline() {
    const now = Date.now();
    const { spans, retries, end, isPartial } = timelineOf(this.events, now);
    if (!spans.length) return html`<p class="quiet">No event has been recorded.</p>`;
    const from = spans[0]?.from ?? now;
    const to = Math.max(spans.at(-1)?.to ?? now, from + 1);
    return html`${chart(spans, from, to)}
      <ol class="timeline">
        ${repeat(spans, (_, index) => index, (span, index) => html`${retries.includes(index) ? html`<li class="moment">${mark("retry")}<div><strong>Retried</strong></div>${clockOf(span.from)}</li>` : nothing}${this.#span(span, index)}`)}
        ${end ? html`<li class="moment" data-outcome=${end.type}>${mark(end.type)}<div><strong>${ending(end)}</strong>${end.code ? html` <code class="code-word">${end.code}</code>` : nothing}</div>${clockOf(Date.parse(end.at))}</li>` : nothing}
      </ol>
      ${isPartial ? html`<p class="quiet note">Some changes are missing: the log of events is off, or was cut.</p>` : nothing}`;
  }

  /**
   * @param {Span} span
   * @param {number} index
   */
  #span(span, index) {
    const { kind, reports, isTakeover, attempt } = span;
    const took = html`<span class="took">${duration(span.to - span.from)}</span>`;
    if (kind === "wait") {
      const why = index === 0 ? "Accepted, waited for a worker" : "Waited for the next attempt";
      return html`<li class="span wait" data-outcome=${span.outcome}>${mark("wait")}<div>${span.outcome === "going" ? why.replace("waited", "waits").replace("Waited", "Waits") : why} ${took}</div>${clockOf(span.from)}</li>`;
    }
    const isOpen = this.#open.has(index);
    const earlier = reports.length - REPORTS_SHOWN;
    const shownReports = isOpen || earlier < 2 ? reports : reports.slice(-REPORTS_SHOWN);
    const toggle = () => {
      if (isOpen) this.#open.delete(index);
      else this.#open.add(index);
      this.app.draw();
    };
    return html`<li class="span attempt" data-outcome=${span.outcome}>
      ${mark(span.outcome)}
      <div>
        <strong>Attempt ${attempt}</strong> ${OUTCOMES[span.outcome]} ${took}
        ${span.code && span.outcome !== "completed" ? html`<code class="code-word">${span.code}</code>` : nothing}
        ${isTakeover ? html`<p class="quiet">Took over: the worker of the attempt before fell silent, and its lease ended.</p>` : nothing}
        ${reports.length
          ? html`<ul class="reports">
              ${earlier > 1 ? html`<li><button class="link" aria-expanded=${String(isOpen)} @click=${toggle}>${isOpen ? "Show the last ones" : `${earlier} earlier reports`}</button></li>` : nothing}
              ${shownReports.map((each) => html`<li><span class="percent">${each.progress} %</span><span class="clip">${each.message ?? ""}</span><span class="quiet">+${duration(Date.parse(each.at) - span.from)}</span></li>`)}
            </ul>`
          : nothing}
      </div>
      ${clockOf(span.from)}
    </li>`;
  }

  #code() {
    const samples = this.#samples();
    return html`<section class="card"><div class="tabs" role="group" aria-label="Copy as">
        ${/** @type {const} */ (["curl", "python", "cli"]).map(
          (each) => html`<button class="tab" aria-pressed=${String(this.language === each)} @click=${() => { this.language = each; this.app.draw(); }}>${{ curl: "curl", python: "Python", cli: "Command line" }[each]}</button>`,
        )}
      </div>
      <div class="code-frame">${copyButton(samples[this.language], "Copy the command")}<pre class="code wrap" tabindex="0">${samples[this.language]}</pre></div></section>`;
  }

  #samples() {
    const api = API.href.replace(/\/$/, "");
    return {
      curl: `curl ${api}/jobs/${this.id} \\\n  -H "Authorization: Bearer $ASYNCJOBS_TOKEN"`,
      python: `from asyncjobs_client import Jobs\n\njob = Jobs("${api}").get("${this.id}")\nprint(job.status, job.progress)`,
      cli: `export ASYNCJOBS_URL=${api}\nasyncjobs watch ${this.id}`,
    };
  }
}

/**
 * Whether users submit jobs of this type. A tracked job has no attempts here, and deliveries come from events.
 * @param {any} job
 */
function mayBeSubmitted({ maxAttempts, jobType }) {
  return maxAttempts > 0 && jobType !== "webhook.deliver";
}

/** @type {Record<string, string>} */
const OUTCOMES = {
  going: "is running",
  failed: "failed",
  lost: "was lost",
  completed: "completed",
  cancelled: "was cancelled",
  done: "ended",
};

/** @param {JobEvent} event */
function ending({ type }) {
  return { completed: "Completed", failed: "Failed", cancelled: "Cancelled" }[type] ?? type;
}

/** @param {string} outcome */
function mark(outcome) {
  return html`<span class="mark" data-outcome=${outcome} aria-hidden="true"></span>`;
}

/** @param {number} at */
function clockOf(at) {
  const text = new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return html`<time class="clock" datetime=${new Date(at).toISOString()} title=${exact(at)}>${text}</time>`;
}

/** @param {string} text */
function shown(text) {
  return text.length > LARGEST_SHOWN ? `${text.slice(0, LARGEST_SHOWN)}\n… ${text.length - LARGEST_SHOWN} more characters` : text;
}

/**
 * The spans side by side: how long each took, of the whole.
 * @param {Span[]} spans
 * @param {number} from
 * @param {number} to
 */
function chart(spans, from, to) {
  const scale = 1000 / (to - from);
  const label = `${duration(to - from)} in all: ${spans.map((each) => `${each.kind === "wait" ? "waiting" : `attempt ${each.attempt}`} ${duration(each.to - each.from)}`).join(", ")}`;
  return html`<div class="chart">
    <svg viewBox="0 0 1000 28" preserveAspectRatio="none" role="img" aria-label=${label}>
      ${spans.map((span) => {
        const width = Math.max(3, (span.to - span.from) * scale - 1);
        return svg`<rect class="chart-span" data-kind=${span.kind} data-outcome=${span.outcome} x=${Math.min(997, (span.from - from) * scale)} y=${span.kind === "wait" ? 10 : 2} width=${width} height=${span.kind === "wait" ? 8 : 24} rx="2"><title>${span.kind === "wait" ? "Waiting" : `Attempt ${span.attempt}`}: ${duration(span.to - span.from)}</title></rect>`;
      })}
    </svg>
    <div class="chart-ends quiet"><span>${exact(from)}</span><span>${duration(to - from)}</span></div>
  </div>`;
}
