/** Requests of the API with the session's token, by the JavaScript client's connection: limits, repetitions and errors. */

import { Http } from "../client/http.js";
import { API } from "./config.js";

/** @import { Session } from "./session.js" */

export class Api {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    this.http = new Http({ baseUrl: API });
  }

  /**
   * @param {string} path
   * @param {{ query?: Record<string, any>, signal?: AbortSignal, retries?: number }} [options]
   */
  async get(path, options) {
    return (await this.#send("GET", path, options)).data;
  }

  /**
   * @param {string} path
   * @param {unknown} [body]
   * @param {{ query?: Record<string, any>, headers?: Record<string, string> }} [options]
   */
  async post(path, body, options) {
    return (await this.#send("POST", path, { ...options, body: body === undefined ? undefined : JSON.stringify(body) })).data;
  }

  /**
   * @param {string} path
   * @param {{ query?: Record<string, any> }} [options]
   */
  async delete(path, options) {
    await this.#send("DELETE", path, options);
  }

  /**
   * @param {string} path
   * @param {{ query?: Record<string, any>, headers?: Record<string, string> }} [options]
   */
  async text(path, options) {
    return (await this.#send("GET", path, options)).text;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {any} [options]
   */
  async #send(method, path, options = {}) {
    const token = await this.session.token();
    try {
      return await this.http.send(method, path, { retries: method === "GET" ? 2 : 0, ...options, token });
    } catch (/** @type {any} */ error) {
      if (error.status !== 401) throw error;
      this.session.expire();
      return this.http.send(method, path, { retries: 0, ...options, token: await this.session.token() });
    }
  }
}
