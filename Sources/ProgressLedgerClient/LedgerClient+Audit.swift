public import Ledger
package import LedgerWire

// Requests of auditors and operators. Every function throws ``LedgerClientError``.

extension LedgerClient {
    /// Has the server recompute the hash chain of a range of a job's events.
    ///
    /// The result lists every fault that the server found. It takes some seconds per million events.
    public func verify(
        _ job: JobID, _ range: Verification.Range = Verification.Range()
    ) async throws(LedgerClientError) -> Verification {
        try await ask(.verify(job, range), as: VerificationResponse.self).value.verification
    }

    /// Returns a page of the heads of all jobs, in the order of their ids.
    ///
    /// A head is the sequence and the hash of a job's last event.
    ///
    /// - Parameters:
    ///   - limit: The most heads in the page.
    ///   - cursor: ``HeadsPage/nextCursor`` of the previous page.
    public func heads(limit: Int = 1_000, cursor: String? = nil) async throws(LedgerClientError) -> HeadsPage {
        try await ask(.heads(limit: limit, cursor: cursor), as: HeadsPage.self).value
    }

    /// Returns the export of a job, line by line and no faster than the caller reads.
    package func exportLines(of job: JobID) -> LineStream {
        LineStream(client: self, request: .export(job))
    }

    /// Imports some events of an export.
    ///
    /// - Parameter lines: The first line of the export and then 1 to 10,000 of its events, 16 MiB at most.
    package func importLines(_ lines: [UInt8]) async throws(LedgerClientError) -> Imported {
        try await ask(.importEvents(lines), as: Imported.self).value
    }

    /// Returns the state of the projection: its lag, its workers and its problems.
    public func status() async throws(LedgerClientError) -> LedgerStatus {
        try await ask(.status, as: LedgerStatus.self).value
    }

    /// Starts a replay, which recomputes the projections of one job or of all jobs.
    public func beginReplay(_ request: Replay.Request) async throws(LedgerClientError) -> Replay {
        try await ask(.beginReplay(request), as: Replay.self).value
    }

    /// Returns a replay with its progress and its findings.
    public func replay(_ id: JobID) async throws(LedgerClientError) -> Replay {
        try await ask(.replay(id), as: Replay.self).value
    }
}

/// A page of the heads of all jobs.
public struct HeadsPage: Hashable, Sendable {
    public let heads: [LedgerHead]
    /// The cursor of the next page; nil at the end.
    public let nextCursor: String?
}

/// The result of an import.
package struct Imported: Hashable, Sendable {
    package let job: JobID
    /// The number of events that the ledger did not have before.
    package let appended: Int
    /// The sequence of the job's last event in the ledger.
    package let ledgerSequence: EventSequence
}

extension HeadsPage: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var heads: [LedgerHead] = []
        for element in try value.elements("heads") { heads.append(try LedgerHead(element)) }
        self.heads = heads
        nextCursor = value["next_cursor"]?.text
    }
}

extension Imported: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        guard let job = JobID(try value.text("job")) else { throw ResponseError(field: "job") }
        self.job = job
        appended = try value.integer("appended")
        ledgerSequence = try value.sequence("ledger_sequence")
    }
}
