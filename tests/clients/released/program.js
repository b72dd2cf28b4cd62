/** What a user of the JavaScript client wrote for its last release: each verb at least once. It prints what it got. */

import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { BadRequest, GaveUp, JobCancelled, JobFailed, NotFound, createClient } from "@asyncjobs/client";

const caught = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("There was no error");
};
const check = (condition) => {
  if (!condition) throw new Error("Another error was expected");
};

const found = { client: fileURLToPath(import.meta.resolve("@asyncjobs/client")) };
const jobs = createClient({ webSocket: null });
found.types = (await jobs.types()).some(({ jobType }) => jobType === "text.search");
found.quick = (await jobs.run("text.search", { query: "lease", limit: 1 })).matches.length > 0;

const seen = [];
found.slow = await jobs.run("sample.works", { seconds: 3 }, { onUpdate: (job) => seen.push(job) });
const progress = seen.map((job) => job.progress);
found.updates = [progress.every((each, index) => !index || each >= progress[index - 1]), seen.at(-1).status, new Set(seen.map(({ id }) => id)).size];
const events = [];
for await (const event of jobs.job(seen[0].id).events()) events.push(event.type);
found.events = events.length > 0;

const first = await jobs.submit("sample.returns", {}, { key: "of-the-release" });
const again = await jobs.submit("sample.returns", {}, { key: "of-the-release" });
found.key = [first.id === again.id, again.replayed, (await first.wait()).status, (await jobs.get(first.id)).ended];
found.list = [];
for await (const job of jobs.list({ limit: 2 })) found.list.push(job.data.jobType);

const failed = await caught(jobs.run("sample.gives_up"));
check(failed instanceof JobFailed);
found.failed = [failed.code, "FAILED", (await (await (await jobs.get(failed.asyncJobId)).retry()).wait()).status];

const gaveUp = await caught(jobs.run("sample.works", { seconds: 60 }, { giveUpMs: 500 }));
check(gaveUp instanceof GaveUp);
const job = jobs.job(gaveUp.job.id);
found.left = [(await job.cancel()).status, (await caught(job.result())) instanceof JobCancelled];
await job.delete();
const missing = await caught(job.refresh());
found.deleted = [missing instanceof NotFound, missing.code];

const large = await (await jobs.submit("sample.streams", { size: 3000 })).wait();
const file = join(await mkdtemp(join(tmpdir(), "released-")), "result");
await large.download(file);
found.download = (await readFile(file)).length;
found.result = (await large.result()).length;

found.upload = (await jobs.upload(new Blob(["%PDF-"], { type: "application/pdf" }))).startsWith("uploads/");
const invalid = await caught(jobs.submit("text.search", { query: 7 }));
check(invalid instanceof BadRequest);
found.invalid = [invalid.code, invalid.errors[0].pointer];

const tracked = await jobs.tracked.create({ message: "Queued" });
await tracked.report({ progress: 10 });
const worker = jobs.tracked.worker(tracked.id, tracked.workerToken);
await worker.report({ progress: 50, message: "Half" });
await worker.report({ status: "COMPLETED", result: { rows: 7 } });
found.tracked = await jobs.job(tracked.id).result();
console.log(JSON.stringify(found));
