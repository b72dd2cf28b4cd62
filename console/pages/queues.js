/** The queues: what waits and runs, pause and resume, dead letters, and how late the sweeper is. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { count, duration, time } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { empty, facts, failure, icon, loading } from "../lib/ui.js";

const REFRESH_MS = 5_000;
/** A sweep each minute: later than two means that it fails. */
const LATE_SECONDS = 120;
/** A queue of deliveries goes on: its receivers wait for them. */
const PAUSABLE = ["high", "standard", "low"];

export class Queues extends Page {
  title = "Queues";
  /** @type {any} */ found = null;

  enter() {
    super.enter();
    const timer = setInterval(() => !document.hidden && this.app.live.connection !== "paused" && void this.reload(), REFRESH_MS);
    this.until(() => clearInterval(timer));
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    this.found = await this.app.api.get("admin/queues", { signal });
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
        <section class="card"><div class="card-head"><h2>Dead letters</h2></div>
          <p class=${dead ? "bad" : "quiet"}>${dead ? `${count(dead)} messages could not be handled. Their jobs are in the table, and the sweeper sends them again` : "None"}</p></section>
        <section class="card"><div class="card-head"><h2>Sweeper</h2></div><p class=${isLate ? "bad" : "quiet"}>${sweeper.lagSeconds ? `${duration(sweeper.lagSeconds * 1000)} behind` : "Nothing is overdue"}</p></section>
      </div>`;
  }
}
