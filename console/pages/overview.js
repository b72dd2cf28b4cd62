/** The stack at a glance: running, waiting and failed jobs, now and in the last hours. */

import { html, nothing, svg } from "../vendor/lit-html/lit-html.js";
import { count, duration, time } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { empty, failure, loading } from "../lib/ui.js";

/** @import { FailedGroup, Queues, TypeFigures } from "../answers.js" */
/** @typedef {TypeFigures & { isPaused: boolean }} ShownType */

const REFRESH_MS = 10_000;
const FAILING_SHOWN = 5;

export class Overview extends Page {
  title = "Overview";
  /** @type {Queues & { types: ShownType[], groups: FailedGroup[] } | null} */ found = null;

  enter() {
    super.enter();
    this.refreshEvery(REFRESH_MS);
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    const { api } = this.app;
    const [queues, { types }, { groups }] = await Promise.all([
      api.get("admin/queues", { signal }),
      api.get("admin/types", { signal }),
      api.get("admin/failed-groups", { signal }),
    ]);
    const paused = new Set(queues.queues.flatMap((each) => each.pausedTypes ?? []));
    this.found = { ...queues, types: types.map((each) => ({ ...each, isPaused: paused.has(each.jobType) })), groups };
  }

  view() {
    return html`<div class="page-head"><h1 tabindex="-1">Overview</h1></div>${this.#content()}`;
  }

  #content() {
    if (this.error && !this.found) return this.error.status === 404 && !this.error.code ? empty({ icon: "overview", title: "This release has no overview" }) : failure(this.error, this.reload);
    if (!this.found) return loading();
    const { queues, types, groups, deadLetters } = this.found;
    const sum = (/** @type {number[]} */ counts) => counts.reduce((total, each) => total + each, 0);
    const dead = deadLetters.waiting + deadLetters.inFlight;
    const [completed, failed] = [sum(types.map((each) => each.completed)), sum(types.map((each) => each.failed))];
    const tiles = /** @type {[string, string, string, boolean][]} */ ([
      ["Running", count(sum(queues.map((each) => each.inFlight))), "live?status=IN_PROGRESS", false],
      ["Waiting", count(sum(queues.map((each) => each.waiting))), "live?status=PENDING", false],
      ["Completed, 24 h", count(completed), "overview", false],
      ["Failed, 24 h", count(failed), "failed", failed > 0],
      ["Dead letters", count(dead), "queues", dead > 0],
    ]);
    const used = types.filter((each) => each.completed + each.failed > 0);
    return html`<ul class="tiles">${tiles.map(([name, value, href, isBad]) => html`<li><a class="tile" href=${href}><span class="quiet">${name}</span><strong class=${isBad ? "bad" : ""}>${value}</strong></a></li>`)}</ul>
      <section class="below" aria-labelledby="types-heading"><h2 id="types-heading">Job types, last 24 hours</h2>
        ${used.length
          ? html`<div class="table-frame"><table class="table types">
              <thead><tr><th scope="col">Type</th><th scope="col" class="wide-only">Hours</th><th scope="col" class="number">Success</th><th scope="col" class="number">p50</th><th scope="col" class="number">p95</th><th scope="col" class="number wide-only">p99</th><th scope="col" class="number">Jobs</th></tr></thead>
              <tbody>${used.map((each) => this.#type(each))}</tbody></table></div>`
          : html`<p class="quiet">No job has ended in the last 24 hours.</p>`}
      </section>
      ${groups.length
        ? html`<section class="below" aria-labelledby="failing-heading"><h2 id="failing-heading">What fails</h2><ul class="failing">
            ${groups.slice(0, FAILING_SHOWN).map((each) => html`<li><a href="failed?type=${encodeURIComponent(each.jobType)}&code=${encodeURIComponent(each.code)}"><code class="code-word">${each.code}</code></a><span class="clip">${each.jobType}</span><strong>${count(each.count)}${each.isMore ? "+" : ""}</strong><span class="quiet">${time(each.newestAt)}</span></li>`)}
          </ul></section>`
        : nothing}`;
  }

  /** @param {ShownType} type */
  #type(type) {
    const seconds = (/** @type {number | null} */ value) => (value === null ? html`<span class="none">–</span>` : duration(value * 1000));
    return html`<tr>
      <td class="clip">${type.jobType}${type.isPaused ? html` <span class="tag">Paused</span>` : nothing}</td>
      <td class="wide-only">${bars(type.hours)}</td>
      <td class="number"><span class=${type.successRate !== null && type.successRate < 0.95 ? "bad" : ""}>${type.successRate === null ? "–" : `${Number((100 * type.successRate).toFixed(1))} %`}</span></td>
      <td class="number quiet">${seconds(type.p50Seconds)}</td>
      <td class="number quiet">${seconds(type.p95Seconds)}</td>
      <td class="number quiet wide-only">${seconds(type.p99Seconds)}</td>
      <td class="number">${count(type.completed + type.failed)}</td>
    </tr>`;
  }
}

/**
 * One bar an hour: completed, and failed above it.
 * @param {{ completed: number, failed: number }[]} hours
 */
function bars(hours) {
  const most = Math.max(1, ...hours.map(({ completed, failed }) => completed + failed));
  const [good, bad] = [hours.reduce((sum, each) => sum + each.completed, 0), hours.reduce((sum, each) => sum + each.failed, 0)];
  return html`<svg class="hours" viewBox="0 0 ${hours.length * 5} 24" role="img" aria-label="${good} completed, ${bad} failed, in ${hours.length} hours">
    ${hours.map(({ completed, failed }, index) => {
      const [low, high] = [(24 * completed) / most, (24 * failed) / most];
      return svg`<rect class="bar-base" x=${index * 5} y="23" width="4" height="1" /><rect class="bar-good" x=${index * 5} y=${24 - low} width="4" height=${low} /><rect class="bar-bad" x=${index * 5} y=${24 - low - high} width="4" height=${high} />`;
    })}
  </svg>`;
}
