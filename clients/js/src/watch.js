/** Follow jobs for a page: pause while the page is hidden, go on by itself, and show each state once. */

/** @import { Client, Job } from "./types.js" */

/**
 * @typedef {"idle" | "live" | "polling" | "paused" | "closed"} WatchConnection
 *
 * @typedef {object} Followed
 * @property {WatchConnection} connection
 * @property {any} error why it cannot be followed any more; null while it can
 */

/** @type {Followed} */
const IDLE = { connection: "idle", error: null };

/**
 * What a page follows. `subscribe` and `snapshot` are those of React's `useSyncExternalStore`.
 * @template {object} State
 */
export class Watch {
  /** @type {State & Followed} */ #state;
  /** @type {Set<() => void>} */ #listeners = new Set();
  /** @type {AbortController | undefined} */ #wait;

  /** @param {State} state */
  constructor(state) {
    this.#state = { ...IDLE, ...state };
  }

  /**
   * Set what is new until the end, or until the signal is aborted. Each kind of watch does that in its own way.
   * @param {(news: Partial<State & Followed>) => void} _set
   * @param {AbortSignal} _signal
   */
  async follow(_set, _signal) {}

  snapshot = () => this.#state;

  /** @param {() => void} listener */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#open();
    return () => {
      this.#listeners.delete(listener);
      if (!this.#listeners.size) this.#close();
    };
  };

  /**
   * Follow from the present state on, or from another one: after the owner has cancelled or retried the job, from that of the answer.
   * @param {Partial<State & Followed>} [news]
   */
  restart = (news) => {
    this.#stop();
    if (news) this.#set(news);
    if (!this.#listeners.size) return;
    if (globalThis.document?.hidden) this.#set(/** @type {Partial<State & Followed>} */ ({ connection: "paused" }));
    else void this.#run((this.#wait = new AbortController()).signal);
  };

  #open() {
    globalThis.document?.addEventListener("visibilitychange", this.#wake);
    globalThis.addEventListener?.("online", this.#wake);
    this.#wake();
  }

  #close() {
    globalThis.document?.removeEventListener("visibilitychange", this.#wake);
    globalThis.removeEventListener?.("online", this.#wake);
    this.#stop();
  }

  #stop() {
    this.#wait?.abort();
    this.#wait = undefined;
  }

  /** Nobody sees a hidden page, so it requests nothing. A page that is shown again, or back online, does not wait. */
  #wake = () => {
    if (this.#state.connection !== "closed") this.restart();
  };

  /** @param {AbortSignal} signal */
  async #run(signal) {
    // What a wait that was left brings is old.
    const set = (/** @type {any} */ news) => signal.aborted || this.#set(news);
    try {
      await this.follow(set, signal);
      set({ connection: "closed", error: null });
    } catch (error) {
      set({ connection: "closed", error });
    }
  }

  /** @param {Partial<State & Followed>} news */
  #set(news) {
    this.#state = { ...this.#state, ...news };
    for (const listener of this.#listeners) listener();
  }
}

/**
 * One job that a page follows.
 * @extends {Watch<{ job: Job | null }>}
 */
export class JobWatch extends Watch {
  /**
   * @param {Client} client
   * @param {string} id
   * @param {Job | null} [job] its state, if it is known
   */
  constructor(client, id, job = null) {
    super({ job });
    this.client = client;
    this.id = id;
  }

  /**
   * @param {(news: Partial<{ job: Job | null } & Followed>) => void} set
   * @param {AbortSignal} signal
   */
  async follow(set, signal) {
    const known = this.snapshot().job ?? this.client.job(this.id);
    const onConnection = (/** @type {WatchConnection} */ connection) => set({ connection });
    for await (const job of known.updates({ giveUpMs: Infinity, signal, onConnection })) set({ job });
  }
}
