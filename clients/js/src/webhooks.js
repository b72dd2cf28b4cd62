/** Verify that a webhook comes from the API (Standard Webhooks 1.0). Servers alone need it, so it is not in the bundle of a page. */

import { AsyncjobsError } from "./errors.js";

const TOLERANCE_SECONDS = 300;

/** A webhook whose signature is invalid, or whose time is too far off. */
export class InvalidWebhook extends AsyncjobsError {}
InvalidWebhook.prototype.name = "InvalidWebhook";

/**
 * Return the event of a webhook, or reject with `InvalidWebhook`. Give the body as it was received, byte for byte.
 * @param {string | Uint8Array} body
 * @param {Headers | Record<string, string | string[] | undefined>} headers
 * @param {string | string[]} secret `whsec_...`; two while a secret is replaced
 * @param {{ toleranceSeconds?: number, now?: Date }} [options]
 * @returns {Promise<any>}
 */
export async function verifyWebhook(body, headers, secret, { toleranceSeconds = TOLERANCE_SECONDS, now = new Date() } = {}) {
  const given = new Headers(/** @type {HeadersInit} */ (headers));
  const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map((name) => given.get(`webhook-${name}`));
  if (!id || !timestamp || !signatures) throw new InvalidWebhook("A webhook-... header is missing");
  if (!(Math.abs(now.getTime() / 1000 - Number(timestamp)) <= toleranceSeconds)) {
    throw new InvalidWebhook("The webhook's time is too far off. Check this server's clock");
  }
  const text = typeof body === "string" ? body : new TextDecoder().decode(body);
  const signed = new TextEncoder().encode(`${id}.${timestamp}.${text}`);
  for (const each of [secret].flat()) {
    const key = await crypto.subtle.importKey("raw", bytesOf(each.replace(/^whsec_/, "")), HMAC, false, ["verify"]);
    for (const signature of signatures.split(" ")) {
      const [version, value] = signature.split(",");
      // `verify` takes as long for every wrong signature.
      if (version === "v1" && value && (await crypto.subtle.verify(HMAC, key, bytesOf(value), signed))) return JSON.parse(text);
    }
  }
  throw new InvalidWebhook("No signature of the webhook is valid. Check the secret");
}

const HMAC = { name: "HMAC", hash: "SHA-256" };

/**
 * Return the bytes of a base64 text; none if it is invalid.
 * @param {string} base64
 */
function bytesOf(base64) {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}
