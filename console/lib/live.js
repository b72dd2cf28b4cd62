/**
 * Changes of the user's own jobs: over the WebSocket, by polling while there is none, and not at all in a hidden tab or a
 * paused one. A listener gets each change, or a call to read again what it shows.
 */

/** @import { Job } from "../answers.js" */
/** @import { Api } from "./api.js" */

/** @typedef {import("../answers.js").Change} Change */
/** @typedef {"connecting" | "live" | "polling" | "paused" | "hidden"} Connection */
/** @typedef {{ onChange: (change: Change) => void, onStale: () => void }} Listener */

const POLL_MS = 4_000;
/** A WebSocket that the gateway finds idle for ten minutes is closed. */
const PING_MS = 240_000;
const LONGEST_PAUSE_MS = 30_000;
/** A tab that is hidden for a moment only keeps its connection. */
const HIDDEN_MS = 20_000;

export class Live {
  /** @type {Connection} */ connection = "connecting";
  /** @type {Set<Listener>} */ #listeners = new Set();
  /** @type {WebSocket | null} */ #socket = null;
  #paused = new AbortController();
  /** @type {AbortController | undefined} */ #connecting;
  isStarted = false;
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #hiding;

  /**
   * @param {Api} api
   * @param {{ hasSocket: boolean, onState: () => void }} options
   */
  constructor(api, { hasSocket, onState }) {
    this.api = api;
    this.hasSocket = hasSocket;
    this.onState = onState;
    document.addEventListener("visibilitychange", () => this.#onVisibility());
    addEventListener("online", () => this.connection === "polling" && this.#connect());
    setInterval(() => this.connection === "polling" && this.#tellStale(), POLL_MS);
    setInterval(() => this.#socket?.readyState === 1 && this.#socket.send('{"action":"ping"}'), PING_MS);
  }

  /**
   * @param {Listener} listener
   * @returns {() => void} what ends it
   */
  watch(listener) {
    this.#listeners.add(listener);
    if (!this.isStarted) {
      this.isStarted = true;
      void this.#connect();
    }
    return () => this.#listeners.delete(listener);
  }

  /** Aborted while the user has paused all changes. */
  get paused() {
    return this.#paused.signal;
  }

  togglePause() {
    this.isStarted = true;
    if (this.paused.aborted) {
      this.#paused = new AbortController();
      void this.#resume();
    } else {
      this.#paused.abort();
      this.#disconnect("paused");
    }
  }

  #onVisibility() {
    clearTimeout(this.#hiding);
    if (this.paused.aborted || !this.isStarted) return;
    if (document.hidden) this.#hiding = setTimeout(() => this.#disconnect("hidden"), HIDDEN_MS);
    else if (this.connection === "hidden") void this.#resume();
  }

  async #resume() {
    this.#tellStale();
    await this.#connect();
  }

  /** @param {Connection} connection */
  #disconnect(connection) {
    clearTimeout(this.#retry);
    this.#connecting?.abort();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#set(connection);
  }

  async #connect() {
    clearTimeout(this.#retry);
    if (!this.hasSocket) return this.#set("polling");
    if (this.connection === "paused" || this.connection === "hidden") this.#set("connecting");
    this.#connecting?.abort();
    const { signal } = (this.#connecting = new AbortController());
    try {
      const { url } = await this.api.post("tickets", { scope: "owner", use: "connect" }, { signal });
      if (signal.aborted) return;
      const socket = new WebSocket(url ?? "");
      this.#socket?.close();
      this.#socket = socket;
      socket.onopen = () => socket.send('{"action":"watch","scope":"owner"}');
      socket.onmessage = ({ data }) => this.#socket === socket && this.#receive(JSON.parse(data));
      socket.onclose = () => this.#socket === socket && this.#lost();
    } catch {
      if (!signal.aborted) this.#lost();
    }
  }

  #lost() {
    this.#socket = null;
    this.#set("polling");
    const pause = Math.min(LONGEST_PAUSE_MS, 1_000 * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), pause);
  }

  /** @param {any} message */
  #receive({ type, changes = [], more, endsAt }) {
    if (type === "watching") {
      // What happened since the page was read.
      if (this.connection !== "live") this.#tellStale();
      this.#failures = 0;
      this.#set("live");
      clearTimeout(this.#retry);
      // The next connection is made before this one ends.
      this.#retry = setTimeout(() => this.#connect(), Math.max(30_000, Date.parse(endsAt) - Date.now() - 30_000));
    } else if (type === "problem") {
      this.hasSocket = false;
      this.#disconnect("polling");
    }
    for (const change of changes) for (const listener of [...this.#listeners]) listener.onChange(change);
    if (more) this.#tellStale();
  }

  #tellStale() {
    for (const listener of [...this.#listeners]) listener.onStale();
  }

  /** @param {Connection} connection */
  #set(connection) {
    if (this.connection === connection) return;
    this.connection = connection;
    this.onState();
  }
}

/**
 * Return the record with a change applied, or null if the change is no news.
 * @template {Job} Known
 * @param {Known} job
 * @param {Change} change
 * @returns {Known | null}
 */
export function changed(job, change) {
  if (change.seq <= (job.seq ?? 0)) return null;
  const { seq, at, status, progress, message, attempt, type, code } = change;
  const next = { ...job, seq, status, progress, message, attempt, updatedAt: at };
  if (type === "started") next.startedAt = at;
  if (type === "retried") Object.assign(next, { endedAt: null, startedAt: null, error: null, createdAt: job.createdAt });
  if (["COMPLETED", "FAILED", "CANCELLED"].includes(status)) next.endedAt = at;
  if (code && job.error?.code !== code) next.error = { code, message: "" };
  return next;
}
