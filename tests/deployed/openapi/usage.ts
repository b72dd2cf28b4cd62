// What a program in TypeScript relies on: this file compiles with the types that openapi-typescript makes of the document.
import type { components, operations, paths } from "./api";

type Job = components["schemas"]["AsyncJob"];
type Problem = components["schemas"]["Problem"];
type Answer<Name extends keyof operations, Status extends keyof operations[Name]["responses"]> =
  operations[Name]["responses"][Status] extends { content: infer Content } ? Content : never;

export const submit: components["schemas"]["SubmitRequest"] = {
  jobType: "text.search",
  input: { query: "lease", limit: 10, caseSensitive: false },
  metadata: { order: 7 },
  priority: "high",
};
export const tracked: components["schemas"]["SubmitRequest"] = { message: "Waiting for the worker" };
export const query: NonNullable<paths["/search"]["get"]["parameters"]["query"]> = { query: "lease" };

// @ts-expect-error There is no such priority.
export const invalid: components["schemas"]["SubmitRequest"] = { jobType: "text.search", input: { query: "x" }, priority: "urgent" };

export function describe(job: Job): string {
  if (job.error) return `${job.error.code}: ${job.error.message}`;
  const ends: string | null = job.estimatedEndAt;
  return `${job.status} ${job.progress} % ${ends ?? ""} ${job.workerToken ?? ""}`;
}

export function reason(problem: Answer<"getJobResult", 409>["application/problem+json"]): string {
  const known: Problem = problem;
  switch (problem.code) {
    case "JOB_NOT_COMPLETED":
      return "wait";
    case "JOB_FAILED":
      return known.error?.message ?? "failed";
    case "JOB_CANCELLED":
      return "cancelled";
    default: {
      const nothing: undefined = problem.code;
      return nothing ?? known.title;
    }
  }
}

export const accepted = (answer: Answer<"submitJob", 202>["application/json"]): string => describe(answer);
export const found = (answer: Answer<"getSearch", 200>["application/json"]): unknown => answer;
export const throttled = (answer: Answer<"getJob", 429>["application/json"]): string | null | undefined => answer.message;
