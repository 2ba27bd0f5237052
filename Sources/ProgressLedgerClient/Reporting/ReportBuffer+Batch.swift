import Ledger

extension ReportBuffer {
    /// Frozen events that one request carries.
    struct Batch: Sendable {
        var events: [EventDraft]
        let awaitsVerdicts: Bool
        /// The generation of which this is the last batch; nil if another one follows.
        var completesGeneration: Int?
        /// Whether its events may have been sent before.
        var isResent = false
        /// Whether it only repeats the start.
        ///
        /// It is no report: nothing counts it, and it is not sent after the end of the execution.
        var isHeartbeat = false
    }

    /// The number of the last generation in each state.
    struct Generations: Sendable {
        /// Increased by `makeBatch` if it leaves nothing over.
        var batched = 0
        /// Set by `removeFirstBatch` after the last batch of a generation.
        var settled = 0
        /// The last one that a flush waits for.
        var awaited = 0
    }
}
