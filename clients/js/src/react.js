/** React hooks. React is yours: this module imports it, and brings none. */

import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { JobWatch } from "./watch.js";

/** @import { Client, Job, SubmitOptions } from "./types.js" */
/** @import { WatchConnection } from "./watch.js" */

const JobsContext = createContext(/** @type {Client | null} */ (null));

/**
 * Give the client to the hooks below it.
 * @param {{ client: Client, children?: import("react").ReactNode }} properties
 */
export function JobsProvider({ client, children }) {
  return createElement(JobsContext.Provider, { value: client }, children);
}

/**
 * Return the client that was given, or that of the nearest `JobsProvider`.
 * @param {Client} [client]
 * @returns {Client}
 */
export function useJobs(client) {
  const provided = useContext(JobsContext);
  const found = client ?? provided;
  if (!found) throw new Error("Give the hook a client, or put it below a JobsProvider");
  return found;
}

/**
 * @template Result
 * @typedef {object} JobState
 * @property {Job<Result> | null} job
 * @property {string | undefined} status
 * @property {number} progress
 * @property {string | null} message
 * @property {Result | undefined} result the result of a completed job, if its record has it; `job.result()` gets any
 * @property {import("./types.js").JobFailure | Error | null} error why the job failed, or cannot be read
 * @property {WatchConnection} connection
 * @property {() => Promise<void>} cancel
 * @property {() => Promise<void>} retry
 */

/** @type {ReturnType<JobWatch["snapshot"]>} */
const NOTHING = { job: null, connection: "idle", error: null };

/**
 * Follow a job: one that was submitted, or one by its id.
 * @template [Result=any]
 * @param {Job<Result> | string | null | undefined} jobOrId nothing is requested without one
 * @param {{ client?: Client, enabled?: boolean, onComplete?: (job: Job<Result>) => void, onError?: (job: Job<Result>) => void }} [options]
 * `onComplete` and `onError` are called once, when the record has ended.
 * @returns {JobState<Result>}
 */
export function useJob(jobOrId, { client, enabled = true, onComplete, onError } = {}) {
  const jobs = useJobs(client);
  const known = typeof jobOrId === "object" ? jobOrId : null;
  const id = known?.id ?? /** @type {string | null | undefined} */ (jobOrId);
  // The same job in another state is still the same watch.
  const watch = useMemo(() => (id && enabled ? new JobWatch(jobs, id, known) : null), [jobs, id, enabled]);
  const subscribe = useCallback((/** @type {() => void} */ listener) => watch?.subscribe(listener) ?? (() => {}), [watch]);
  const snapshot = useCallback(() => watch?.snapshot() ?? NOTHING, [watch]);
  const { job, connection, error } = useSyncExternalStore(subscribe, snapshot, () => NOTHING);

  const callbacks = useRef({ onComplete, onError });
  const reported = useRef(/** @type {string | null} */ (null));
  useEffect(() => {
    callbacks.current = { onComplete, onError };
  });
  useEffect(() => {
    // An end is that of one run: a retried job ends again.
    const end = job?.ended ? `${job.id} ${job.data?.endedAt}` : null;
    if (!job || !end || reported.current === end) return;
    reported.current = end;
    if (job.status === "COMPLETED") callbacks.current.onComplete?.(job);
    else callbacks.current.onError?.(job);
  }, [job]);

  const act = (/** @type {"cancel" | "retry"} */ verb) => async () => {
    if (!watch) return;
    watch.restart({ job: await jobs.job(watch.id)[verb]() });
  };
  return {
    job,
    status: job?.status,
    progress: job?.progress ?? 0,
    message: job?.message ?? null,
    result: job?.status === "COMPLETED" && job.data?.resultType === "INLINE" ? job.data.result : undefined,
    error: job?.error ?? error,
    connection,
    cancel: useCallback(act("cancel"), [jobs, watch]),
    retry: useCallback(act("retry"), [jobs, watch]),
  };
}

/**
 * Submit jobs of a type. `job` is the last one; follow it with `useJob(job)`.
 * @template [Result=any]
 * @param {string} jobType
 * @param {{ client?: Client }} [options]
 */
export function useSubmit(jobType, { client } = {}) {
  const jobs = useJobs(client);
  const [state, setState] = useState(/** @type {{ job: Job<Result> | null, isPending: boolean, error: Error | null }} */ ({ job: null, isPending: false, error: null }));
  const last = useRef(0);
  const submit = useCallback(
    /**
     * @param {any} [input]
     * @param {SubmitOptions} [options]
     * @returns {Promise<Job<Result>>}
     */
    async (input, options) => {
      const number = (last.current += 1);
      const set = (/** @type {typeof state} */ next) => last.current === number && setState(next);
      set({ job: null, isPending: true, error: null });
      try {
        const job = /** @type {Job<Result>} */ (await jobs.submit(jobType, input, options));
        set({ job, isPending: false, error: null });
        return job;
      } catch (/** @type {any} */ error) {
        set({ job: null, isPending: false, error });
        throw error;
      }
    },
    [jobs, jobType],
  );
  return { submit, ...state };
}
