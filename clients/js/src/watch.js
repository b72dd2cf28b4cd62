/** Follow one job for a page: pause while the page is hidden, go on by itself, and show each state once. */

/** @import { Client, Job } from "./types.js" */

/**
 * @typedef {"idle" | "live" | "polling" | "paused" | "closed"} WatchConnection
 *
 * @typedef {object} WatchState
 * @property {Job | null} job
 * @property {WatchConnection} connection
 * @property {any} error why the job cannot be followed any more; null while it can
 */

/** @type {WatchState} */
const IDLE = { job: null, connection: "idle", error: null };

/** One job that a page follows. `subscribe` and `snapshot` are those of React's `useSyncExternalStore`. */
export class JobWatch {
  /** @type {WatchState} */ #state;
  /** @type {Set<() => void>} */ #listeners = new Set();
  /** @type {AbortController | undefined} */ #wait;

  /**
   * @param {Client} client
   * @param {string} id
   * @param {Job | null} [job] its state, if it is known
   */
  constructor(client, id, job = null) {
    this.client = client;
    this.id = id;
    this.#state = { ...IDLE, job };
  }

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
   * Follow the job from a state on: after its owner has cancelled or retried it, from that of the answer.
   * @param {Job | null} [job]
   */
  restart = (job = this.#state.job) => {
    this.#stop();
    if (job !== this.#state.job) this.#set({ job });
    if (!this.#listeners.size) return;
    if (globalThis.document?.hidden) return this.#set({ connection: "paused" });
    this.#wait = new AbortController();
    void this.#follow(job ?? this.client.job(this.id), this.#wait.signal);
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

  /**
   * @param {Job} job
   * @param {AbortSignal} signal
   */
  async #follow(job, signal) {
    const onConnection = (/** @type {WatchConnection} */ connection) => this.#set({ connection }, signal);
    try {
      for await (const each of job.updates({ giveUpMs: Infinity, signal, onConnection })) this.#set({ job: each }, signal);
      this.#set({ connection: "closed", error: null }, signal);
    } catch (error) {
      this.#set({ connection: "closed", error }, signal);
    }
  }

  /**
   * @param {Partial<WatchState>} news
   * @param {AbortSignal} [signal] that of the wait which brought them
   */
  #set(news, signal) {
    if (signal?.aborted) return;
    this.#state = { ...this.#state, ...news };
    for (const listener of this.#listeners) listener();
  }
}
