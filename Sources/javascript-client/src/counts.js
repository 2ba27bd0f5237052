// The statistics of one execution.

/** Counts of reports, which only grow. `Sources/ProgressLedgerClient` says what they mean for all clients. */
export class Counts {
  taken = 0;
  refused = 0;
  delivered = 0;
  discarded = 0;
  dropped = 0;
  failures = 0;
  requests = 0;
  #droppedNotes = 0;

  /** Counts a call that was refused, and changed nothing. */
  refuse() {
    this.refused += 1;
    this.dropped += 1;
  }

  /**
   * Counts recorded events that will never count.
   * @param {number} events
   */
  discard(events) {
    this.delivered -= events;
    this.discarded += events;
    this.dropped += events;
  }

  /** Counts a message, a link or a unit that was left out, while its units count. */
  dropNote() {
    this.dropped += 1;
    this.#droppedNotes += 1;
  }

  /** The number of lost events that the ledger has not recorded. */
  get lost() {
    return this.dropped - this.refused - this.discarded - this.#droppedNotes;
  }
}
