/**
 * Follows a job until the returned function is called. All followers of one job share a connection.
 * @param {{src: string, job: string, token: string}} address @param {(state: LiveState) => void} listener
 * @returns {() => void}
 */
export function follow({ src, job, token }: {
    src: string;
    job: string;
    token: string;
}, listener: (state: LiveState) => void): () => void;
export type Snapshot = import("./model.js").Snapshot;
/**
 * What an element shows.
 */
export type LiveState = {
    snapshot: Snapshot | null;
    connection: "connecting" | "live" | "lost" | "ended" | "refused";
    error: LedgerError | null;
};
import { LedgerError } from "./errors.js";
