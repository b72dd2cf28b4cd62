/** The types of the client: those of the wire, and what `openapi-typescript` makes of a deployment's document. */

/** A job's state. A later server may have more; `endedAt` says whether the job has ended. */
export type Status = "PENDING" | "IN_PROGRESS" | "COMPLETED" | "FAILED" | "CANCELLED" | (string & {});

/** Why a job failed. */
export interface JobFailure {
  code: string;
  message: string;
  type?: string;
  retryable?: boolean;
}

/** A job as the API sends it. */
export interface JobData<Output = unknown> {
  asyncJobId: string;
  jobType: string;
  status: Status;
  priority: string;
  progress: number;
  message: string | null;
  metadata: Record<string, unknown> | null;
  attempt: number;
  maxAttempts: number;
  createdAt: string;
  updatedAt: string;
  startedAt: string | null;
  endedAt: string | null;
  estimatedEndAt: string | null;
  recordExpiresAt: number;
  resultType: "INLINE" | "S3" | "URL" | (string & {}) | null;
  result: Output | null;
  resultLocation: string | null;
  error: JobFailure | null;
  /** Only in answers that issue it, of tracked jobs. It is not enumerable, so that no log and no JSON of a job has it. */
  workerToken?: string;
  queueDepth?: number;
  /** Raised by one with each visible change; earlier servers have none. */
  seq?: number;
}

/** A job type. */
export interface JobTypeData {
  jobType: string;
  description: string;
  inputSchema: Record<string, unknown>;
  outputSchema: Record<string, unknown>;
  expectedSeconds: number;
  tracked: boolean;
  timeoutSeconds: number;
  maxAttempts: number;
  priority: string;
  retentionSeconds: number;
}

/** A worker's or an owner's report on a tracked job. */
export interface Report {
  status?: "IN_PROGRESS" | "COMPLETED" | "FAILED";
  progress?: number;
  message?: string;
  result?: unknown;
  resultLocation?: string;
  error?: { code?: string; message: string };
}

/** An invalid place of a request. */
export interface InvalidPlace {
  pointer: string;
  detail: string;
}

/** A bearer token, or a function that returns a new one: it is called first, and again after a 401. */
export type Token = string | (() => string | Promise<string>);

/** Time, as the client reads it. */
export interface Clock {
  /** Return milliseconds that only grow. */
  now(): number;
  /** Wait. Reject with the signal's reason when it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal | null): Promise<void>;
}

export interface ClientOptions {
  /** The API's URL, with or without `/api/v1`. Without it: `ASYNCJOBS_URL`, in a page its own origin. */
  baseUrl?: string | URL;
  /** Without it: `ASYNCJOBS_TOKEN`. */
  token?: Token;
  /** In place of a token: a ticket (`POST /tickets`), with which a page reads jobs, and does nothing else. */
  ticket?: Token;
  /**
   * Return the answer to `POST /tickets` with `use` connect, which a page's own server has sent. With it, changes come to a
   * client with a ticket by themselves, too.
   */
  connect?: () => Promise<{ url: string }>;
  /** The time limit of one request, 30 s by default. The limit of a wait is `giveUpMs`. */
  timeoutMs?: number;
  /** How often a request is repeated, 4 times by default. */
  maxRetries?: number;
  /** Whether changes may come by themselves, where the server can do that. Otherwise the client only polls. */
  live?: boolean;
  /** The class of WebSockets, the platform's by default; with null, changes come by held requests. */
  webSocket?: typeof globalThis.WebSocket | null;
  fetch?: typeof globalThis.fetch;
  clock?: Clock;
}

export interface SignalOption {
  /** Ends the call, and never the job. */
  signal?: AbortSignal | null;
}

