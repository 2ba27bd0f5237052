package import Ledger
import LedgerWire
import NIOCore
import NIOHTTP1

// Requests of auditors and operators.

extension LedgerRequest {
    // MARK: Proofs

    package static func verify(
        _ job: JobID, _ range: Verification.Range = Verification.Range()
    ) -> LedgerRequest {
        var query = Query()
        query.add("after", range.after.map { $0.sequence.description })
        query.add("hash", range.after?.hash.description)
        query.add("limit", range.limit.map(String.init))
        query.add("anchor_sequence", range.anchor.map { $0.sequence.description })
        query.add("anchor_hash", range.anchor?.hash.description)
        // The server reads some 100,000 events per second, and responds when it has read all of them.
        var request = LedgerRequest.get("verify job \(job)", "/v1/jobs/\(job)/verify", query: query)
        request.wait = .seconds(600)
        return request
    }

    package static func heads(limit: Int?, cursor: String?) -> LedgerRequest {
        var query = Query()
        query.add("limit", limit.map(String.init))
        query.add("cursor", cursor)
        return .get("list the heads of all jobs", "/v1/heads", query: query)
    }

    // MARK: Exports

    package static func export(_ job: JobID) -> LedgerRequest {
        var request = LedgerRequest.get("export job \(job)", "/v1/jobs/\(job)/export")
        request.headers.append(("accept", "application/x-ndjson, application/problem+json"))
        return request
    }

    /// Imports some events of an export.
    ///
    /// - Parameter lines: The first line of the export, and some of its events.
    package static func importEvents(_ lines: [UInt8]) -> LedgerRequest {
        LedgerRequest(
            purpose: "import events", method: .POST, path: "/v1/imports",
            headers: [("content-type", "application/x-ndjson")], body: ByteBuffer(bytes: lines), isSafeToRepeat: true)
    }

    // MARK: Operations

    package static var status: LedgerRequest { .get("read the status", "/v1/status") }

    // MARK: Replays

    package static func beginReplay(_ request: Replay.Request) -> LedgerRequest {
        var json = JSONWriter()
        request.writeRequest(to: &json)
        // The server refuses a second replay while the first one runs, but not after it.
        return .post("start a replay", "/v1/replays", json: json.bytes, isSafeToRepeat: false)
    }

    package static func replay(_ id: JobID) -> LedgerRequest {
        .get("read replay \(id)", "/v1/replays/\(id)")
    }

    package static func replays(limit: Int?) -> LedgerRequest {
        var query = Query()
        query.add("limit", limit.map(String.init))
        return .get("list replays", "/v1/replays", query: query)
    }

    package static func revertReplay(_ id: JobID) -> LedgerRequest {
        LedgerRequest(
            purpose: "revert replay \(id)", method: .POST, path: "/v1/replays/\(id)/revert", isSafeToRepeat: false)
    }

    package static func dropReplay(_ id: JobID) -> LedgerRequest {
        LedgerRequest(purpose: "drop replay \(id)", method: .DELETE, path: "/v1/replays/\(id)", isSafeToRepeat: true)
    }
}
