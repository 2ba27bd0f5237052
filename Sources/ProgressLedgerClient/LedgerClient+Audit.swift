public import Ledger
package import LedgerWire

// What auditors and operators ask for. Every function throws ``LedgerClientError``.

extension LedgerClient {
    /// Has the server recompute the hash chain of a stretch of a job, and says what is wrong with it, if anything. Takes
    /// some seconds for each million events.
    public func verify(
        _ job: JobID, _ stretch: Verification.Range = Verification.Range()
    ) async throws(LedgerClientError) -> Verification {
        try await ask(.verify(job, stretch), as: VerificationResponse.self).value.verification
    }

    /// A page of the last events of all jobs with their hashes, in the order of their ids.
    ///
    /// - Parameter cursor: ``HeadsPage/nextCursor`` of the page before.
    public func heads(limit: Int = 1_000, cursor: String? = nil) async throws(LedgerClientError) -> HeadsPage {
        try await ask(.heads(limit: limit, cursor: cursor), as: HeadsPage.self).value
    }

    /// The ledger of a job as it was recorded, a line at a time and no faster than it is taken.
    package func exportLines(of job: JobID) -> LineStream {
        LineStream(client: self, request: .export(job))
    }

    /// Takes over some events of an export.
    ///
    /// - Parameter lines: The first line of the export and then 1 to 10,000 of its events, 16 MiB at most.
    package func importLines(_ lines: [UInt8]) async throws(LedgerClientError) -> Imported {
        try await ask(.importEvents(lines), as: Imported.self).value
    }

    /// What is behind, who works on it, and what stands in the way.
    public func status() async throws(LedgerClientError) -> LedgerStatus {
        try await ask(.status, as: LedgerStatus.self).value
    }

    /// Begins to recompute projections, of one job or of all.
    public func beginReplay(_ request: Replay.Request) async throws(LedgerClientError) -> Replay {
        try await ask(.beginReplay(request), as: Replay.self).value
    }

    /// How far a replay is, and what it has found.
    public func replay(_ id: JobID) async throws(LedgerClientError) -> Replay {
        try await ask(.replay(id), as: Replay.self).value
    }
}

/// A part of the heads of all jobs.
public struct HeadsPage: Hashable, Sendable {
    public let heads: [LedgerHead]
    /// Where the next page begins; nil at the end.
    public let nextCursor: String?
}

/// What has become of events that were imported.
package struct Imported: Hashable, Sendable {
    package let job: JobID
    /// How many of them are new there.
    package let appended: Int
    /// The last event of the job there.
    package let ledgerSequence: Int64
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
        ledgerSequence = try value.integer("ledger_sequence")
    }
}
