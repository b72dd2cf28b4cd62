/** The queues: what waits and runs, pause and resume of a priority or a job type, dead letters, and how late the sweeper is. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { count, duration, time } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { empty, facts, failure, icon, loading } from "../lib/ui.js";

const REFRESH_MS = 5_000;
/** For how long the API hides a dead letter that it has read, and how often to look for one that is hidden. */
const HIDDEN_MS = 20_000;
const RETRY_MS = 5_000;
const STAY = ["MALFORMED", "UNREADABLE"];
/** A sweep each minute: later than two means that it fails. */
const LATE_SECONDS = 120;
/** A queue of deliveries goes on: its receivers wait for them. */
const PAUSABLE = ["high", "standard", "low"];

export class Queues extends Page {
  title = "Queues";
  /** @type {any} */ found = null;
  /** The job types that can be paused. They change with a deployment only. @type {string[] | null} */ types = null;
  chosen = "";
  /** How many dead letters had which outcome. @type {Map<string, number> | null} */ redriven = null;

  enter() {
    super.enter();
    const timer = setInterval(() => !document.hidden && this.app.live.connection !== "paused" && void this.reload(), REFRESH_MS);
    this.until(() => clearInterval(timer));
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    this.found = await this.app.api.get("admin/queues", { signal });
    if (!this.app.may("operate") || this.types) return;
    const { jobTypes } = await this.app.api.get("job-types", { signal });
    this.types = jobTypes.filter((/** @type {any} */ each) => !each.tracked).map((/** @type {any} */ each) => each.jobType);
  }

