/**
 * Sign-in by an authorization code with PKCE. Tokens stay in memory: in this page, and in a worker that outlives a reload.
 * Only the verifier of a sign-in under way is stored, for the page to which it returns.
 */

import { ROOT, SIGN_IN_PAGE, config } from "./config.js";

/** A token is renewed this long before it expires: a request may take as long. */
const EARLY_MS = 60_000;
/** Browsers end an idle worker after 30 s. */
const HOLD_MS = 12_000;
/** A worker that is there answers in milliseconds, unless the machine is busy. */
const WORKER_ANSWERS_MS = 3_000;
const PENDING = "asyncjobs.sign-in";

/** @typedef {{ access: string, refresh: string | undefined, id: string | undefined, expiresAt: number }} Tokens */

/** The user has to sign in again. */
export class SessionEnded extends Error {}

export class Session {
  /** @type {Tokens | null} */ #tokens = null;
  /** @type {Promise<string> | undefined} */ #renewal;
  /** @type {ServiceWorker | null} */ #worker = null;

  /** @param {() => void} onEnd called once when the session cannot be renewed */
  constructor(onEnd) {
    this.onEnd = onEnd;
    // A sign-out holds for every tab, which would otherwise hand its tokens to the worker again.
    this.tabs = new BroadcastChannel("asyncjobs.session");
    this.tabs.onmessage = () => {
      this.#tokens = null;
      onEnd();
    };
  }

  /** The claims of the access token: for what the page shows. The API decides by its own check. */
  get claims() {
    try {
      const part = this.#tokens?.access.split(".")[1] ?? "";
      return JSON.parse(new TextDecoder().decode(bytesOf(part)));
    } catch {
      return {};
    }
  }

  get userName() {
    const { username, preferred_username: preferred, email, sub } = this.claims;
    return username ?? preferred ?? email ?? sub ?? "";
  }

  /**
   * Find the session, or finish the sign-in that returns to this page. Return the path to go on at; null without a session.
   * @returns {Promise<string | null>}
   */
  async start() {
    await this.#startWorker();
    const query = new URLSearchParams(location.search);
    const isReturn = location.pathname === SIGN_IN_PAGE.pathname;
    if (isReturn && query.has("error")) throw new Error(query.get("error_description") ?? query.get("error") ?? "");
    if (isReturn && query.has("code")) return this.#finish(query);
    const held = await this.#heldTokens();
    if (!held) return null;
    this.#tokens = held;
    return isReturn ? "jobs" : "";
  }

  /**
   * Go to the sign-in page, which returns to a path of the console.
   * @param {string} to
   */
  async signIn(to) {
    const { signIn } = config;
    if (!signIn) throw new Error("No sign-in");
    const [state, verifier] = [random(), random()];
    sessionStorage.setItem(PENDING, JSON.stringify({ state, verifier, to }));
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
    const url = new URL(signIn.authorize, location.origin);
    const parameters = {
      response_type: "code",
      client_id: signIn.clientId,
      redirect_uri: SIGN_IN_PAGE.href,
      scope: signIn.scope,
      state,
      code_challenge: base64url(new Uint8Array(digest)),
      code_challenge_method: "S256",
      ...(signIn.audience && { audience: signIn.audience }),
    };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    location.assign(url);
  }

  /** Forget the tokens here and in every tab, and end the session of the sign-in page. */
  async signOut() {
    const { signIn } = config;
    const id = this.#tokens?.id;
    this.#keep(null);
    this.tabs.postMessage("signed out");
    if (!signIn?.signOut) return location.assign(SIGN_IN_PAGE);
    const url = new URL(signIn.signOut, location.origin);
    // Cognito's name and that of OpenID Connect.
    url.searchParams.set("client_id", signIn.clientId);
    url.searchParams.set("logout_uri", SIGN_IN_PAGE.href);
    url.searchParams.set("post_logout_redirect_uri", SIGN_IN_PAGE.href);
    if (id && !signIn.urls) url.searchParams.set("id_token_hint", id);
    location.assign(url);
  }

