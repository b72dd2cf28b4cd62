/** The console: sign-in, the frame around every page, and the page of the present place. */

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { Api } from "./lib/api.js";
import { SIGN_IN_PAGE, config } from "./lib/config.js";
import { Keys } from "./lib/keys.js";
import { Live } from "./lib/live.js";
import { Page } from "./lib/page.js";
import { Router, place } from "./lib/router.js";
import { Session } from "./lib/session.js";
import { confirmDialog, empty, icon, sayBy } from "./lib/ui.js";
import { Action } from "./pages/action.js";
import { AnyJob } from "./pages/any_job.js";
import { Audit } from "./pages/audit.js";
import { Failed } from "./pages/failed.js";
import { JobPage } from "./pages/job.js";
import { LiveJobs } from "./pages/live_jobs.js";
import { MyJobs } from "./pages/my_jobs.js";
import { Overview } from "./pages/overview.js";
import { Queues } from "./pages/queues.js";
import { TypePage } from "./pages/type.js";
import { Types } from "./pages/types.js";
import { Webhooks } from "./pages/webhooks.js";

const THEMES = /** @type {const} */ (["system", "light", "dark"]);
const THEME = "asyncjobs.theme";
const CLOCK_MS = 1_000;
const SAID_MS = 4_000;

/** @type {Record<string, new (app: App) => Page>} */
const PAGES = {
  ...{ jobs: MyJobs, job: JobPage, types: Types, type: TypePage, webhooks: Webhooks },
  ...{ overview: Overview, live: LiveJobs, failed: Failed, queues: Queues, audit: Audit, anyJob: AnyJob, action: Action },
};

/** @typedef {{ path: string, name: string, icon: Parameters<typeof icon>[0], key: string, right?: string }} Item */

/** @type {Item[]} */
const OWN = [
  { path: "jobs", name: "My jobs", icon: "jobs", key: "m" },
  { path: "types", name: "Job types", icon: "types", key: "t" },
  { path: "webhooks", name: "Webhooks", icon: "webhooks", key: "w" },
];

/** Pages of all users' jobs, each with the right that it needs. @type {Item[]} */
const ALL = [
  { path: "overview", name: "Overview", icon: "overview", key: "o", right: "view" },
  { path: "live", name: "Live", icon: "live", key: "l", right: "view" },
  { path: "failed", name: "Failed", icon: "failed", key: "f", right: "view" },
  { path: "queues", name: "Queues", icon: "queues", key: "q", right: "view" },
  { path: "audit", name: "Audit", icon: "audit", key: "a", right: "audit" },
];

export class App {
  /** @type {Page | null} */ page = null;
  /** @type {any} */ problem = null;
  /** @type {"starting" | "in" | "out" | "ended"} */ state = "starting";
  /** @type {{ text: string, kind: string } | null} */ said = null;
  /** @type {{ view: unknown } | null} */ dialog = null;
  isMenuOpen = false;
  /** What the user may do with the jobs of all users. @type {string[]} */ rights = [];
  #isScheduled = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #saidTimer;

