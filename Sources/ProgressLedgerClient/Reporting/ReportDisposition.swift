/// The meaning of a failed request for the batch that it carried.
enum ReportDisposition: Hashable, Sendable {
    /// Nothing was recorded, or the outcome is unknown: the same batch is sent again.
    ///
    /// A refused token and the response of a proxy are temporary too.
    case retryable
    /// The request is too large: the batch is sent in halves.
    case tooLarge
    /// The ledger refused the events at these positions permanently.
    ///
    /// It is empty if the ledger names none; then the batch is divided to find them.
    case refused([Int])
    /// The job does not exist, or was retired.
    ///
    /// Nothing of the execution will ever be recorded.
    case noSuchJob
    /// The job is canceled, and the batch starts the execution.
    ///
    /// Nothing of the execution will be recorded.
    case jobCanceled

    /// Creates the disposition of a request with so many events.
    init(_ error: LedgerClientError, events: Int) {
        switch (error.status, error.isProblem) {
        case _ where error.code == .jobCanceled: self = .jobCanceled
        case (413, _): self = .tooLarge
        case (401, _), (403, _), (408, _), (429, _): self = .retryable
        case (404, true), (410, true): self = .noSuchJob
        case (.some(400..<500), true): self = .refused(Self.positions(in: error, events: events))
        default: self = .retryable
        }
    }

    /// Returns the positions of the events in pointers such as `/2/done`.
    private static func positions(in error: LedgerClientError, events: Int) -> [Int] {
        var positions: Set<Int> = []
        for fieldError in error.fieldErrors {
            guard let pointer = fieldError.pointer, pointer.utf8.first == UInt8(ascii: "/"),
                let position = pointer.split(separator: "/", maxSplits: 1).first.flatMap({ Int($0) }),
                (0..<events).contains(position)
            else { continue }
            positions.insert(position)
        }
        return positions.sorted()
    }
}