export interface SubmitOptions extends SignalOption {
  /** The idempotency key. Without it, the client makes one, so that a repeated request submits nothing twice. */
  key?: string;
  message?: string;
  metadata?: Record<string, unknown>;
  priority?: "high" | "standard" | "low" | (string & {});
  delaySeconds?: number;
  notBefore?: string | Date;
  retentionSeconds?: number;
  retentionFrom?: "CREATION" | "END";
  /** Hold the request for up to 20 s, until the job has ended. A held request costs as much as many polls. */
  waitSeconds?: number;
}

export type Connection = "live" | "polling";

export interface WaitOptions extends SignalOption {
  /** How long to wait: 5 minutes by default; `Infinity` waits without a limit. The job goes on. */
  giveUpMs?: number;
  /** Cancel the job when the wait gives up. If that fails, the reason is the `cause` of `GaveUp`. */
  cancelOnGiveUp?: boolean;
  /** How changes arrive. */
  onConnection?: (connection: Connection) => void;
}

export interface EventsOptions extends SignalOption {
  /** The number of the last event that the caller has. */
  after?: number;
}

/** A change of a job, as the API sends it. A later server may have other types and members. */
export interface JobEvent {
  seq: number;
  type: string;
  at: string;
  status?: Status;
  progress?: number;
  message?: string | null;
  attempt?: number;
  code?: string | null;
  /** What the job's code calls a `custom` event, and what it sends with it. */
  name?: string;
  data?: Record<string, unknown>;
  [member: string]: unknown;
}

export interface FollowOptions<Output = unknown> extends WaitOptions {
  /** Called with each change, the first time with the job as it is. */
  onUpdate?: (job: Job<Output>) => void;
}

export interface UploadOptions extends SignalOption {
  /** Without it, the type of the `Blob`, or `application/octet-stream`. */
  contentType?: string;
  onProgress?: (progress: { loaded: number; total: number }) => void;
}

export interface ListOptions extends SignalOption {
  status?: Status;
  jobType?: string;
  /** How many jobs at most. */
  limit?: number;
}

export type Uploadable = Blob | ArrayBuffer | ArrayBufferView | string;

// ── Types of a deployment ──────────────────────────────────────────────────────────────────────────

/** Any deployment: `createClient()` without types. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Anything = any;

type Body<Paths> = Paths extends {
  "/jobs": { post: { requestBody?: { content: { "application/json": infer Found } } } };
}
  ? Found
  : Anything;

type IsAny<T> = 0 extends 1 & T ? true : false;

/** The names of the job types. */
export type JobTypeName<Paths> =
  IsAny<Paths> extends true ? string : Extract<Body<Paths>, { input?: unknown }>["jobType" & keyof Body<Paths>] & string;

/** The input of a job type. A `Blob` may take the place of an upload's key. */
export type Input<Paths, Name> =
  IsAny<Paths> extends true
    ? Anything
    : Extract<Body<Paths>, { jobType: Name }> extends { input?: infer Found }
      ? WithFiles<Found>
      : never;

type WithFiles<T> = T extends string ? T | Blob : T extends readonly (infer Item)[] ? WithFiles<Item>[] : T extends object ? { [Name in keyof T]: WithFiles<T[Name]> } : T;

/** The result of a job type. */
export type Output<Components, Name> = Name extends string
  ? Components extends { schemas: { [key in `${Name}.output`]: infer Found } }
    ? Found
    : IsAny<Components> extends true
      ? Anything
      : unknown
  : unknown;

// ── The client ─────────────────────────────────────────────────────────────────────────────────────

