/**
 * Replaces each invisible or reordering character by `\u{…}`.
 * @param {string} text
 */
export function visible(text: string): string;
/**
 * An integer with narrow spaces between groups of three digits.
 * @param {number | bigint} value
 */
export function number(value: number | bigint): string;
/**
 * A number of units. Bytes are scaled, in steps of 1,000.
 * @param {bigint} value @param {string | null} unit
 */
export function amount(value: bigint, unit: string | null): string;
/** @param {number | null} value */
export function percentage(value: number | null): string;
/**
 * A duration in its two largest units, rounded down; without seconds above one minute, because a number that changes
 * every second attracts attention.
 * @param {number} milliseconds
 */
export function age(milliseconds: number): string;
/**
 * A time in the viewer's zone; with the day unless it is today's.
 * @param {Date} time @param {Date} now
 */
export function clockTime(time: Date, now: Date): string;
