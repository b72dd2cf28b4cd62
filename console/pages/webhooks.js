/** The user's own webhooks: create, test, replace the secret, delete, and what was delivered. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { time } from "../lib/format.js";
import { Page } from "../lib/page.js";
import { copyButton, empty, failure, icon, loading } from "../lib/ui.js";

/** @import { Webhook } from "../answers.js" */

export class Webhooks extends Page {
  title = "Webhooks";
  /** @type {Webhook[]} */ webhooks = [];
  /** The secret that an answer contained, once. @type {Webhook | null} */ issued = null;
  url = "";
  /** @type {any} */ refusal = null;

  /** @param {AbortSignal} signal */
  async read(signal) {
    this.webhooks = (await this.app.api.get("webhooks", { signal })).webhooks;
  }

  /** @param {Event} event */
  #create = async (event) => {
    event.preventDefault();
    try {
      this.issued = await this.app.api.post("webhooks", { url: this.url });
      [this.url, this.refusal] = ["", null];
      this.app.say("The webhook is created");
      await this.reload();
    } catch (error) {
      this.refusal = error;
    }
    this.app.draw();
  };

  /** @param {Webhook} webhook */
  async #test({ webhookId }) {
    await this.act(async () => {
      const delivery = await this.app.api.post(`webhooks/${webhookId}/test`);
      this.app.router.go(`jobs/${delivery.asyncJobId}`);
    }, "The test is on its way");
  }

  /** @param {Webhook} webhook */
  async #rotate({ webhookId }) {
    const text = html`<p>Deliveries have two signatures for a day, so that you can replace the secret at the receiver.</p>`;
    if (!(await this.app.confirm({ title: "Replace the secret?", text, action: "Replace it" }))) return;
    await this.act(async () => (this.issued = await this.app.api.post(`webhooks/${webhookId}/rotate`)), "The secret is replaced");
    await this.reload();
  }

  /** @param {Webhook} webhook */
  async #delete({ webhookId, url }) {
    const text = html`<p>Nothing more is delivered to ${url}.</p>`;
    if (!(await this.app.confirm({ title: "Delete this webhook?", text, action: "Delete it", danger: true }))) return;
    await this.act(() => this.app.api.delete(`webhooks/${webhookId}`), "The webhook is deleted");
    await this.reload();
  }

  view() {
    return html`<div class="page-head"><h1 tabindex="-1">Webhooks</h1><a class="button" href="jobs?type=webhook.deliver">Show the deliveries</a></div>${this.#content()}`;
  }

  #content() {
    if (this.error?.code === "WEBHOOKS_OFF") return empty({ icon: "webhooks", title: "Webhooks are off in this deployment", text: "Deploy with Webhooks=ON to have events of your jobs delivered to your own server." });
    if (this.error) return failure(this.error, this.reload);
    if (this.isLoading) return loading(3);
    const problem = this.refusal && (this.refusal.errors?.[0]?.detail ?? this.refusal.detail ?? this.refusal.message);
    return html`${this.issued
        ? html`<div class="banner" role="alert"><span>Store the secret now, it is not shown again:</span>${copyButton(this.issued.secret ?? "", `Copy the secret ${this.issued.secret}`, html`<code>${this.issued.secret}</code>`)}</div>`
        : nothing}
      <form class="card inline-form" novalidate @submit=${this.#create}>
        <div class="field"><label for="url">Deliver events of my jobs to</label>
          <input id="url" type="url" autocomplete="off" placeholder="https://app.example.com/jobs/events" aria-invalid=${String(Boolean(problem))} aria-describedby=${problem ? "url-error" : nothing} .value=${this.url} @input=${(/** @type {any} */ event) => (this.url = event.target.value)} />
          ${problem ? html`<p class="field-error" id="url-error" role="alert">${problem}</p>` : nothing}</div>
        <button class="button primary">${icon("plus")}Create</button>
      </form>
      ${this.webhooks.length
        ? html`<ul class="stack">${this.webhooks.map((each) => this.#webhook(each))}</ul>`
        : empty({ icon: "webhooks", title: "You have no webhooks", text: "A webhook gets a signed request when one of your jobs ends, and tries again for three days." })}`;
  }

  /** @param {Webhook} webhook */
  #webhook(webhook) {
    const { url, events, jobTypes, createdAt, disabledAt, failingSince, previousSecretValidUntil } = webhook;
    return html`<li class="card">
      <div class="card-head"><h2 class="url">${url}</h2>
        <div class="actions">
          <button class="button small" @click=${() => this.#test(webhook)}>Send a test</button>
          <button class="button small" @click=${() => this.#rotate(webhook)}>Replace the secret</button>
          <button class="button small" @click=${() => this.#delete(webhook)}>${icon("trash")}Delete</button>
        </div></div>
      <p class="meta quiet">
        ${disabledAt ? html`<strong class="bad">Disabled ${time(disabledAt)}</strong>` : failingSince ? html`<strong class="bad">Failing since ${time(failingSince)}</strong>` : html`<span>Active</span>`}
        <span>${events.join(", ")}</span>${jobTypes.length ? html`<span>only ${jobTypes.join(", ")}</span>` : nothing}<span>created ${time(createdAt)}</span>
        ${previousSecretValidUntil ? html`<span>two secrets, the old one ends ${time(previousSecretValidUntil)}</span>` : nothing}
      </p></li>`;
  }
}