  constructor() {
    this.session = new Session(() => this.set({ state: "ended" }));
    this.api = new Api(this.session);
    this.live = new Live(this.api, { hasSocket: config.hasSocket, onState: () => this.draw() });
    this.router = new Router((isNew) => this.#move(isNew));
    this.keys = new Keys(() => this.shortcuts());
    sayBy((text, kind) => this.say(text, kind));
    applyTheme();
    setInterval(() => !document.hidden && this.draw(), CLOCK_MS);
  }

  async start() {
    if (!config.isConfigured || !config.signIn) return this.set({ state: "out" });
    try {
      const to = await this.session.start();
      if (to === null) {
        const { path, query } = place();
        // Signed out, and not on the way in: the page says so. Everywhere else, the sign-in page follows immediately.
        if (location.pathname === SIGN_IN_PAGE.pathname || !this.canReturn) return this.set({ state: "out" });
        return await this.session.signIn(`${path}${query.size ? `?${query}` : ""}`);
      }
      if (to) history.replaceState(null, "", new URL(to, document.baseURI));
      this.state = "in";
      this.#move(true);
      // No page waits for it: the API decides each request by itself.
      this.set({ rights: await this.#readRights() });
    } catch (error) {
      this.set({ state: "out", problem: error });
    }
  }

  /**
   * Whether the API would let the user do this. It decides itself, at each request.
   * @param {string | undefined} right
   */
  may(right) {
    return !right || this.rights.includes(right);
  }

  /** Most users have no group: nobody waits for this question who has not been in one. */
  async #readRights() {
    if (!(this.session.claims["cognito:groups"] ?? this.session.claims.groups ?? config.signIn?.urls === null)) return [];
    try {
      return (await this.api.get("admin/rights")).rights;
    } catch {
      return []; // the deployment has no such API
    }
  }

  /** Whether the issuer returns to this console. */
  get canReturn() {
    return config.signIn?.urls?.includes(SIGN_IN_PAGE.href) ?? true;
  }

  /** @param {Partial<App>} news */
  set(news) {
    Object.assign(this, news);
    this.draw();
  }

  /** Draw once, however much has changed. */
  draw() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const frame = () => {
      this.#isScheduled = false;
      this.#render();
    };
    if (document.hidden) setTimeout(frame);
    else requestAnimationFrame(frame);
  }

  /**
   * @param {string} text
   * @param {string} [kind]
   */
  say(text, kind = "info") {
    clearTimeout(this.#saidTimer);
    this.#saidTimer = setTimeout(() => this.set({ said: null }), SAID_MS);
    this.set({ said: { text, kind } });
  }

  /**
   * Request a confirmation of something that cannot be undone.
   * @param {Parameters<typeof confirmDialog>[0]} question
   * @returns {Promise<boolean>}
   */
  confirm(question) {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    return new Promise((resolve) => {
      const decide = (/** @type {boolean} */ isYes) => {
        if (!this.dialog) return;
        this.set({ dialog: null });
        resolve(isYes);
        requestAnimationFrame(() => before?.isConnected && before.focus());
      };
      this.set({ dialog: { view: confirmDialog(question, decide) } });
    });
  }

  shortcuts() {
    const pages = [...OWN, ...ALL.filter(({ right }) => this.may(right))].map(({ key, name, path }) => ({ keys: `g ${key}`, does: `Go to ${name}`, run: () => this.router.go(path) }));
    return [
      ...(this.page?.shortcuts ?? []),
      ...pages,
      { keys: ".", does: "Pause or resume live updates", run: () => this.live.togglePause() },
      { keys: "\\", does: "Switch between light, dark and the system's theme", run: () => this.switchTheme() },
      { keys: "?", does: "Show the keys", run: () => this.showKeys() },
    ];
  }

  switchTheme() {
    const now = localStorage.getItem(THEME) ?? "system";
    localStorage.setItem(THEME, THEMES[(THEMES.findIndex((each) => each === now) + 1) % THEMES.length] ?? "system");
    applyTheme();
    this.draw();
  }

  showKeys() {
    const close = () => this.set({ dialog: null });
    const rows = () => this.shortcuts();
    const view = () => html`<dialog class="dialog keys" aria-labelledby="keys-title" @close=${close} @cancel=${close}>
      <h2 id="keys-title">Keys</h2>
      <dl>
        ${rows().map(({ keys, does }) => html`<div><dt>${keys.split(" ").map((each) => html`<kbd>${each}</kbd>`)}</dt><dd>${does}</dd></div>`)}
      </dl>
      <label class="check"><input type="checkbox" .checked=${this.keys.areOn} @change=${() => this.keys.toggle()} />Use keys of one letter</label>
      <div class="dialog-actions"><button class="button" type="button" autofocus @click=${close}>Close</button></div>
    </dialog>`;
    this.set({ dialog: { view: view() } });
  }

  /** @param {boolean} isNew */
  #move(isNew) {
    if (this.state !== "in") return;
    const { parts } = place();
    const [name = "jobs", id] = parts;
    const kind = id ? { jobs: "job", types: "type", operate: "anyJob", actions: "action" }[name] : name;
    const Kind = PAGES[kind ?? ""] ?? NotFound;
    this.isMenuOpen = false;
    if (!isNew && this.page instanceof Kind) this.page.filtered();
    else {
      this.page?.leave();
      const page = (this.page = new Kind(this));
      page.enter();
      scrollTo(0, 0);
      // A screen reader reads the heading, so its user hears that another page is shown.
      requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector("h1")?.focus({ preventScroll: true })));
    }
    document.title = `${this.page?.title} · ${config.application}`;
    this.draw();
  }

  #render() {
    const root = /** @type {HTMLElement} */ (document.getElementById("app"));
    const views = { starting: () => nothing, out: () => this.#signedOut(), in: () => this.#frame(), ended: () => this.#frame() };
    render(html`${views[this.state]()}${this.dialog?.view ?? nothing}${this.#saying()}`, root);
    const dialog = /** @type {HTMLDialogElement | null} */ (root.querySelector("dialog"));
    if (dialog && !dialog.open) dialog.showModal();
  }

  #saying() {
    return html`<div class="toast" role="status" data-kind=${this.said?.kind ?? ""} ?data-on=${this.said}>${this.said?.text ?? ""}</div>`;
  }

  #signedOut() {
    const { problem } = this;
    if (!config.isConfigured) return setUp("Sign-in is not set up", html`<p>Deploy the stack with your page as a sign-in URL:</p>${command()}`);
    if (!config.signIn) return setUp("The issuer of tokens cannot be reached", html`<p>Load the page again in a moment. Check <code>JwtIssuer</code> if it stays.</p>`);
    if (!this.canReturn) return setUp("This address is not a sign-in URL", html`<p>The sign-in page returns only to addresses that the stack allows. Add this one:</p>${command()}`);
    return html`<main class="gate">
      <div class="gate-card">
        <img src="${config.files}icon.svg" alt="" width="40" height="40" />
        <h1 tabindex="-1">${config.application}</h1>
        ${problem ? html`<p class="bad" role="alert">The sign-in failed: ${problem.message}</p>` : html`<p>Sign in to see your jobs.</p>`}
        <button class="button primary wide" autofocus @click=${() => this.session.signIn("jobs")}>Sign in</button>
      </div>
    </main>`;
  }

  #frame() {
    const { page } = this;
    return html`
      <a class="skip" href="#main" @click=${skip}>Skip to the page</a>
      <div class="frame" ?data-menu=${this.isMenuOpen}>
        <header class="top">
          <button class="icon-button" aria-label="Menu" aria-expanded=${String(this.isMenuOpen)} @click=${() => this.set({ isMenuOpen: !this.isMenuOpen })}>
            ${icon(this.isMenuOpen ? "close" : "menu")}
          </button>
          <strong>${config.application}</strong>
          ${this.#connection()}
        </header>
        <nav class="side" aria-label="Pages">
          <a class="brand" href="jobs"><img src="${config.files}icon.svg" alt="" width="22" height="22" /><span>${config.application}</span></a>
          <ul>
            ${OWN.map((each) => this.#link(each))}
          </ul>
          ${this.rights.length
            ? html`<div><h2>All users</h2><ul>${ALL.filter(({ right }) => this.may(right)).map((each) => this.#link(each))}</ul></div>`
            : nothing}
          <div class="side-end">
            ${this.#connection()}
            <button class="side-item" @click=${() => this.showKeys()}>${icon("keys")}<span>Keys</span><kbd>?</kbd></button>
            <button class="side-item" @click=${() => this.switchTheme()}>${icon("sun")}<span>Theme: ${localStorage.getItem(THEME) ?? "system"}</span></button>
            <button class="side-item" @click=${() => this.session.signOut()}>${icon("out")}<span>Sign out</span><span class="quiet user" title=${this.session.userName}>${this.session.userName}</span></button>
          </div>
        </nav>
        <main id="main" tabindex="-1">
          ${this.state === "ended"
            ? html`<div class="banner" role="alert">Your session has ended.<button class="button small" @click=${() => this.session.signIn(place().path + location.search)}>Sign in again</button></div>`
            : nothing}
          ${page?.view() ?? nothing}
        </main>
      </div>
    `;
  }

  /** @param {Item} item */
  #link({ path, name, icon: shape }) {
    const [first = "jobs"] = place().parts;
    const isHere = ({ operate: "live", actions: "audit" }[first] ?? first) === path;
    return html`<li><a class="side-item" href=${path} aria-current=${isHere ? "page" : "false"}>${icon(shape)}<span>${name}</span></a></li>`;
  }

  #connection() {
    const { connection, isStarted } = this.live;
    if (!isStarted) return nothing;
    const words = { connecting: "Connecting", live: "Live", polling: "Polling", paused: "Paused", hidden: "Paused" };
    const isPaused = connection === "paused";
    return html`<button class="connection" data-state=${connection} title=${isPaused ? "Resume live updates (.)" : "Pause live updates (.)"}
      aria-pressed=${String(isPaused)} @click=${() => this.live.togglePause()}><span class="dot"></span>${words[connection]}</button>`;
  }
}

class NotFound extends Page {
  title = "Not found";
  enter() {}
  view() {
    return html`<h1 tabindex="-1" class="visually-hidden">Not found</h1>${empty({
      icon: "search",
      title: "There is no such page",
      action: html`<a class="button" href="jobs">Go to my jobs</a>`,
    })}`;
  }
}

/**
 * @param {string} title
 * @param {unknown} text
 */
function setUp(title, text) {
  return html`<main class="gate"><div class="gate-card">${icon("keys")}<h1 tabindex="-1">${title}</h1>${text}</div></main>`;
}

function command() {
  const line = `make deploy PARAMETERS="SignInUrls=${[...(config.signIn?.urls ?? []), SIGN_IN_PAGE.href].join(",")}"`;
  return html`<pre class="code wrap">${line}</pre>`;
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function applyTheme() {
  document.documentElement.dataset.theme = localStorage.getItem(THEME) ?? "system";
}

await new App().start();
