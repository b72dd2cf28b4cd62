/** Every error of the client. Those of a wait carry the job, which goes on: `client.job(error.job.id)` waits again. */

/** @import { InvalidPlace, Job, JobFailure } from "./types.js" */

/** The root of all errors. */
export class AsyncjobsError extends Error {
  /** The job that the request was about. @type {string | undefined} */
  asyncJobId;
  /** Whether an earlier try of the request may have taken effect. */
  repeated = false;
}

/** The API could not be reached, or its answer was cut. `cause` has the reason. */
export class ApiConnectionError extends AsyncjobsError {
  /** Whether something else has answered: to try again brings the same. */
  isFinal = false;
}

/** The API did not answer within `timeoutMs`. */
export class ApiTimeout extends ApiConnectionError {}

/** What to do about a refusal of the gateway, which says only that it has refused. @type {Record<number, string>} */
const ADVICE = {
  401: "The token is wrong, or has expired",
  403: "Check baseUrl and the token's scope",
  404: "Check baseUrl",
};

/** The API refused a request. `detail` says what to do. */
export class ApiError extends AsyncjobsError {
  /**
   * @param {number} status
   * @param {Record<string, any>} problem
   * @param {Headers} [headers]
   */
  constructor(status, problem = {}, headers) {
    const title = problem.title ?? problem.message ?? `HTTP status ${status}`;
    const detail = problem.detail ?? (problem.message && ADVICE[status]);
    const errors = problem.errors ?? [];
    const places = errors.map((/** @type {InvalidPlace} */ each) => `\n${each.pointer}: ${each.detail}`);
    super([detail ? `${title}. ${detail}` : title, ...places].join(""));
    this.status = status;
    /** The error, for programs; undefined for an error of the gateway. @type {string | undefined} */
    this.code = problem.code;
    /** @type {string} */
    this.title = title;
    /** @type {string | undefined} */
    this.detail = detail;
    /** The invalid places of the request. @type {InvalidPlace[]} */
    this.errors = errors;
    this.asyncJobId = problem.asyncJobId;
    /** Why the job failed, if that is the error. @type {JobFailure | undefined} */
    this.error = problem.error ?? undefined;
    /** @type {string | undefined} */
    this.requestId = problem.requestId ?? headers?.get("apigw-requestid") ?? undefined;
    this.retryAfterMs = retryAfterMs(headers);
  }
}

export class BadRequest extends ApiError {}
export class Unauthorized extends ApiError {}
export class Forbidden extends ApiError {}
/** The job does not exist, belongs to another owner, or has expired. */
export class NotFound extends ApiError {}
export class Conflict extends ApiError {}
/** The idempotency key belongs to another request. */
export class KeyReused extends ApiError {}
export class RateLimited extends ApiError {}
/** The API failed, or is too busy. */
export class Unavailable extends ApiError {}

/** A wait that did not bring a result. */
export class JobError extends AsyncjobsError {
  /**
   * @param {string} message
   * @param {Job} job
   */
  constructor(message, job) {
    super(message);
    this.job = job;
    this.asyncJobId = job.id;
  }
}

/** The job failed. `error` has its code and message. */
export class JobFailed extends JobError {
  /**
   * @param {Job} job
   * @param {JobFailure | null} [error]
   */
  constructor(job, error = job.error) {
    super(error ? `${error.code}: ${error.message}` : `The job ended as ${job.status}`, job);
    this.error = error;
  }

  /** The reason, for programs. A job that ended in a way that this client does not know has its status. */
  get code() {
    return this.error?.code ?? this.job.status;
  }
}

/** The job was cancelled. */
export class JobCancelled extends JobError {}

/** The job had not ended within `giveUpMs`. It goes on. */
export class GaveUp extends JobError {}

// A bundler shortens the names of classes, and people read these in logs.
const NAMED = {
  ...{ AsyncjobsError, ApiConnectionError, ApiTimeout, ApiError, BadRequest, Unauthorized, Forbidden, NotFound, Conflict },
  ...{ KeyReused, RateLimited, Unavailable, JobError, JobFailed, JobCancelled, GaveUp },
};
for (const [name, Kind] of Object.entries(NAMED)) Kind.prototype.name = name;

/** @type {Record<number, typeof ApiError>} */
const BY_STATUS = {
  400: BadRequest,
  401: Unauthorized,
  403: Forbidden,
  404: NotFound,
  409: Conflict,
  422: KeyReused,
  429: RateLimited,
};

/**
 * Return the error that an answer stands for. Its text may be empty, or a proxy's page.
 * @param {number} status
 * @param {Headers} headers
 * @param {string} text
 */
export function errorOf(status, headers, text) {
  const Kind = BY_STATUS[status] ?? (status >= 500 ? Unavailable : ApiError);
  let problem;
  try {
    problem = JSON.parse(text);
  } catch {
    // The status has to do.
  }
  return new Kind(status, Object(problem), headers);
}

/**
 * Return an answer's data, which has a member if the answer is the API's. An error of another one is final.
 * @param {any} data
 * @param {string} member
 */
export function checked(data, member) {
  if (!data?.[member]) throw Object.assign(new ApiConnectionError("No asyncjobs API: check baseUrl"), { isFinal: true });
  return data;
}

/**
 * Return whether a request that failed so may succeed later.
 * @param {any} error
 */
export function isTransient(error) {
  if (error instanceof ApiConnectionError) return !error.isFinal;
  // A 500 with a code is the API's own word: the request may have taken effect, or the job has failed.
  return [408, 429, 502, 503, 504].includes(error.status) || (error.status === 500 && !error.code);
}

/**
 * Return the milliseconds that an answer's `Retry-After` has, as a number of seconds or a date.
 * @param {Headers | undefined} headers
 */
export function retryAfterMs(headers) {
  const text = headers?.get("retry-after");
  if (!text) return undefined;
  // A date is read against the answer's own clock: that of this machine may be wrong.
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.parse(headers?.get("date") ?? "");
  return ms >= 0 ? ms : undefined;
}