  /** @param {any} queue */
  async #toggle({ queue, isPaused }) {
    const action = isPaused ? "resume" : "pause";
    if (!isPaused) {
      const text = html`<p>Running jobs go on. New ones are accepted and wait until you resume the queue.</p>`;
      if (!(await this.app.ask({ title: `Pause the queue ${queue}?`, text, action: "Pause it", danger: true }))) return;
    }
    await this.act(() => this.app.api.post(`admin/queues/${queue}/${action}`), isPaused ? "The queue goes on" : "The queue is paused");
    await this.reload();
  }

  /** @param {Event} event */
  #pauseType = async (event) => {
    event.preventDefault();
    const type = this.chosen;
    const text = html`<p>Running jobs go on. New ones are accepted and wait until you resume the type, or until their deadline. Quick jobs, which run while their caller waits, are not affected.</p>`;
    if (!type || !(await this.app.ask({ title: `Pause the job type ${type}?`, text, action: "Pause it", danger: true }))) return;
    await this.act(() => this.app.api.post(`admin/types/${type}/pause`), "The job type is paused");
    this.chosen = "";
    await this.reload();
  };

  /** @param {string} type */
  async #resumeType(type) {
    await this.act(() => this.app.api.post(`admin/types/${type}/resume`), "The job type goes on: its waiting jobs begin within five minutes");
    await this.reload();
  }

  /**
   * Each request takes some of the letters: the next one goes on with the others.
   * @param {boolean} discardMalformed
   */
  async #redrive(discardMalformed) {
    if (discardMalformed) {
      const text = html`<p>They are no messages of jobs, so no job is lost. They cannot be read afterwards.</p>`;
      if (!(await this.app.ask({ title: "Delete the malformed messages?", text, action: "Delete them", danger: true }))) return;
    }
    const outcomes = (this.redriven = new Map());
    await this.act(async () => {
      for (let isMore = true, tries = 0; isMore; tries += 1) {
        const answer = await this.app.api.post("admin/dead-letters/redrive", { discardMalformed });
        for (const { outcome } of answer.letters) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        this.app.draw();
        // Letters that stay come again after a while: they must not keep the loop going.
        isMore = answer.isMore && answer.letters.some((/** @type {any} */ each) => !STAY.includes(each.outcome));
        if (!outcomes.size && tries < HIDDEN_MS / RETRY_MS) {
          isMore = true;
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      }
    }, "The dead letters are settled");
    await this.reload();
  }

  view() {
    return html`<div class="page-head"><h1 tabindex="-1">Queues</h1></div>${this.#content()}`;
  }

  #content() {
    if (this.error && !this.found) return this.error.status === 404 && !this.error.code ? empty({ icon: "queues", title: "This release shows no queues" }) : failure(this.error, this.reload);
    if (!this.found) return loading(4);
    const { queues, deadLetters, sweeper } = this.found;
    const dead = deadLetters.waiting + deadLetters.inFlight;
    const isLate = sweeper.lagSeconds > LATE_SECONDS;
    return html`<ul class="cards">
        ${queues.map(
          (/** @type {any} */ each) => html`<li class="card"><div class="card-head"><h2>${each.queue}${each.isPaused ? html` <span class="tag">Paused</span>` : nothing}</h2>
            ${this.app.may("operate") && PAUSABLE.includes(each.queue) && each.isPaused !== undefined ? html`<button class="button small" @click=${() => this.#toggle(each)}>${icon(each.isPaused ? "play" : "pause")}${each.isPaused ? "Resume" : "Pause"}</button>` : nothing}</div>
            ${facts([["Waiting", count(each.waiting)], ["Running", count(each.inFlight)], ["Delayed", count(each.delayed)], ["Oldest waits since", time(each.oldestWaitingSince)]])}</li>`,
        )}
      </ul>
      <div class="cards below">
        ${this.#deadLetters(dead)}
        <section class="card"><div class="card-head"><h2>Sweeper</h2></div><p class=${isLate ? "bad" : "quiet"}>${sweeper.lagSeconds ? `${duration(sweeper.lagSeconds * 1000)} behind` : "Nothing is overdue"}</p></section>
        ${this.#types(queues)}
      </div>`;
  }

  /** @param {number} dead */
  #deadLetters(dead) {
    const { redriven } = this;
    const malformed = redriven?.get("MALFORMED") ?? 0;
    return html`<section class="card"><div class="card-head"><h2>Dead letters</h2>
        ${dead && this.app.may("operate") ? html`<button class="button small" @click=${() => this.#redrive(false)}>${icon("retry")}Redrive</button>` : nothing}</div>
      <p class=${dead ? "bad" : "quiet"}>${dead ? `${count(dead)} messages could not be handled. The table has their jobs, and the sweeper sends those that wait` : "None"}</p>
      ${redriven ? html`<div role="status"><ul class="reasons">${[...redriven].map(([outcome, number]) => html`<li>${count(number)} ${FATES[outcome] ?? outcome}</li>`)}${redriven.size ? nothing : html`<li>Looking for them: a message that was read is hidden for 20 s.</li>`}</ul></div>` : nothing}
      ${malformed ? html`<button class="button small danger" @click=${() => this.#redrive(true)}>${icon("trash")}Delete the malformed ones</button>` : nothing}
    </section>`;
  }

  /** @param {any[]} queues */
  #types(queues) {
    const paused = [...new Set(queues.flatMap(({ pausedTypes }) => pausedTypes ?? []))].sort();
    const others = (this.types ?? []).filter((each) => !paused.includes(each));
    return html`<section class="card"><div class="card-head"><h2>Job types</h2></div>
      ${paused.length
        ? html`<ul class="paused-types">${paused.map(
            (each) => html`<li><span class="clip">${each}</span> <span class="tag">Paused</span>
              ${this.app.may("operate") ? html`<button class="button small" aria-label="Resume ${each}" @click=${() => this.#resumeType(each)}>${icon("play")}Resume</button>` : nothing}</li>`,
          )}</ul>`
        : html`<p class="quiet">None is paused</p>`}
      ${others.length
        ? html`<form class="pause-type" @submit=${this.#pauseType}><label class="visually-hidden" for="pause-type">Job type to pause</label>
            <span class="select"><select id="pause-type" .value=${this.chosen} @change=${(/** @type {any} */ event) => (this.chosen = event.target.value)}>
              <option value="">A job type</option>${others.map((each) => html`<option value=${each}>${each}</option>`)}</select></span>
            <button class="button small">${icon("pause")}Pause</button></form>`
        : nothing}
    </section>`;
  }
}

/** @type {Record<string, string>} */
const FATES = {
  SENT: "sent again: their jobs may run",
  SETTLED: "settled: their jobs have ended, run, or start later",
  MALFORMED: "malformed: not messages of jobs, or of a later release",
  UNREADABLE: "left: the records of their jobs cannot be read",
  DISCARDED: "deleted",
};
