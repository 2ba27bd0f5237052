/**
 * The optional fields of the events that a problem refuses, by their positions.
 * @param {Map<number, Set<string>>} refused All refused fields. @param {SentEvent[]} events
 * @returns {Map<number, Set<string>>}
 */
export function refusedOptionalFields(refused: Map<number, Set<string>>, events: SentEvent[]): Map<number, Set<string>>;
/** The optional fields that one ledger knows. */
export class OptionalFields {
    /** @param {() => number} random */
    constructor(random: () => number);
    /** Those that the ledger does not know, for the log. */
    get unknown(): string;
    /**
     * Records that the ledger has recorded these events.
     * @param {SentEvent[]} events
     */
    recorded(events: SentEvent[]): void;
    /**
     * Records that the ledger has refused fields of these events, and returns those that it does not know: it has never
     * recorded them, and refuses them in every event. Otherwise their content is invalid.
     * @param {Map<number, Set<string>>} refused @param {SentEvent[]} events
     * @returns {Set<string>}
     */
    refused(refused: Map<number, Set<string>>, events: SentEvent[]): Set<string>;
    /** @param {Iterable<string>} fields */
    exclude(fields: Iterable<string>): void;
    /**
     * The event without the fields that the ledger does not know.
     * @param {SentEvent} event
     */
    stripped(event: SentEvent): import("./reportBuffer.js").SentEvent;
    /**
     * An event without some fields. Without its part, a report needs another number, so that no request may have recorded
     * the event.
     * @param {SentEvent} event @param {Set<string>} fields
     * @returns {SentEvent}
     */
    without(event: SentEvent, fields: Set<string>): SentEvent;
    #private;
}
export type SentEvent = import("./reportBuffer.js").SentEvent;
