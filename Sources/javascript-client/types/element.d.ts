/**
 * `<progress-ledger-job job="ID" src="https://ledger.example" token="pl_…">` shows a live job: its state, bars,
 * remaining time, stalls, failures and newest message.
 *
 * - `job`: the id of the job.
 * - `src`: the URL of the ledger, by default the page's own server. It must permit the origin of the page
 *   (`--cors-origin`).
 * - `token`: a token that may read this job only. Every reader of the page can read it.
 * - `theme`: `light` or `dark`; by default that of the system.
 *
 * It follows the job while it is part of the document. Its parts are `card`, `header`, `name`, `state`, `overall`,
 * `percent`, `bar`, `fill`, `finish`, `failures`, `warning`, `message`, `indicators`, `indicator`, `label`, `count`,
 * `note`, `more`, `error` and `connection`. Each new snapshot is a `progress-ledger-snapshot` event.
 */
export class ProgressLedgerJobElement extends HTMLElement {
    static observedAttributes: string[];
    /**
     * The last snapshot; null before the first one.
     * @returns {Snapshot | null}
     */
    get snapshot(): import("./model.js").Snapshot | null;
    connectedCallback(): void;
    disconnectedCallback(): void;
    attributeChangedCallback(): void;
    #private;
}
export type Snapshot = import("./model.js").Snapshot;
export type Indicator = import("./model.js").Indicator;
export type LiveState = import("./liveJob.js").LiveState;
