// The estimate of a job's remaining time.

import { list, quantiles, real, text, time } from "./fields.js";

/** @type {[string, number][]} */
const sizes = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

/** A prediction of the remaining time of a running job, or the reason for none. */
export class Estimate {
  /** @param {Record<string, unknown>} fields @param {Date} at */
  constructor(fields, at) {
    /** The time at which it was made, by the ledger's clock. */
    this.at = at;
    /** The remaining seconds; of ten jobs, eight should end between `p10` and `p90`. Null without a prediction. */
    this.remainingSeconds = quantiles(fields.remaining_seconds, real);
    /** The time of the end. */
    this.finishAt = quantiles(fields.finish_at, time);
    /** `job`, or `history` if earlier jobs of the name were used. */
    this.basis = text(fields.basis);
    const waiting = /** @type {Record<string, unknown> | null} */ (
      typeof fields.waiting_for === "object" ? fields.waiting_for : null);
    /** The work that determines the end: an indicator, and the tasks that will probably end last. */
    this.waitingFor = waiting === null ? null : {
      label: text(waiting.label), tasks: list(waiting.tasks).filter((task) => typeof task === "string"),
    };
    /** The reason for no prediction, for example `finished` or `no_progress`. */
    this.reason = text(fields.reason);
    const record = /** @type {Record<string, unknown> | null} */ (
      typeof fields.track_record === "object" ? fields.track_record : null);
    const [jobs, endedInside] = [record?.jobs, record?.ended_inside];
    /** The earlier jobs of the name whose estimates were scored, and how many ended between `p10` and `p90`. */
    this.trackRecord = typeof jobs === "number" && typeof endedInside === "number" ? { jobs, endedInside } : null;
  }

  /**
   * Reads the `estimate` of a job; null from an older ledger.
   * @param {unknown} content
   * @returns {Estimate | null}
   */
  static read(content) {
    if (typeof content !== "object" || content === null) return null;
    const fields = /** @type {Record<string, unknown>} */ (content);
    const at = time(fields.at);
    return at === null ? null : new Estimate(fields, at);
  }

  /**
   * The remaining time in words, `≈ 12 min (9–20)`; empty without a prediction.
   * @param {Date | null} [now] The ledger's clock, if time has passed since: `snapshot.clock()`.
   */
  text(now) {
    if (this.remainingSeconds === null) return "";
    const passed = Math.max(0, ((now ?? this.at).getTime() - this.at.getTime()) / 1000);
    const { p10, p50, p90 } = this.remainingSeconds;
    const left = (/** @type {number} */ seconds) => Math.max(0, seconds - passed);
    const [name, size] = sizes.find(([, size]) => left(p50) >= 1.5 * size) ?? sizes[3];
    const words = (/** @type {number} */ seconds) => {
      const value = left(seconds) / size;
      if (value >= 1e6) return "…";
      return String(size >= 3_600 && value < 10 ? Math.round(value * 10) / 10 : Math.round(value));
    };
    return `≈ ${words(p50)} ${name} (${words(p10)}–${words(p90)})`;
  }

  toString() {
    return this.text() || `no estimate: ${this.reason ?? "unknown"}`;
  }
}
