/** @typedef {import("./client.js").Client} Client */
/**
 * A snapshot that contains all earlier events of this client.
 *
 * The ledger waits for its projection for 5 s at most. If that does not suffice, or if the ledger was restored to a
 * state without these events, it is the current snapshot.
 * @param {Client} client @param {string} job @param {Record<string, unknown>} query @param {AbortSignal} [signal]
 */
export function readSnapshot(client: Client, job: string, query: Record<string, unknown>, signal?: AbortSignal | undefined): Promise<Snapshot>;
/**
 * Waits until the projection contains this client's events, for routes without `min_sequence`. The read that follows
 * meets all other problems too.
 * @param {Client} client @param {string} job @param {AbortSignal} [signal]
 */
export function catchUp(client: Client, job: string, signal?: AbortSignal | undefined): Promise<void>;
/**
 * Waits for the projection of all jobs of this client, for 10 s at most.
 * @param {Client} client @param {AbortSignal} [signal]
 */
export function catchUpAll(client: Client, signal?: AbortSignal | undefined): Promise<void>;
/**
 * The pages of a list.
 * @param {Client} client @param {string} path @param {string} name The field of the items.
 * @param {string} next The field of the next page's cursor. @param {string} parameter The query's name of it.
 * @param {AbortSignal} [signal] @param {number} [start] The cursor of the first page.
 * @returns {AsyncGenerator<{items: any[], receivedAt: number}, void, undefined>}
 */
export function pages(client: Client, path: string, name: string, next: string, parameter: string, signal?: AbortSignal | undefined, start?: number | undefined): AsyncGenerator<{
    items: any[];
    receivedAt: number;
}, void, undefined>;
export type Client = import("./client.js").Client;
import { Snapshot } from "./model.js";
