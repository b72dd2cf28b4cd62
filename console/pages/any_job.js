/** A job of any owner, for operators: by the administrator's API, which reads no payload without the right to. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { ownerOf } from "../lib/admin.js";
import { isExact, time } from "../lib/format.js";
import { place } from "../lib/router.js";
import { copyButton } from "../lib/ui.js";
import { JobPage } from "./job.js";

/** @import { AdminJob } from "../answers.js" */

const REFRESH_MS = 2_000;

export class AnyJob extends JobPage {
  noted = "This look is recorded";
  /** @type {AdminJob | null} */ job = null;

  get list() {
    return { path: "live", name: "Live" };
  }

  get path() {
    return `admin/jobs/${encodeURIComponent(this.id)}`;
  }

  /** @returns {Record<string, string>} */
  get query() {
    const owner = this.job?.owner ?? place().query.get("owner");
    return owner ? { owner } : {};
  }

  get mayOperate() {
    return this.app.may("operate");
  }

  /** The socket shows the user's own jobs only: a job that goes on is read again. */
  follow() {
    this.refreshEvery(REFRESH_MS, () => !this.job?.endedAt);
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    // Without its owner, a job is found only while it is unfinished: its events then need the owner that was found.
    if (!this.query.owner) this.job = await this.app.api.get(this.path, { signal });
    await super.read(signal);
  }

  /** @returns {[string, unknown][]} */
  get moreFacts() {
    const { owner, leaseUntil, dueAt, deadlineAt, exclusive, logsUrl } = /** @type {AdminJob} */ (this.job);
    return [
      ["Owner", ownerOf(owner)],
      ["Lease until", time(leaseUntil)],
      ["Next sweep", time(dueAt)],
      ["Deadline", time(deadlineAt)],
      ["Exclusive", exclusive ? "yes" : "no"],
      // The local engine has no page for logs: `make logs` shows them.
      ["Log", logsUrl ? html`<a href=${logsUrl} target="_blank" rel="noopener noreferrer">Logs Insights</a>` : copyButton(`make logs | grep ${this.id}`, "Copy the command that shows the log lines", html`<code>make logs</code>`)],
    ];
  }

  /** @param {AdminJob} job */
  contents(job) {
    if (!this.app.may("payloads")) return html`<p class="quiet">Input and result are hidden: they need the right to read payloads.</p>`;
    return html`<section class="contents" aria-label="Contents">
      <p class="quiet note">Each look at an input or a result is recorded.</p>
      ${this.reveal("input")} ${job.status === "COMPLETED" && job.resultType ? this.reveal("result") : nothing}
    </section>`;
  }

  /** @param {"input" | "result"} name */
  async readContent(name) {
    const text = await super.readContent(name);
    // Whole, where taking it out of the answer would change a number.
    return name === "input" && isExact(text) ? JSON.stringify(JSON.parse(text).input) : text;
  }
}
