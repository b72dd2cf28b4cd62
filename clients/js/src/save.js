/** Save a result: in Node.js to a file, in a page as a download. */

/**
 * @param {Response} response
 * @param {string} path
 */
export async function save(response, path) {
  if (globalThis.document) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = path;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    return path;
  }
  const { rename, rm, writeFile } = await import("node:fs/promises");
  // A file of this name is whole.
  const part = `${path}.part`;
  try {
    await writeFile(part, /** @type {any} */ (response.body ?? ""));
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
  return path;
}
