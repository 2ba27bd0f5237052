// The fields without which an event is still worth recording. Older ledgers refuse those that they do not know.

/** @typedef {import("./reportBuffer.js").SentEvent} SentEvent */

const names = ["message", "link", "unit", "part", "carried"];
/** Half of all numbers of reports. A process without a part of its own takes random ones above it. */
const upperHalf = 2 ** 52;

/**
 * The optional fields that an event has.
 * @param {SentEvent} event
 */
function fieldsOf(event) {
  return names.filter((name) => name in event);
}

/**
 * The optional fields of the events that a problem refuses, by their positions.
 * @param {Map<number, Set<string>>} refused All refused fields. @param {SentEvent[]} events
 * @returns {Map<number, Set<string>>}
 */
export function refusedOptionalFields(refused, events) {
  const found = new Map();
  for (const [position, fields] of refused) {
    const optional = fieldsOf(events[position]).filter((name) => fields.has(name));
    if (optional.length > 0) found.set(position, new Set(optional));
  }
  return found;
}

/** The optional fields that one ledger knows. */
export class OptionalFields {
  /** Those that it has recorded. */
  #known = new Set();
  #unknown = new Set();
  #random;

  /** @param {() => number} random */
  constructor(random) {
    this.#random = random;
  }

  /** Those that the ledger does not know, for the log. */
  get unknown() {
    return [...this.#unknown].join(", ");
  }

  /**
   * Records that the ledger has recorded these events.
   * @param {SentEvent[]} events
   */
  recorded(events) {
    for (const event of events) for (const name of fieldsOf(event)) this.#known.add(name);
  }

  /**
   * Records that the ledger has refused fields of these events, and returns those that it does not know: it has never
   * recorded them, and refuses them in every event. Otherwise their content is invalid.
   * @param {Map<number, Set<string>>} refused @param {SentEvent[]} events
   * @returns {Set<string>}
   */
  refused(refused, events) {
    const unknown = new Set([...refused.values()].flatMap((fields) => [...fields]).filter((name) => !this.#known.has(name)));
    for (const [position, event] of events.entries()) {
      for (const name of fieldsOf(event)) if (!refused.get(position)?.has(name)) unknown.delete(name);
    }
    this.exclude(unknown);
    return unknown;
  }

  /** @param {Iterable<string>} fields */
  exclude(fields) {
    for (const name of fields) this.#unknown.add(name);
  }

  /**
   * The event without the fields that the ledger does not know.
   * @param {SentEvent} event
   */
  stripped(event) {
    return this.without(event, this.#unknown);
  }

  /**
   * An event without some fields. Without its part, a report needs another number, so that no request may have recorded
   * the event.
   * @param {SentEvent} event @param {Set<string>} fields
   * @returns {SentEvent}
   */
  without(event, fields) {
    if (!fieldsOf(event).some((name) => fields.has(name))) return event;
    const kept = Object.fromEntries(Object.entries(event).filter(([name]) => !fields.has(name)));
    if (event.part !== undefined && fields.has("part")) kept.report = upperHalf + Math.floor(this.#random() * (upperHalf - 1));
    return /** @type {SentEvent} */ (/** @type {unknown} */ (kept));
  }
}
