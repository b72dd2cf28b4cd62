/** The signature of a webhook. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";

import { InvalidWebhook, verifyWebhook } from "@asyncjobs/client/webhooks";

const SECRET = `whsec_${Buffer.from("a secret of this test, 24 bytes +").toString("base64")}`;
const BODY = '{"type":"job.completed","data":{"message":"größer"}}';
const NOW = new Date(1_800_000_000_000);

/** @param {{ secret?: string, seconds?: number, body?: string }} [changed] */
function signed({ secret = SECRET, seconds = 0, body = BODY } = {}) {
  const timestamp = NOW.getTime() / 1000 + seconds;
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(`msg_1.${timestamp}.${body}`).digest("base64");
  return { "webhook-id": "msg_1", "webhook-timestamp": String(timestamp), "webhook-signature": `v1,${signature}` };
}

test("a signed webhook is its event, from text and from bytes", async () => {
  assert.equal((await verifyWebhook(BODY, signed(), SECRET, { now: NOW })).type, "job.completed");
  assert.equal((await verifyWebhook(new TextEncoder().encode(BODY), new Headers(signed()), SECRET, { now: NOW })).type, "job.completed");
});

test("one valid signature of several is enough while a secret is replaced", async () => {
  const other = `whsec_${Buffer.from("another secret of this test, too").toString("base64")}`;
  const headers = signed();
  headers["webhook-signature"] = `v1a,x v1,AAAA ${headers["webhook-signature"]}`;
  assert.ok(await verifyWebhook(BODY, headers, [other, SECRET], { now: NOW }));
});

/** @type {Record<string, [string, Record<string, string>, string]>} */
const INVALID = {
  "another body": [BODY.replace("completed", "failed"), signed(), SECRET],
  "another secret": [BODY, signed({ secret: `whsec_${Buffer.from("not this one").toString("base64")}` }), SECRET],
  "an old time": [BODY, signed({ seconds: -301 }), SECRET],
  "a time in the future": [BODY, signed({ seconds: 301 }), SECRET],
  "another time than the signed one": [BODY, { ...signed(), "webhook-timestamp": String(NOW.getTime() / 1000 + 1) }, SECRET],
  "another id than the signed one": [BODY, { ...signed(), "webhook-id": "msg_2" }, SECRET],
  "a time that is none": [BODY, { ...signed(), "webhook-timestamp": "soon" }, SECRET],
  "no signature": [BODY, { "webhook-id": "msg_1", "webhook-timestamp": "1" }, SECRET],
  "a signature that is not base64": [BODY, { ...signed(), "webhook-signature": "v1,???" }, SECRET],
};
for (const [what, [body, headers, secret]] of Object.entries(INVALID)) {
  test(`a webhook with ${what} is rejected`, async () => {
    await assert.rejects(
      verifyWebhook(body, headers, secret, { now: NOW }),
      (error) => error instanceof InvalidWebhook && error.name === "InvalidWebhook",
    );
  });
}
