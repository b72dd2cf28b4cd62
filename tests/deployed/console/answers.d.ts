/** What the API answers, by its document: the types that comments of the console name. No page loads this file. */

import type { components, paths } from "./openapi.js";

type Schemas = components["schemas"];

/** A job after a change has the code of its error only, until its record is read. */
type Shown<Record extends { error: unknown }> = Omit<Record, "error"> & {
  error: (Pick<Schemas["JobError"], "code" | "message"> & Partial<Schemas["JobError"]>) | null;
};
export type Job = Shown<Schemas["AsyncJob"]>;
export type AdminJob = Shown<Schemas["AdminJob"]>;
export type JobEvent = Schemas["Event"];
/** An event of one of the user's jobs, as the WebSocket sends it. */
export type Change = JobEvent & { asyncJobId: string };

export type JobType = Schemas["JobType"];
export type Webhook = Schemas["Webhook"];
export type Queues = Schemas["Queues"];
export type Queue = Queues["queues"][number];
export type FailedGroup = Schemas["FailedGroups"]["groups"][number];
export type TypeFigures = Schemas["AdminTypes"]["types"][number];
export type AuditRecord = Schemas["AuditPage"]["records"][number];
export type DeadLetter = Schemas["RedriveAnswer"]["letters"][number];
export type InputProblem = Schemas["InputProblem"];

type Body<Content> = { content: { "application/json": Content } };
type Relative<Path> = Path extends `/${infer Rest}` ? Rest : never;

/** The answers to GET, by path. */
export type Read = {
  [Path in keyof paths as Relative<Path>]: paths[Path] extends { get: { responses: { 200: Body<infer Answer> } } } ? Answer : never;
};
/** The answers to POST, by path. */
export type Posted = {
  [Path in keyof paths as Relative<Path>]: paths[Path] extends { post: { responses: { 200: Body<infer Answer> } } }
    ? Answer
    : paths[Path] extends { post: { responses: { 201: Body<infer Answer> } } }
      ? Answer
      : never;
};
