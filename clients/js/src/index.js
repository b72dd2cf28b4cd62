/** The client of an asyncjobs API, for Node.js and browsers. */

export { createClient } from "./client.js";
export * from "./errors.js";
