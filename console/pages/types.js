/** The job types that this deployment runs. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { duration } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { empty, failure, icon, loading } from "../lib/ui.js";

/** @import { JobType } from "../answers.js" */

export class Types extends Page {
  title = "Job types";
  /** @type {JobType[]} */ types = [];

  /** @param {AbortSignal} signal */
  async read(signal) {
    this.types = (await this.app.api.get("job-types", { signal })).jobTypes;
  }

  view() {
    return html`<div class="page-head"><h1 tabindex="-1">Job types</h1></div>${this.#content()}`;
  }

  #content() {
    if (this.error) return failure(this.error, this.reload);
    if (this.isLoading) return loading();
    if (!this.types.length) return empty({ icon: "types", title: "This deployment has no job types", text: "Save one as a file in layers/jobs/jobs, and deploy." });
    return html`<ul class="cards">
      ${this.types.map(
        (each) => html`<li class="card type-card">
          <h2><a href="types/${encodeURIComponent(each.jobType)}">${each.jobType}</a></h2>
          <p>${each.description}</p>
          <p class="quiet meta">
            ${each.tracked ? html`<span class="tag">Tracked</span>` : html`<span>usually ${duration(each.expectedSeconds * 1000)}</span><span>up to ${each.maxAttempts} attempts</span>`}
            ${each.priority === "standard" ? nothing : html`<span class="tag">${each.priority} priority</span>`}
          </p>
          <a class="more-link" href="types/${encodeURIComponent(each.jobType)}" tabindex="-1" aria-hidden="true">Submit${icon("next")}</a>
        </li>`,
      )}
    </ul>`;
  }
}
