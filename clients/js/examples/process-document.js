/** Seed 4's `processDocument(file, { trackProgress: true })`: a tracked job around a processor that runs elsewhere. */

import { createClient } from "@asyncjobs/client";

/**
 * @param {File} file
 * @param {(job: { id: string, token: string }, file: File) => Promise<void>} startProcessing starts the processor, which reports
 * @param {{ parentId?: string, trackProgress?: boolean, onProgress?: (percent: number, message: string | null) => void }} options
 */
export async function processDocument(file, startProcessing, { parentId, trackProgress = false, onProgress } = {}) {
  const jobs = createClient();
  const metadata = { fileName: file.name, fileSize: file.size, parentId };
  const job = await jobs.tracked.create({ jobType: "file_processing", message: "Upload queued", metadata });
  await startProcessing({ id: job.id, token: String(job.workerToken) }, file);
  const onUpdate = trackProgress ? (/** @type {typeof job} */ { progress, message }) => onProgress?.(progress, message) : undefined;
  return job.result({ onUpdate });
}
