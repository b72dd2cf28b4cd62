/** Requests of the API with the session's token, by the JavaScript client's connection: limits, repetitions and errors. */

import { Http } from "../client/http.js";
import { API } from "./config.js";

/** @import { Posted, Read } from "../answers.js" */
/** @import { Session } from "./session.js" */

export class Api {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    this.http = new Http({ baseUrl: API });
  }

  /**
   * Return the answer, which has the type of its path. A path with an id has none: name the type where it matters.
   * @template {string} Path
   * @param {Path} path
   * @param {{ query?: Record<string, any>, signal?: AbortSignal, retries?: number }} [options]
   * @returns {Promise<Path extends keyof Read ? Read[Path] : any>}
   */
  async get(path, options) {
    return (await this.#send("GET", path, options)).data;
  }

  /**
   * @template {string} Path
   * @param {Path} path
   * @param {unknown} [body]
   * @param {{ query?: Record<string, any>, headers?: Record<string, string>, signal?: AbortSignal }} [options]
   * @returns {Promise<Path extends keyof Posted ? Posted[Path] : any>}
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
   * @param {{ query?: Record<string, any>, headers?: Record<string, string>, signal?: AbortSignal }} [options]
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
