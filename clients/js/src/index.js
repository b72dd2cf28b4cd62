/** The client of an asyncjobs API, for Node.js and browsers. */

export { createClient } from "./client.js";
export {
  ApiConnectionError,
  ApiError,
  ApiTimeout,
  AsyncjobsError,
  BadRequest,
  Conflict,
  Forbidden,
  GaveUp,
  JobCancelled,
  JobError,
  JobFailed,
  KeyReused,
  NotFound,
  RateLimited,
  Unauthorized,
  Unavailable,
} from "./errors.js";
