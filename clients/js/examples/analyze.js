/** Seed 3's `analyzeWithPolling`: start a job, show its progress, return its result. */

import { createClient } from "@asyncjobs/client";

/**
 * @param {string} jobType
 * @param {unknown} input
 * @param {(percent: number) => void} updateProgressBar
 */
export async function analyzeWithPolling(jobType, input, updateProgressBar) {
  const jobs = createClient(); // ASYNCJOBS_URL and ASYNCJOBS_TOKEN
  return jobs.run(jobType, input, { onUpdate: (job) => updateProgressBar(job.progress) });
}