/** A client of one API. `Paths` and `Components` are the types that `openapi-typescript` makes. */
export interface Client<Paths = Anything, Components = Anything> {
  /** Submit a job, wait for its end and return its result. A failed job rejects with `JobFailed`. */
  run<Name extends JobTypeName<Paths>, Result extends Output<Components, Name> = Output<Components, Name>>(
    jobType: Name,
    input?: Input<Paths, Name>,
    options?: SubmitOptions & FollowOptions<Result>,
  ): Promise<Result>;
  /** Submit a job. */
  submit<Name extends JobTypeName<Paths>, Result extends Output<Components, Name> = Output<Components, Name>>(
    jobType: Name,
    input?: Input<Paths, Name>,
    options?: SubmitOptions,
  ): Promise<Job<Result>>;
  /** Return a job by its id, without a request. */
  job<Result = Anything>(id: string): Job<Result>;
  /** Get a job. */
  get<Result = Anything>(id: string, options?: SignalOption): Promise<Job<Result>>;
  /** List your jobs, newest first. */
  list<Result = Anything>(options?: ListOptions): AsyncIterableIterator<Job<Result>>;
  /** List your jobs by pages. A page may be empty. */
  pages<Result = Anything>(options?: ListOptions): AsyncIterableIterator<Job<Result>[]>;
  /** Upload a large input, in Node.js also the file at a path, and return the key for a job's input. */
  upload(data: Uploadable, options?: UploadOptions): Promise<string>;
  /** List the job types. */
  types(options?: SignalOption): Promise<JobTypeData[]>;
  /** Jobs whose work is done elsewhere. */
  readonly tracked: {
    /** Create a tracked job; its `workerToken` is the secret of its worker. */
    create<Result = Anything>(options?: SubmitOptions & { jobType?: string }): Promise<Job<Result>>;
    /** Report on a job as its worker, with the worker's token. */
    worker(id: string, token: string): { report(report: Report, options?: SignalOption): Promise<Job> };
  };
  /** Return a client with other options. */
  with(options: ClientOptions): Client<Paths, Components>;
}

/** A job as it was when an answer brought it. `refresh` and `wait` return later ones. */
export interface Job<Result = Anything> {
  readonly id: string;
  /** The members as the API sent them; null for a job that was made by its id alone. */
  readonly data: JobData<Result> | null;
  readonly status: Status | undefined;
  readonly progress: number;
  readonly message: string | null;
  readonly error: JobFailure | null;
  /** Whether the record has ended, in any way. */
  readonly ended: boolean;
  /** Whether an earlier request with the same key, or the same input, had submitted the job. */
  readonly replayed: boolean;
  /** The secret of a tracked job's worker, in answers that issue it. */
  readonly workerToken: string | undefined;
  /** Wait for the job's end, and return the job however it ended. Rejects with `GaveUp` after `giveUpMs`. */
  wait(options?: FollowOptions<Result>): Promise<Job<Result>>;
  /** Yield the job, then each change of it; the last one has ended. */
  updates(options?: WaitOptions): AsyncIterableIterator<Job<Result>>;
  /** Yield each event of the job, to its end. */
  events(options?: EventsOptions): AsyncIterableIterator<JobEvent>;
  /** Wait for the end and return the result: JSON as its value, anything else as a `Blob`. */
  result(options?: FollowOptions<Result>): Promise<Result>;
  /** Open the result as a `Response`, whose body resumes where a connection broke. */
  open(options?: SignalOption): Promise<Response>;
  /** Save the result: in Node.js at the path, in a page as a download of that name. */
  download(path: string, options?: SignalOption): Promise<string>;
  /** Return the input as it was stored. */
  input(options?: SignalOption): Promise<Anything>;
  refresh(options?: SignalOption): Promise<Job<Result>>;
  cancel(options?: SignalOption): Promise<Job<Result>>;
  /** Run a failed or cancelled job again. */
  retry(options?: SignalOption): Promise<Job<Result>>;
  /** Delete a job that has ended, with its input and result. */
  delete(options?: SignalOption): Promise<void>;
  /** Report on a tracked job as its owner. */
  report(report: Report, options?: SignalOption): Promise<Job<Result>>;
  /** Issue a new token for the worker of a tracked job. */
  renewWorkerToken(options?: SignalOption): Promise<Job<Result>>;
  toJSON(): unknown;
}
