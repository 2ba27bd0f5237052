// Decides how urgently a job needs a person, as Pages/JobUrgency.swift does.

import { now } from "./clock.js";

/**
 * The urgency of a job.
 *
 * @param {string | undefined} deadline The deadline that the server has found in the tags; empty for none.
 */
export function urgencyOf(job, deadline) {
  if (job.state !== "running") return job.state === "failed" ? "failed" : "ended";
  const finish = Date.parse(job.estimate?.finish_at?.p50);
  // A comparison with a missing deadline is false.
  if (Math.max(now(), Number.isNaN(finish) ? 0 : finish) > Date.parse(deadline)) return "late";
  if (job.stalled_since !== null) return "stalled";
  if (job.tasks.failed > 0) return "failing";
  return (job.tasks.silent ?? 0) > 0 ? "silent" : "running";
}
