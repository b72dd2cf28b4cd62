/** One job type: what it takes and returns, and a form that submits a job of it. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { duration, isExact, pretty, shortId } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { place } from "../lib/router.js";
import { SchemaForm } from "../lib/schema_form.js";
import { copyButton, empty, facts, failure, icon, loading } from "../lib/ui.js";

/** @import { JobType } from "../answers.js" */

export class TypePage extends Page {
  title = "Job type";
  /** @type {JobType | null} */ type = null;
  /** @type {SchemaForm | null} */ form = null;
  isFilled = false;
  isJson = false;
  isSubmitting = false;
  text = "";
  priority = "";
  delaySeconds = "";
  /** @type {any} */ refusal = null;
  /** The key of this form's submit: a click that is repeated submits nothing twice. */
  #key = crypto.randomUUID();

  get name() {
    return place().parts[1] ?? "";
  }

  get shortcuts() {
    return [{ keys: "u", does: "Back to the job types", run: () => this.app.router.go("types") }];
  }

  /** The job whose input fills the form. */
  get from() {
    return place().query.get("from");
  }

  /** @param {AbortSignal} signal */
  async read(signal) {
    const { jobTypes } = await this.app.api.get("job-types", { signal });
    this.type = jobTypes.find((each) => each.jobType === this.name) ?? null;
    this.title = this.name;
    if (!this.type || this.form) return;
    const form = new SchemaForm(this.type.inputSchema, () => this.app.draw());
    if (this.from) await this.#fill(form, this.from, signal);
    this.form = form;
  }

  /**
   * Fill the form with the input of a job. Without it, the form is as for a new job, and says why.
   * @param {SchemaForm} form
   * @param {string} id
   * @param {AbortSignal} signal
   */
  async #fill(form, id, signal) {
    try {
      const text = await this.app.api.text(`jobs/${encodeURIComponent(id)}/input`, { signal });
      this.isFilled = isExact(text);
      if (this.isFilled) form.replace(JSON.parse(text));
      else this.refusal = { title: "The input is not filled in", detail: "A browser would change one of its numbers: use the command line or a client." };
    } catch (error) {
      if (signal.aborted) throw error;
      this.refusal = error;
    }
  }

  /** @param {Event} event */
  #submit = async (event) => {
    event.preventDefault();
    const { form } = this;
    if (!form) return;
    this.refusal = null;
    if (this.isJson && !this.#takeText()) return this.app.draw();
    if (!form.isValid) return this.app.say("A field has no valid value", "error");
    this.isSubmitting = true;
    this.app.draw();
    try {
      const delaySeconds = this.delaySeconds ? Number(this.delaySeconds) : undefined;
      const body = { jobType: this.name, input: form.value ?? {}, priority: this.priority || undefined, delaySeconds };
      const headers = { "idempotency-key": this.#key, prefer: "respond-async" };
      const job = await this.app.api.post("jobs", body, { headers });
      this.app.say("The job is submitted");
      this.app.router.go(`jobs/${job.asyncJobId}`);
    } catch (/** @type {any} */ error) {
      this.#key = crypto.randomUUID();
      this.refusal = error;
      form.problems = error.errors ?? [];
      this.app.draw();
      requestAnimationFrame(() => requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector('[aria-invalid="true"]'))?.focus()));
    }
    this.isSubmitting = false;
    this.app.draw();
  };

  #takeText() {
    try {
      this.form?.replace(JSON.parse(this.text));
      return true;
    } catch (/** @type {any} */ error) {
      this.refusal = { title: "The input is not JSON", detail: error.message };
      return false;
    }
  }

  #toggleJson = () => {
    if (this.isJson) {
      if (!this.#takeText()) return this.app.draw();
    } else this.text = pretty(this.form?.value ?? {});
    this.refusal = null;
    this.isJson = !this.isJson;
    this.app.draw();
  };

  view() {
    const { type } = this;
    return html`<nav class="crumbs" aria-label="Place"><a href="types">Job types</a>${icon("next")}<span>${this.name}</span></nav>
      <div class="page-head"><h1 tabindex="-1">${this.name}</h1></div>
      ${this.error ? failure(this.error, this.reload) : !type ? (this.isLoading ? loading(4) : empty({ icon: "search", title: "There is no such job type", action: html`<a class="button" href="types">Show the job types</a>` })) : this.#content(type)}`;
  }

  /** @param {JobType} type */
  #content(type) {
    return html`<p class="lead">${type.description}</p>
      <div class="columns">
        ${type.tracked
          ? empty({ icon: "types", title: "The work of this type is done elsewhere", text: "Your own worker creates its jobs and reports on them. See docs/tracked.md." })
          : html`<form class="card submit-form" novalidate @submit=${this.#submit}>
              <div class="card-head"><h2>Submit a job</h2><button type="button" class="link" @click=${this.#toggleJson}>${this.isJson ? "Use the form" : "Edit as JSON"}</button></div>
              ${this.from && this.isFilled ? html`<p class="quiet">With the input of <a href="jobs/${this.from}">job <code>${shortId(this.from)}</code></a></p>` : nothing}
              ${this.isJson
                ? html`<label class="visually-hidden" for="input-json">Input as JSON</label><textarea class="mono" id="input-json" rows="12" spellcheck="false" .value=${live(this.text)} @input=${(/** @type {any} */ event) => (this.text = event.target.value)}></textarea>`
                : this.form?.view()}
              <details class="options"><summary>Options</summary>
                <div class="field"><label for="priority">Priority</label><span class="select"><select id="priority" @change=${(/** @type {any} */ event) => (this.priority = event.target.value)}>
                  <option value="">${type.priority} (the type's)</option>${["high", "standard", "low"].map((each) => html`<option value=${each}>${each}</option>`)}</select></span></div>
                <div class="field"><label for="delay">Delay in seconds</label><input id="delay" inputmode="numeric" autocomplete="off" @input=${(/** @type {any} */ event) => (this.delaySeconds = event.target.value)} /></div>
              </details>
              ${this.refusal ? html`<div class="form-error" role="alert"><strong>${this.refusal.title ?? this.refusal.message}</strong>${this.refusal.detail ? html`<p>${this.refusal.detail}</p>` : nothing}${(this.isJson ? this.refusal.errors ?? [] : []).map((/** @type {any} */ each) => html`<p><code>${each.pointer}</code> ${each.detail}</p>`)}</div>` : nothing}
              <button class="button primary" ?disabled=${this.isSubmitting}>${this.isSubmitting ? "Submitting" : "Submit the job"}</button>
            </form>`}
        <aside aria-label="About the type">
          <section class="card">${facts([
            ["Usually takes", duration(type.expectedSeconds * 1000)],
            ["An attempt may take", duration(type.timeoutSeconds * 1000)],
            ["Attempts", String(type.maxAttempts)],
            ["Priority", type.priority],
            ["Kept for", duration(type.retentionSeconds * 1000)],
          ])}</section>
          ${this.#schema("Input", type.inputSchema)} ${this.#schema("Output", type.outputSchema)}
          <p><a href="jobs?type=${encodeURIComponent(type.jobType)}">My jobs of this type</a></p>
        </aside>
      </div>`;
  }

  /**
   * @param {string} name
   * @param {unknown} schema
   */
  #schema(name, schema) {
    const text = pretty(schema);
    return html`<details class="reveal card"><summary>${name} schema</summary><div class="code-frame">${copyButton(text, `Copy the ${name.toLowerCase()} schema`)}<pre class="code" tabindex="0">${text}</pre></div></details>`;
  }
}
