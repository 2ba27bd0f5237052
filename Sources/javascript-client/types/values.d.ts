/**
 * The problem of a text; null if it can be recorded. The problem continues a sentence that begins with its field.
 * @param {unknown} text @param {number} min @param {number} max The bounds of its length, in Unicode scalars.
 * @returns {string | null}
 */
export function textProblem(text: unknown, min: number, max: number): string | null;
/**
 * The increments of one call; with `isPosition`, the sums that its indicator shall reach.
 * @typedef {{total?: unknown, done?: unknown, carried?: unknown, isPosition?: boolean}} Increments
 */
/**
 * The problem of the increments of one call, with the field that has it; null if they can be recorded.
 * @param {unknown} total @param {unknown} done @param {unknown} carried
 * @returns {{field: string, problem: string} | null}
 */
export function incrementsProblem(total: unknown, done: unknown, carried: unknown): {
    field: string;
    problem: string;
} | null;
/**
 * The problem of an attempt; null if it can be recorded.
 * @param {unknown} value
 * @returns {string | null}
 */
export function attemptProblem(value: unknown): string | null;
/**
 * Whether a value of a response is the sequence of an event.
 * @param {unknown} value
 */
export function isSequence(value: unknown): boolean;
/**
 * The problem of a unit; null if it can be recorded.
 * @param {unknown} unit
 * @returns {string | null}
 */
export function unitProblem(unit: unknown): string | null;
/**
 * The problem of a link; null if it can be recorded. It does not contain the link, which may contain a password.
 * @param {unknown} link
 * @returns {string | null}
 */
export function linkProblem(link: unknown): string | null;
/**
 * A message as it can be recorded: at most 1,000 characters, control characters replaced. Null if it is empty.
 * @param {unknown} message A string or an error.
 * @returns {string | null}
 */
export function messageText(message: unknown): string | null;
/**
 * An absolute URL; null if the text is none.
 * @param {string} text
 * @returns {URL | null}
 */
export function parseURL(text: string): URL | null;
/**
 * The text of an error, or of anything else that was thrown. Never throws.
 * @param {unknown} error
 * @returns {string}
 */
export function reasonOf(error: unknown): string;
/**
 * A text in quotation marks for the log, or the kind of another value. Never throws.
 * @param {unknown} value
 * @returns {string}
 */
export function quoted(value: unknown): string;
/**
 * The kind of a wrong value, for messages. Never throws, and never shows a long or secret text.
 * @param {unknown} value
 * @returns {string}
 */
export function kind(value: unknown): string;
/**
 * The increments of one call; with `isPosition`, the sums that its indicator shall reach.
 */
export type Increments = {
    total?: unknown;
    done?: unknown;
    carried?: unknown;
    isPosition?: boolean;
};
