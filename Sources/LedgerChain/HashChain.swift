internal import Crypto
public import Ledger

/// The hash chain of a job: each hash covers its event and all earlier ones.
///
/// `hash(0)` is the SHA-256 of the sixteen bytes of the job's id. `hash(n)` is the SHA-256 of `hash(n−1)` followed by
/// the ``Event/canonicalEncoding`` of event `n`. All hashes have 32 bytes. A change made around the database's own
/// rules, to an event, to the order or to the number of events, therefore changes every hash after it.
public struct HashChain: Hashable, Sendable {
    /// The hash of the last event.
    public private(set) var lastHash: EventHash

    /// Creates the chain of a job without events.
    public init(job: JobID) {
        lastHash = EventHash(SHA256.hash(data: job.bytes))
    }

    /// Creates a chain that continues after an event with this hash.
    public init(lastHash: EventHash) {
        self.lastHash = lastHash
    }

    /// Adds an event and returns its hash.
    ///
    /// Costs one SHA-256 of about 150 bytes: less than a microsecond.
    public mutating func append(_ event: Event) -> EventHash {
        var workspace = Workspace()
        append(event, in: &workspace)
        return lastHash
    }

    /// A reusable buffer in which events are encoded for hashing.
    public struct Workspace: Sendable {
        fileprivate var writer = CanonicalWriter()

        public init() {}
    }

    /// Adds an event; its hash is then the ``lastHash``.
    ///
    /// For many consecutive events: the workspace avoids an allocation for each.
    public mutating func append(_ event: Event, in workspace: inout Workspace) {
        workspace.writer.reset(to: lastHash)
        workspace.writer.write(event)
        var hash = SHA256()
        workspace.writer.withBytes { hash.update(bufferPointer: $0) }
        lastHash = EventHash(hash.finalize())
    }
}

extension EventHash {
    fileprivate init(_ digest: SHA256Digest) {
        self = digest.withUnsafeBytes { bytes in
            func word(_ number: Int) -> UInt64 {
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: number * 8, as: UInt64.self))
            }
            return EventHash(word(0), word(1), word(2), word(3))
        }
    }
}
