/**
 * @typedef {object} ServerEvent
 * @property {string} type `message` if it was not given.
 * @property {string} data
 * @property {string} id The last id of the stream.
 */
/** Parses a stream, piece by piece. Its memory is bounded: a longer event is an error. */
export class EventReader {
    /** @param {string} [lastId] */
    constructor(lastId?: string | undefined);
    /**
     * The events that a piece of the stream completes.
     * @param {Uint8Array} piece
     * @returns {ServerEvent[]}
     */
    feed(piece: Uint8Array): ServerEvent[];
    #private;
}
export type ServerEvent = {
    /**
     * `message` if it was not given.
     */
    type: string;
    data: string;
    /**
     * The last id of the stream.
     */
    id: string;
};
