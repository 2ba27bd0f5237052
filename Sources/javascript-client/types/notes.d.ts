/**
 * The notes that can be recorded; null without any. The others are refused one by one: no units are lost because of a
 * bad note. An empty one counts as absent.
 * @param {Record<string, unknown>} given `message`, `link` and `unit`; may be an object that throws when it is read.
 * @param {(name: string, problem: string) => void} refuse
 * @returns {Remarks | null}
 */
export function notes(given: Record<string, unknown>, refuse: (name: string, problem: string) => void): Remarks | null;
/**
 * The message of an error: its name, and with its text the first line of at most 200 characters, without users,
 * passwords and queries of URLs.
 * @param {unknown} error @param {boolean} hasText
 */
export function messageOfError(error: unknown, hasText: boolean): string;
export type Remarks = import("./reportBuffer.js").Remarks;
