/** The queues: waiting and running jobs, pause and resume of a priority or a job type, dead letters, and how late the sweeper is. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { count, duration, time } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { empty, facts, failure, icon, loading } from "../lib/ui.js";

/** @import { DeadLetter, Queue, Queues as Found } from "../answers.js" */

const REFRESH_MS = 5_000;
/** For how long the API hides a dead letter that it has read, and how often to look for one that is hidden. */
const HIDDEN_MS = 30_000;
const RETRY_MS = 5_000;
const REQUEST_MS = 2_000;
const STAY = ["MALFORMED", "UNREADABLE"];
/** A sweep each minute: later than two means that it fails. */
const LATE_SECONDS = 120;
/** A queue of deliveries goes on: its receivers wait for them. */
const PAUSABLE = ["high", "standard", "low"];

export class Queues extends Page {
  title = "Queues";
  /** @type {Found | null} */ found = null;
  /** The job types that can be paused. They change with a deployment only. @type {string[] | null} */ types = null;
  /** The redrive that runs, or ran last. @type {Redrive | null} */ redriven = null;
  #isLeft = false;

  enter() {
    super.enter();
    this.refreshEvery(REFRESH_MS);
    this.until(() => {
      this.#isLeft = true;
    });
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    this.found = await this.app.api.get("admin/queues", { signal });
    if (!this.app.may("operate") || this.types) return;
    const { jobTypes } = await this.app.api.get("job-types", { signal });
    this.types = jobTypes.filter((each) => !each.tracked).map((each) => each.jobType);
  }

  /** @param {Queue} queue */
  async #toggle({ queue, isPaused }) {
    const action = isPaused ? "resume" : "pause";
    if (!isPaused) {
      const text = html`<p>Running jobs go on. New ones are accepted and wait until you resume the queue.</p>`;
      if (!(await this.app.confirm({ title: `Pause the queue ${queue}?`, text, action: "Pause it", danger: true }))) return;
    }
    await this.act(() => this.app.api.post(`admin/queues/${queue}/${action}`), isPaused ? "The queue goes on" : "The queue is paused");
    await this.reload();
  }

  /** @param {any} event */
  #pauseType = async (event) => {
    event.preventDefault();
    const form = event.target;
    const type = form.elements.type.value;
    const text = html`<p>Running jobs go on. New ones are accepted and wait until you resume the type, or until their deadline. Quick jobs, which run while their caller waits, are not affected.</p>`;
    if (!(await this.app.confirm({ title: `Pause the job type ${type}?`, text, action: "Pause it", danger: true }))) return;
    await this.act(() => this.app.api.post(`admin/types/${type}/pause`), "The job type is paused");
    form.reset();
    await this.reload();
  };

  /** @param {string} type */
  async #resumeType(type) {
    await this.act(() => this.app.api.post(`admin/types/${type}/resume`), "The job type goes on: its waiting jobs begin within 18 minutes");
    await this.reload();
  }

  /** @param {boolean} discardMalformed */
  async #redrive(discardMalformed) {
    if (this.redriven?.isRunning) return;
    if (discardMalformed) {
      const text = html`<p>This release cannot read them. No job depends on them: the sweeper sends waiting jobs again. Read them in SQS first if you want to know their source.</p>`;
      if (!(await this.app.confirm({ title: "Discard the malformed messages?", text, action: "Discard them", danger: true })) || this.#isLeft) return;
    }
    const run = (this.redriven = new Redrive());
    this.app.draw();
    await this.act(
      () => this.#redriveAll(run, discardMalformed),
      () => run.summary(discardMalformed ? "discarded" : "redriven"),
    );
    run.isRunning = false;
    if (!this.#isLeft) await this.reload();
  }

  /**
   * Each request takes some of the letters: the next one goes on with the others. Letters that were read before are hidden: wait.
   * @param {Redrive} run
   * @param {boolean} discardMalformed
   */
  async #redriveAll(run, discardMalformed) {
    const began = Date.now();
    while (!this.#isLeft) {
      const { letters, isMore } = await this.app.api.post("admin/dead-letters/redrive", { discardMalformed });
      run.add(letters);
      this.app.draw();
      // A letter that stays is hidden, too. End before it can be read again: it would count twice.
      const isLate = Date.now() - began > (run.stay ? HIDDEN_MS - RETRY_MS - REQUEST_MS : HIDDEN_MS);
      if (isMore) continue;
      this.found = await this.app.api.get("admin/queues");
      const { waiting, inFlight } = this.found.deadLetters;
      if (isLate || waiting + inFlight <= run.stay) return;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
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
          (each) => html`<li class="card"><div class="card-head"><h2>${each.queue}${each.isPaused ? html` <span class="tag">Paused</span>` : nothing}</h2>
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
    const isRunning = redriven?.isRunning ?? false;
    return html`<section class="card"><div class="card-head"><h2>Dead letters</h2>
        ${dead && this.app.may("operate") ? html`<button class="button small" ?disabled=${isRunning} @click=${() => this.#redrive(false)}>${icon("retry")}Redrive</button>` : nothing}</div>
      <p class=${dead ? "bad" : "quiet"}>${dead ? `${count(dead)} messages could not be handled. The table has their jobs, and the sweeper sends those that wait` : "None"}</p>
      ${redriven ? html`<div role="status"><ul class="reasons">${[...redriven.outcomes].map(([outcome, number]) => html`<li>${count(number)} ${OUTCOMES[outcome] ?? outcome}</li>`)}${isRunning ? html`<li>Looking for more: a message that was read is hidden for ${HIDDEN_MS / 1000} s.</li>` : nothing}</ul></div>` : nothing}
      ${redriven?.outcomes.has("MALFORMED") ? html`<button class="button small danger" ?disabled=${isRunning} @click=${() => this.#redrive(true)}>${icon("trash")}Discard the malformed ones</button>` : nothing}
    </section>`;
  }

  /** @param {Queue[]} queues */
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
            <span class="select"><select id="pause-type" name="type" required>
              <option value="">A job type</option>${repeat(others, (each) => each, (each) => html`<option value=${each}>${each}</option>`)}</select></span>
            <button class="button small">${icon("pause")}Pause</button></form>`
        : nothing}
    </section>`;
  }
}

/** @type {Record<string, string>} */
const OUTCOMES = {
  SENT: "sent again: their jobs may run",
  SETTLED: "settled: their jobs have ended, run, or start later",
  MALFORMED: "malformed: not messages of jobs, or of a later release",
  UNREADABLE: "left: the records of their jobs cannot be read",
  DISCARDED: "discarded",
};

/** What a redrive found, while it runs and afterwards. */
class Redrive {
  /** How many dead letters had which outcome. @type {Map<string, number>} */ outcomes = new Map();
  isRunning = true;

  /** @param {DeadLetter[]} letters */
  add(letters) {
    for (const { outcome } of letters) this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }

  get stay() {
    return STAY.reduce((sum, outcome) => sum + (this.outcomes.get(outcome) ?? 0), 0);
  }

  /** @param {string} word */
  summary(word) {
    const all = [...this.outcomes.values()].reduce((sum, each) => sum + each, 0);
    if (!all) return "None could be read: try again in 30 s";
    return [`${count(all - this.stay)} ${word}`, ...(this.stay ? [`${count(this.stay)} stay`] : [])].join(", ");
  }
}
