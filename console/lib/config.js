/** What the function wrote into the page, and the URLs that follow from it. */

const found = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("config")).textContent ?? "{}");

/**
 * @typedef {object} SignIn
 * @property {string} authorize
 * @property {string} token
 * @property {string | null} signOut
 * @property {string} clientId
 * @property {string} scope
 * @property {string[] | null} urls the pages to which the issuer returns, where they are known
 * @property {string | null} audience
 */

/** @type {{ application: string, files: string, isConfigured: boolean, hasSocket: boolean, signIn: SignIn | null }} */
export const config = found;

/** The folder of the console: each of its paths is relative to it. */
export const ROOT = new URL(document.baseURI);
/** The API, beside the console, behind whatever stage or base path. */
export const API = new URL("../api/v1/", ROOT);
/** The page to which a sign-in and a sign-out return. */
export const SIGN_IN_PAGE = new URL("sign-in", ROOT);