  /** Return an access token that is valid for a minute at least. The API's client gets another one when it was refused. */
  token = async () => {
    if (!this.#tokens) throw new SessionEnded("Sign in again");
    if (Date.now() < this.#tokens.expiresAt - EARLY_MS) return this.#tokens.access;
    this.#renewal ??= this.#renew().finally(() => (this.#renewal = undefined));
    return this.#renewal;
  };

  /** Renew the token at the next request, since the API has refused it. */
  expire() {
    if (this.#tokens) this.#tokens.expiresAt = 0;
  }

  async #renew() {
    const refresh = this.#tokens?.refresh;
    try {
      if (!refresh) throw new SessionEnded("Sign in again");
      const answer = await exchange({ grant_type: "refresh_token", refresh_token: refresh });
      this.#keep(tokensOf(answer, this.#tokens));
      return this.#tokens?.access ?? "";
    } catch (error) {
      if (!(error instanceof SessionEnded)) throw error;
      this.#keep(null);
      this.onEnd();
      throw error;
    }
  }

  /** @param {URLSearchParams} query */
  async #finish(query) {
    const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null");
    sessionStorage.removeItem(PENDING);
    // A page that is loaded again with a used code, or a link that somebody else made.
    if (!pending || pending.state !== query.get("state")) {
      this.#tokens = await this.#heldTokens();
      return this.#tokens ? "jobs" : null;
    }
    const answer = await exchange({
      grant_type: "authorization_code",
      code: query.get("code") ?? "",
      redirect_uri: SIGN_IN_PAGE.href,
      code_verifier: pending.verifier,
    });
    this.#keep(tokensOf(answer, null));
    return pending.to || "jobs";
  }

  /** @param {Tokens | null} tokens */
  #keep(tokens) {
    this.#tokens = tokens;
    this.#worker?.postMessage({ type: "hold", tokens });
  }

  async #startWorker() {
    if (!navigator.serviceWorker) return;
    try {
      const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("session-worker", { createScriptURL: (/** @type {string} */ url) => url });
      const url = new URL(`${config.files}session_worker.js`, ROOT).href;
      const script = /** @type {string} */ (/** @type {unknown} */ (policy?.createScriptURL(url) ?? url));
      const registration = await navigator.serviceWorker.register(script, { scope: ROOT.pathname });
      this.#worker = registration.active ?? registration.waiting ?? registration.installing;
    } catch {
      return; // without it, a reload goes through the sign-in page
    }
    const hold = () => this.#tokens && this.#worker?.postMessage({ type: "hold", tokens: this.#tokens });
    setInterval(hold, HOLD_MS);
    document.addEventListener("visibilitychange", hold);
    addEventListener("pagehide", hold);
  }

  /** @returns {Promise<Tokens | null>} */
  async #heldTokens() {
    const worker = this.#worker;
    if (!worker) return null;
    const { port1, port2 } = new MessageChannel();
    const answer = new Promise((resolve) => {
      port1.onmessage = ({ data }) => resolve(data);
      setTimeout(() => resolve(null), WORKER_ANSWERS_MS);
    });
    worker.postMessage({ type: "get" }, [port2]);
    return /** @type {Promise<Tokens | null>} */ (answer);
  }
}

/** @param {Record<string, string>} form */
async function exchange(form) {
  const { signIn } = config;
  if (!signIn) throw new Error("No sign-in");
  const answer = await fetch(new URL(signIn.token, location.origin), {
    method: "POST",
    body: new URLSearchParams({ ...form, client_id: signIn.clientId }),
    credentials: "omit",
  });
  if (answer.status === 400 || answer.status === 401) throw new SessionEnded("The issuer refused the token");
  if (!answer.ok) throw new Error(`The issuer answered with status ${answer.status}`);
  return answer.json();
}

/**
 * @param {any} answer
 * @param {Tokens | null} earlier
 * @returns {Tokens}
 */
function tokensOf(answer, earlier) {
  return {
    access: answer.access_token,
    refresh: answer.refresh_token ?? earlier?.refresh,
    id: answer.id_token ?? earlier?.id,
    expiresAt: Date.now() + (answer.expires_in ?? 300) * 1000,
  };
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @param {string} text */
function bytesOf(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
}
