/** What the elements have in common: a client, what they follow while they are in the page, and words for screen readers. */

import { createClient } from "./client.js";
import { ApiConnectionError, NotFound, errorOf } from "./errors.js";

/** @import { Client } from "./types.js" */

/** A screen reader is not interrupted more often. The end is announced immediately. */
const ANNOUNCE_MS = 5_000;

/** The client of all elements that have none of their own. @type {Client | undefined} */
let shared;
/** @type {Set<PageElement<any>>} */
const connected = new Set();

/** Without a DOM, as on a server that renders pages, the modules can be imported all the same. */
const Base = globalThis.HTMLElement ?? /** @type {typeof HTMLElement} */ (class {});

/** The styles of all elements. */
export const STYLES = `
  :host { display: block; font: inherit; }
  :host([hidden]), [hidden] { display: none !important; }
  button { font: inherit; min-width: 24px; min-height: 24px; }
  progress { accent-color: inherit; }
  [role="status"] { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
`;

/**
 * An element that follows something. A new client or attribute makes it start again.
 * @template {import("./watch.js").Watch<any>} Watched
 */
export class PageElement extends Base {
  /** The client of all elements that have none of their own. They wait for one. */
  static get client() {
    return shared;
  }

  static set client(client) {
    shared = client;
    for (const element of connected) if (!element.#client) element.connect();
  }

  /** @type {Client | undefined} */ #client;
  /** @type {Watched | undefined} */ #watch;
  /** @type {(() => void) | undefined} */ #unsubscribe;
  #saidAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #saying;

  /** @param {string} markup */
  constructor(markup) {
    super();
    this.attachShadow({ mode: "open" }).innerHTML = markup;
  }

  /** The client of this element. It is a property, so that no token is in the markup. */
  get client() {
    return this.#client ?? shared;
  }

  set client(client) {
    this.#client = client;
    this.connect();
  }

  connectedCallback() {
    // A property that was set before the element was defined hides the accessor.
    if (Object.hasOwn(this, "client")) {
      const { client } = this;
      delete (/** @type {any} */ (this).client);
      this.#client = client;
    }
    connected.add(this);
    this.connect();
  }

  disconnectedCallback() {
    connected.delete(this);
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    clearTimeout(this.#saying);
  }

  /** The watch of it. @protected */
  get watch() {
    return this.#watch;
  }

  /**
   * Return what the attributes name, if they do. Each element has its own.
   * @protected
   * @returns {Watched | undefined}
   */
  watched() {
    return undefined;
  }

  /** Show the state of what is followed. @protected */
  update() {}

  /** Show what is known. @protected */
  render() {}

  /** Follow what the attributes name, from its present state on. @protected */
  connect() {
    // The attributes of an element that is made by the page's markup come one by one, before it is connected.
    if (!connected.has(this)) return;
    this.#unsubscribe?.();
    this.#watch = this.watched();
    this.#unsubscribe = this.#watch?.subscribe(() => {
      this.dataset.connection = this.#watch?.snapshot().connection;
      this.update();
    });
    this.render();
  }

  /**
   * Return the client, or one that reads with tickets of the page's own server, if there is either.
   * @protected
   * @param {Record<string, string>} query what the tickets are for
   */
  clientFor(query) {
    const ticketUrl = this.getAttribute("ticket-url");
    if (this.client || !ticketUrl) return this.client;
    const issued = async (/** @type {string} */ use) => {
      const url = new URL(ticketUrl, document.baseURI);
      for (const [name, value] of Object.entries({ ...query, use })) url.searchParams.set(name, value);
      const answer = await fetch(url).catch(() => null);
      if (answer?.ok) return answer.json();
      // A server that is not there now may be there later; one that refuses a ticket has decided.
      if (!answer || answer.status >= 500) throw new ApiConnectionError("No ticket: the server cannot be reached");
      throw errorOf(answer.status, answer.headers, await answer.text());
    };
    const connect = async () => {
      const found = await issued("connect");
      // This server issues tickets that read, and no others: there is no WebSocket.
      if (!found.url) throw new NotFound(404);
      return found;
    };
    const baseUrl = this.getAttribute("base-url") ?? undefined;
    return createClient({ baseUrl, connect, ticket: async () => (await issued("read")).ticket });
  }

  /**
   * Say what is new to a screen reader, at most each five seconds.
   * @protected
   * @param {string} text
   * @param {boolean} [isLast]
   */
  announce(text, isLast = false) {
    clearTimeout(this.#saying);
    const status = /** @type {Element} */ (this.shadowRoot?.querySelector("[role=status]"));
    if (status.textContent === text) return;
    const say = () => {
      this.#saidAt = performance.now();
      status.textContent = text;
    };
    const pause = this.#saidAt + ANNOUNCE_MS - performance.now();
    if (isLast || pause <= 0) say();
    else this.#saying = setTimeout(say, pause);
  }

  /**
   * @protected
   * @param {string} name
   * @param {unknown} detail
   */
  dispatch(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  /**
   * @protected
   * @param {string} name
   */
  piece(name) {
    return /** @type {HTMLElement} */ (this.shadowRoot?.querySelector(`[part~=${name}]`));
  }
}
