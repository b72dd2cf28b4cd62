/** What pages of operators share. The API checks every right itself; the page only leaves out what it would refuse. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { copyButton, statusBadge } from "./ui.js";
import { duration, shortId, time } from "./format.js";

/** @import { AdminJob } from "../answers.js" */

/**
 * The address of any owner's job: the key of a job has its owner.
 * @param {{ asyncJobId: string, owner: string }} job
 */
export function jobPath({ asyncJobId, owner }) {
  return `operate/${asyncJobId}?owner=${encodeURIComponent(owner)}`;
}

/**
 * @param {string} owner
 */
export function ownerOf(owner) {
  return copyButton(owner, `Copy the owner ${owner}`, html`<code>${shortId(owner)}</code>`);
}

/**
 * A table of jobs of all owners.
 * @param {AdminJob[]} jobs
 * @param {{ selected?: Set<string>, onSelect?: (job: AdminJob) => void, linksOwners?: boolean, hidesCodes?: boolean }} [options] whether an owner leads to the live jobs of that owner; whether all failed with one code
 */
export function jobsTable(jobs, { selected, onSelect, linksOwners = false, hidesCodes = false } = {}) {
  return html`<div class="table-frame"><table class="table jobs admin ${onSelect ? "selectable" : ""}">
    <thead><tr>${onSelect ? html`<th scope="col" class="select-cell"><span class="visually-hidden">Select</span></th>` : nothing}
      <th scope="col">Status</th><th scope="col">Type</th><th scope="col" class="wide-only">Owner</th><th scope="col">State</th><th scope="col" class="number">Created</th><th scope="col" class="number wide-only">Duration</th></tr></thead>
    <tbody>${jobs.map(
      (job) => html`<tr>
        ${onSelect ? html`<td class="select-cell"><input type="checkbox" aria-label="Select job ${shortId(job.asyncJobId)}" .checked=${selected?.has(job.asyncJobId) ?? false} @change=${() => onSelect(job)} /></td>` : nothing}
        <td class="status-cell">${statusBadge(job.status, job.progress)}</td>
        <td class="type-cell"><a class="row-link" href=${jobPath(job)}>${job.jobType}</a></td>
        <td class="id-cell wide-only">${linksOwners ? html`<a href="live?owner=${encodeURIComponent(job.owner)}" title="Only jobs of ${job.owner}"><code>${shortId(job.owner)}</code></a>` : ownerOf(job.owner)}</td>
        <td class="progress-cell"><span class="clip quiet">${stateOf(job, hidesCodes)}</span></td>
        <td class="number quiet">${time(job.createdAt)}</td>
        <td class="number quiet wide-only">${duration((job.endedAt ? Date.parse(job.endedAt) : Date.now()) - Date.parse(job.createdAt))}</td>
      </tr>`,
    )}</tbody></table></div>`;
}

/**
 * @param {AdminJob} job
 * @param {boolean} hidesCode
 */
function stateOf(job, hidesCode) {
  if (job.error && hidesCode) return job.error.message;
  if (job.error) return html`<code class="code-word">${job.error.code}</code> ${job.error.message}`;
  if (job.status === "IN_PROGRESS") {
    const isSilent = job.leaseUntil && Date.parse(job.leaseUntil) < Date.now();
    return html`${isSilent ? html`<strong class="bad">Lease ended</strong> · ` : nothing}${job.progress} %${job.message ? ` · ${job.message}` : ""}`;
  }
  if (job.status === "PENDING") return job.notBefore && Date.parse(job.notBefore) > Date.now() ? html`Delayed, starts ${time(job.notBefore)}` : "Waits for a worker";
  return job.message ?? "";
}
