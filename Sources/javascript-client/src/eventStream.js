// Server-sent events, according to the HTML standard.

import { responseBytesMax } from "./limits.js";

/**
 * @typedef {object} ServerEvent
 * @property {string} type `message` if it was not given.
 * @property {string} data
 * @property {string} id The last id of the stream.
 */

/** Parses a stream, piece by piece. Its memory is bounded: a longer event is an error. */
export class EventReader {
  #decoder = new TextDecoder();
  #rest = "";
  /** Whether the last piece ended with a carriage return: a line feed that follows belongs to the same line end. */
  #isAfterReturn = false;
  #type = "";
  /** @type {string[]} */
  #data = [];
  #size = 0;
  #id;

  /** @param {string} [lastId] */
  constructor(lastId = "") {
    this.#id = lastId;
  }

  /**
   * The events that a piece of the stream completes.
   * @param {Uint8Array} piece
   * @returns {ServerEvent[]}
   */
  feed(piece) {
    let text = this.#decoder.decode(piece, { stream: true });
    if (text === "") return [];
    if (this.#isAfterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#isAfterReturn = text.endsWith("\r");
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = this.#rest + lines[0];
    this.#rest = /** @type {string} */ (lines.pop());
    if (this.#rest.length + this.#size > responseBytesMax) throw new RangeError("an event of the stream is too long");
    return lines.map((line) => this.#line(line)).filter((/** @returns {event is ServerEvent} */ (event) => event !== null));
  }

  /** @param {string} line @returns {ServerEvent | null} */
  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\u0000")) this.#id = value;
    else if (name === "data") {
      this.#data.push(value);
      this.#size += value.length;
    }
    // Others are ignored: comments, which have no name, and `retry`, because the client has its own pauses.
    if (this.#size > responseBytesMax) throw new RangeError("an event of the stream is too long");
    return null;
  }

  #dispatch() {
    const event = this.#data.length > 0 || this.#type !== ""
      ? { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id } : null;
    this.#type = "";
    this.#data = [];
    this.#size = 0;
    return event;
  }
}
