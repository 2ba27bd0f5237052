internal import Glibc

/// A parser of snapshots in a response of server-sent events (HTTP/1.1, chunked).
struct EventStreamReader {
    /// The content of a snapshot, as far as the benchmark needs it.
    struct ShownSnapshot: Equatable {
        /// The sequence of the last event in the snapshot.
        var sequence: Int64 = 0
        /// The sum of the units done over all indicators.
        var done: Int64 = 0
    }

    private enum Section {
        case head
        case chunkSize
        /// The number of missing bytes of the chunk, before its line end.
        case chunk(Int)
    }

    private var section = Section.head
    private var waiting: [UInt8] = []
    private var text: [UInt8] = []

    /// Adds received bytes.
    ///
    /// - Returns: The snapshots that are now complete.
    mutating func add(_ bytes: UnsafeRawBufferPointer) throws -> [ShownSnapshot] {
        waiting.append(contentsOf: bytes)
        var start = 0
        while let next = try step(from: start) { start = next }
        waiting.removeSubrange(..<start)
        return try events()
    }

    /// Parses one part from an offset.
    ///
    /// - Returns: The end of the part; nil if it is incomplete.
    private mutating func step(from start: Int) throws -> Int? {
        switch section {
        case .head:
            guard let end = Self.find("\r\n\r\n", in: waiting, from: start) else { return nil }
            guard waiting[start...].starts(with: "HTTP/1.1 200 ".utf8) else {
                throw BenchmarkError("a watcher was refused: \(String(decoding: waiting[start..<end], as: UTF8.self))")
            }
            section = .chunkSize
            return end + 4
        case .chunkSize:
            guard let end = Self.find("\r\n", in: waiting, from: start) else { return nil }
            guard let size = Int(String(decoding: waiting[start..<end], as: UTF8.self), radix: 16), size > 0 else {
                throw BenchmarkError("the server ended a stream")
            }
            section = .chunk(size)
            return end + 2
        case .chunk(let size):
            guard waiting.count - start >= size + 2 else { return nil }
            text += waiting[start..<start + size]
            section = .chunkSize
            return start + size + 2
        }
    }

    private mutating func events() throws -> [ShownSnapshot] {
        var found: [ShownSnapshot] = []
        var start = 0
        while let end = Self.find("\n\n", in: text, from: start) {
            if let shown = try Self.snapshot(text[start..<end]) { found.append(shown) }
            start = end + 2
        }
        text.removeSubrange(..<start)
        return found
    }

    /// The snapshot of an event; nil if the event is not a snapshot.
    private static func snapshot(_ event: ArraySlice<UInt8>) throws -> ShownSnapshot? {
        let bytes = Array(event)
        guard find("event: snapshot\n", in: bytes, from: 0) != nil else { return nil }
        guard let id = find("id: ", in: bytes, from: 0) else { throw BenchmarkError("a snapshot has no id") }
        var shown = ShownSnapshot(sequence: number(bytes, at: id + 4))
        var offset = 0
        while let next = find("\"done\":", in: bytes, from: offset) {
            offset = next + 7
            shown.done += number(bytes, at: offset)
        }
        return shown
    }

    private static func number(_ bytes: [UInt8], at offset: Int) -> Int64 {
        bytes[offset...].prefix { $0 >= 48 && $0 <= 57 }.reduce(0) { $0 * 10 + Int64($1 - 48) }
    }

    /// The first offset, from a start, at which a string occurs.
    private static func find(_ pattern: StaticString, in bytes: [UInt8], from start: Int) -> Int? {
        let count = pattern.utf8CodeUnitCount
        return bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            var offset = start
            while bytes.count - offset >= count {
                guard
                    let found = memchr(
                        base + offset, Int32(pattern.utf8Start.pointee), bytes.count - offset - count + 1)
                else { return nil }
                offset = UnsafeRawPointer(found) - base
                if memcmp(base + offset, pattern.utf8Start, count) == 0 { return offset }
                offset += 1
            }
            return nil
        }
    }
}
