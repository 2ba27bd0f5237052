import Ledger

/// The last sequence that a client appended to each of a bounded number of jobs.
struct WrittenSequences {
    /// The most jobs, at some 50 bytes each.
    ///
    /// No client reads the progress of that many jobs in the moment before their events are folded.
    static let jobsMax = 10_000

    private var sequences: [JobID: EventSequence] = [:]

    subscript(job: JobID) -> EventSequence { sequences[job] ?? 0 }

    mutating func record(_ sequence: EventSequence, to job: JobID) {
        if sequences[job] == nil, sequences.count >= Self.jobsMax { sequences.remove(at: sequences.startIndex) }
        sequences[job] = max(self[job], sequence)
    }
}
