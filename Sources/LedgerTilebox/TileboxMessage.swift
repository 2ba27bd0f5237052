internal import FoundationEssentials
public import Ledger
internal import SwiftProtobuf

/// The messages of single jobs.
public enum TileboxMessage {
    /// Reads a request for `GetJob`: the id of the job.
    public static func jobID(ofGetJob message: [UInt8]) throws(CallError) -> JobID {
        let request = try Workflows_V1_GetJobRequest(message: message)
        guard let job = try JobID(optional: request.jobID, "job_id") else {
            throw CallError(.invalidArgument, "The field job_id is missing.")
        }
        return job
    }

    /// Makes the response to `GetJob`.
    ///
    /// - Parameter now: The time for the duration of a running job.
    public static func response(_ view: JobView, now: Timestamp) -> [UInt8] { Workflows_V1_Job(view, now: now).bytes }
}

extension SwiftProtobuf.Message {
    /// Decodes a message from a client.
    init(message: [UInt8]) throws(CallError) {
        do { try self.init(serializedBytes: message) } catch {
            throw CallError(.invalidArgument, "The message is not a valid \(Self.protoMessageName).")
        }
    }

    /// The encoded message.
    var bytes: [UInt8] {
        do { return try serializedBytes() } catch {
            preconditionFailure("a message of proto3 cannot be encoded: \(error)")
        }
    }
}

extension JobID {
    /// Reads an id; nil if it is empty.
    ///
    /// - Parameter field: Its field, for the error.
    init?(optional id: Tilebox_V1_ID, _ field: String) throws(CallError) {
        guard !id.uuid.isEmpty else { return nil }
        guard id.uuid.count == 16 else {
            throw CallError(.invalidArgument, "The field \(field) has \(id.uuid.count) bytes; a UUID has 16.")
        }
        func half(_ bytes: Data) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        self.init(high: half(id.uuid.prefix(8)), low: half(id.uuid.suffix(8)))
    }

    /// The sixteen bytes, most significant first.
    var data: Data { Data(bytes) }
}
