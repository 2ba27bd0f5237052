public import Ledger

extension Event {
    /// The bytes of an event that its hash covers.
    ///
    /// The encoding never changes. Equal events have equal bytes, and different events have different bytes.
    ///
    /// All integers are big-endian, signed ones in two's complement.
    ///
    /// ```
    /// 1 byte    the version of this encoding: 1
    /// 1 byte    the type: 1 job_created, 2 execution_started, 3 progress, 4 execution_finished, 5 job_finished
    /// 8 bytes   sequence
    /// 8 bytes   recorded_at, in microseconds since 1970-01-01T00:00:00Z
    /// then, for each field that the event has, in ascending order of its number:
    ///   1 byte    the number of the field
    ///   4 bytes   the length of its content in bytes
    ///   n bytes   its content
    /// ```
    ///
    /// | number | field | content |
    /// |---|---|---|
    /// | 1 | `at` | 8 bytes, as `recorded_at` |
    /// | 2 | `task` | the text in UTF-8 |
    /// | 3 | `execution` | the text in UTF-8 |
    /// | 4 | `attempt` | 8 bytes |
    /// | 5 | `report` | 8 bytes |
    /// | 6 | `label` | the text in UTF-8; absent for the default indicator |
    /// | 7 | `total` | 8 bytes |
    /// | 8 | `done` | 8 bytes |
    /// | 9 | `outcome` | the word in UTF-8, as in JSON |
    /// | 10 | `name` | the text in UTF-8 |
    /// | 11 | `key` | the text in UTF-8 |
    /// | 12 | `tags` | the tags as below; absent if there are none |
    /// | 13 | `message` | the text in UTF-8 |
    /// | 14 | `link` | the text in UTF-8 |
    /// | 15 | `unit` | the text in UTF-8 |
    /// | 16 | `reporter` | the text in UTF-8; absent without authentication |
    /// | 17 | `part` | the text in UTF-8 |
    /// | 18 | `carried` | 8 bytes |
    ///
    /// The tags are in ascending order of the bytes of their names. Each is encoded as 4 bytes length of the name, the
    /// name, 4 bytes length of the value, and the value.
    public var canonicalEncoding: [UInt8] {
        var writer = CanonicalWriter()
        writer.write(self)
        return writer.bytes
    }
}

/// Encodes events into one reusable buffer.
struct CanonicalWriter: Sendable {
    /// The written bytes, followed by free space.
    private var storage = [UInt8](repeating: 0, count: 512)
    private var count = 0

    /// The bytes written since the buffer was last reset.
    var bytes: [UInt8] { Array(storage[..<count]) }

    func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        storage.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }

    /// Resets the buffer to the bytes of this hash.
    mutating func reset(to start: EventHash) {
        count = 0
        let words = start.words
        put(words.0)
        put(words.1)
        put(words.2)
        put(words.3)
    }

    private mutating func reserve(_ more: Int) {
        guard count + more > storage.count else { return }
        storage += repeatElement(0, count: max(count + more - storage.count, storage.count))
    }

    private mutating func put(_ content: UnsafeRawBufferPointer) {
        reserve(content.count)
        storage.withUnsafeMutableBytes {
            UnsafeMutableRawBufferPointer(rebasing: $0[count...]).copyMemory(from: content)
        }
        count += content.count
    }

    private mutating func put<Value: FixedWidthInteger>(_ value: Value) {
        let size = MemoryLayout<Value>.size
        reserve(size)
        storage.withUnsafeMutableBytes { $0.storeBytes(of: value.bigEndian, toByteOffset: count, as: Value.self) }
        count += size
    }

    mutating func write(_ event: Event) {
        put(1 as UInt8)
        put(UInt8(truncatingIfNeeded: event.body.type.rawValue))
        put(event.sequence.number)
        put(event.recordedAt.microseconds)
        if let at = event.at { field(1, at.microseconds) }
        switch event.body {
        case .jobCreated(let description):
            write(description)
        case .executionStarted(let reference):
            write(reference)
        case .progress(let progress):
            write(progress.reference)
            write(progress)
            writeNotes(of: event)
            if let unit = progress.unit { field(15, unit) }
            if let reporter = event.reporter { field(16, reporter) }
            if let part = progress.part { field(17, part) }
            if let carried = progress.carried { field(18, carried) }
            return
        case .executionFinished(let reference, let outcome):
            write(reference)
            field(9, Name(outcome.rawValue))
        case .jobFinished(let outcome):
            field(9, Name(outcome.rawValue))
        }
        writeNotes(of: event)
        if let reporter = event.reporter { field(16, reporter) }
    }

    private mutating func writeNotes(of event: Event) {
        if let message = event.message { field(13, message) }
        if let link = event.link { field(14, link) }
    }

    private mutating func write(_ reference: ExecutionReference) {
        field(2, reference.task)
        if let execution = reference.execution { field(3, execution) }
        if let attempt = reference.attempt { field(4, Int64(attempt)) }
    }

    private mutating func field(_ number: UInt8, _ value: Int64) {
        put(number)
        put(8 as UInt32)
        put(value)
    }

    private mutating func field(_ number: UInt8, _ name: Name) {
        put(number)
        write(name)
    }

    private mutating func write(_ name: Name) {
        var text = name.text
        text.withUTF8 { text in
            put(UInt32(text.count))
            put(UnsafeRawBufferPointer(text))
        }
    }

    private mutating func write(_ progress: ProgressReport) {
        if let report = progress.report { field(5, report) }
        if let label = progress.label { field(6, label) }
        if let total = progress.total { field(7, total) }
        if let done = progress.done { field(8, done) }
    }

    private mutating func write(_ description: JobDescription) {
        field(10, description.name)
        if let key = description.key { field(11, key) }
        guard !description.tags.isEmpty else { return }
        let tags = description.sortedTags
        put(12 as UInt8)
        put(UInt32(tags.reduce(0) { $0 + 8 + $1.name.text.utf8.count + $1.value.text.utf8.count }))
        for (name, value) in tags {
            write(name)
            write(value)
        }
    }
}
