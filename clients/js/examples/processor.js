/** A processor of documents: it has no token but that of its one job. */

import { createClient } from "@asyncjobs/client";

/**
 * @param {{ id: string, token: string }} job
 * @param {File} file
 */
export async function processFile(job, file) {
  const worker = createClient().tracked.worker(job.id, job.token);
  try {
    await worker.report({ progress: 45, message: "Extracting document data..." });
    const words = (await file.text()).split(/\s+/).length;
    await worker.report({ status: "COMPLETED", message: "Document processed", result: { documentId: "doc_123abc", words } });
  } catch (error) {
    await worker.report({ status: "FAILED", error: { message: String(error) } });
  }
}
