/**
 * Parses JSON. Integers that a number cannot hold exactly become bigints; all others stay numbers.
 *
 * Throws a `SyntaxError` for invalid JSON, and for an integer of more than 1,000 digits.
 * @param {string} text
 * @returns {any}
 */
export function parse(text: string): any;
/**
 * Writes a value as JSON, bigints as integers.
 * @param {unknown} value
 * @returns {string}
 */
export function stringify(value: unknown): string;
