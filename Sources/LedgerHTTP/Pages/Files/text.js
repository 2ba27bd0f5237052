// Formats values for people, exactly as Pages/PageText.swift does.

import { invisible } from "./invisible.js";

/** Replaces each invisible or reordering character by `\u{…}`. */
export function visible(text) {
  return text.replace(invisible, (character) => `\\u{${character.codePointAt(0).toString(16).toUpperCase()}}`);
}

/** The exact difference of two numbers or bigints. */
export function difference(value, other) {
  return typeof value === typeof other ? value - other : BigInt(value) - BigInt(other);
}

/** A number or bigint with narrow spaces between groups of three digits. */
export function number(value) {
  const digits = String(value < 0 ? -value : value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return value < 0 ? `−${digits}` : digits;
}

const bytePrefixes = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];

/** An amount of bytes, scaled by powers of 1,024 and rounded down, as LedgerWire/UnitText.swift does. */
function bytes(value) {
  const whole = BigInt(value);
  const size = whole < 0n ? -whole : whole;
  if (size < 1024n) return `${whole} B`;
  let scale = 1024n, index = 0;
  while (size / scale >= 1024n && index < bytePrefixes.length - 1) {
    scale *= 1024n;
    index += 1;
  }
  const tenths = size * 10n / scale;
  return `${whole < 0n ? "-" : ""}${tenths / 10n}.${tenths % 10n} ${bytePrefixes[index]}B`;
}

/** An amount of units: scaled if the unit is bytes. */
export function amount(value, unit) {
  return unit === "bytes" ? bytes(value) : number(value);
}

/** The name of a unit behind its amount; empty without one, and for bytes, whose amounts contain it. */
export function unitText(unit) {
  return unit === null || unit === undefined || unit === "bytes" ? "" : ` ${visible(unit)}`;
}

/** The first line of a message, with `…` if there are more; empty without a message. */
export function firstLine(message) {
  if (message === null || message === undefined) return "";
  const [first, ...rest] = message.split("\n");
  return visible(rest.length > 0 ? `${first} …` : first);
}

export function percent(value) {
  return value === null ? "–" : `${value}\u202f%`;
}

/** A duration in its two largest units, rounded down. */
export function duration(milliseconds) {
  const seconds = Math.floor(Math.max(0, milliseconds) / 1000);
  if (seconds < 60) return `${seconds}\u202fs`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u202fmin ${seconds % 60}\u202fs`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}\u202fh ${Math.floor(seconds / 60) % 60}\u202fmin`;
  return `${Math.floor(seconds / 86400)}\u202fd ${Math.floor(seconds / 3600) % 24}\u202fh`;
}

const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

/** The remaining time of an estimate: `≈ 12 min (9–20)`; takes the server's time. Empty without a prediction. */
export function remaining(estimate, time) {
  if (!estimate?.remaining_seconds) return "";
  const passed = Math.max(0, (time - Date.parse(estimate.at)) / 1000);
  const left = (seconds) => Math.max(0, seconds - passed);
  const { p10, p50, p90 } = estimate.remaining_seconds;
  const [name, size] = units.find(([, size]) => left(p50) >= 1.5 * size) ?? units[3];
  const words = (seconds) => {
    const value = left(seconds) / size;
    if (value >= 1e6) return "…";
    return String(size >= 3_600 && value < 10 ? Math.round(value * 10) / 10 : Math.round(value));
  };
  return `≈ ${words(p50)} ${name} (${words(p10)}–${words(p90)})`;
}

const reasons = {
  total_unknown: "no units are declared",
  no_progress: "nothing is done yet",
  all_done: "everything is done, but the job has not been ended",
  too_large: "the events before an upgrade are too many to be read",
  past_unknown: "the events before an upgrade are still being read",
};

/** The reason for no prediction; empty for a job that has ended. */
export const reasonText = (reason) => reasons[reason] ?? "";

/** How often the intervals of earlier jobs were right; empty without any. */
export function trackRecordText(record) {
  if (!(record?.jobs > 0)) return "";
  return `of ${number(record.jobs)} earlier ${record.jobs == 1 ? "job" : "jobs"}, ${number(record.ended_inside)} ended inside the interval`;
}

/** The greatest number of running executions of which the silent ones are counted. */
const silentCountedMax = 512;

/** The number of silent executions in words; empty for none. */
export function silentText(tasks) {
  return (tasks.silent ?? 0) == 0 ? "" : `${silentCountText(tasks)} silent`;
}

/** The number of silent executions. With more running ones than are counted, it ends with a plus sign. */
export function silentCountText(tasks) {
  const count = tasks.silent ?? 0;
  return number(count) + (count > 0 && Number(tasks.running) > silentCountedMax ? "+" : "");
}

/** An age. It has no seconds above one minute: a number that changes every second attracts attention. */
export function age(milliseconds) {
  const minutes = Math.floor(milliseconds / 60_000);
  return minutes >= 1 && minutes < 60 ? `${minutes}\u202fmin` : duration(milliseconds);
}

/** Units per second, or seconds per unit if there is less than one unit per second. */
export function rate(perSecond, unit = null) {
  if (!(perSecond > 0)) return "";
  if (unit === "bytes" && perSecond >= 1) return `${bytes(Math.floor(perSecond))}/s`;
  if (perSecond >= 1) return `${number(Math.round(perSecond * (perSecond < 10 ? 10 : 1)) / (perSecond < 10 ? 10 : 1))}/s`;
  return `${duration(1000 / perSecond)} each`;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A day in the viewer's time zone, without its year: `29 Nov`. */
export const dayAndMonth = (date) => `${date.getDate()} ${months[date.getMonth()]}`;

/** An execution of a task, in words. */
export function executionText(execution) {
  return execution.execution === null
    ? `attempt ${execution.attempt}` : `attempt ${execution.attempt}, ${visible(execution.execution)}`;
}

/** Parses JSON. Integers that a double cannot hold become bigints. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source) : value);
}
