extension RunSummary {
    /// The version of the encoding and of the rules by which summaries are made.
    ///
    /// A program reads no summary of a later version than its own.
    public static let version: Int16 = 2
    /// The versions that can be decoded.
    ///
    /// Those of retired jobs cannot be made again. Version 1 lacks the longest times without an advance or an event; as
    /// the last builds that wrote it appended them, they may be there all the same.
    public static let readableVersions: ClosedRange<Int16> = 1...version

    /// The encoding, for storage: at most about 45 kB.
    public var encoded: [UInt8] {
        var writer = StateWriter()
        writer.write(seconds)
        writer.write(Int64(labels.count))
        for label in labels {
            writer.write(bits: label.key.hash)
            for number in [label.total, label.done, label.growthShare, label.executions, label.units] {
                writer.write(number)
            }
            writer.write(label.quantiles)
        }
        let indices = Dictionary(labels.indices.map { (labels[$0].key, $0) }) { first, _ in first }
        let known = tasks.compactMap { task in indices[task.label].map { (task: task, label: $0) } }
        writer.write(Int64(known.count))
        for entry in known {
            writer.write(bits: entry.task.task)
            writer.write(Int64(entry.label))
            writer.write(bits: entry.task.duration.steps)
        }
        writer.write(Int64(errors == nil ? 0 : 1))
        if let errors {
            for bias in errors.bias { writer.write(bias ?? .infinity) }
            writer.write(errors.above)
            writer.write(errors.below)
        }
        writer.write(longestGap)
        for label in labels { writer.write(label.longestQuiet) }
        return writer.bytes
    }

    /// Decodes an ``encoded`` summary.
    ///
    /// - Parameter version: The version with which it was stored.
    /// - Throws: ``FoldStateError`` if the bytes are anything else.
    public init(encoded bytes: [UInt8], version: Int16 = RunSummary.version) throws(FoldStateError) {
        guard Self.readableVersions.contains(version) else {
            throw FoldStateError("unknown version \(version) of a summary")
        }
        var reader = StateReader(bytes)
        seconds = try reader.readDouble()
        labels = []
        for _ in 0..<(try reader.readCount(max: Self.labelsMax)) {
            labels.append(
                Label(
                    key: NameKey(hash: try reader.readBits()), total: try reader.readDouble(),
                    done: try reader.readDouble(), growthShare: try reader.readDouble(),
                    executions: try reader.readDouble(), units: try reader.readDouble(),
                    quantiles: try reader.readDurations(max: Self.quantilesMax)))
        }
        tasks = []
        for _ in 0..<(try reader.readCount(max: Self.tasksMax)) {
            let task = try reader.readBits() as UInt32
            let label = try reader.readCount(max: labels.count - 1)
            tasks.append(
                TaskDuration(
                    task: task, label: labels[label].key, duration: LogDuration(steps: try reader.readBits())))
        }
        if try reader.readInt64() == 1 {
            var bias: [Double?] = []
            for _ in 0..<Errors.phaseCount {
                let value = try reader.readDouble()
                bias.append(value.isFinite ? value : nil)
            }
            errors = Errors(bias: bias, above: try reader.readDouble(), below: try reader.readDouble())
        }
        if version == 1, reader.isAtEnd { return }
        longestGap = try reader.readDouble()
        for index in labels.indices { labels[index].longestQuiet = try reader.readDouble() }
        guard reader.isAtEnd else { throw FoldStateError("has extra bytes after its end") }
    }
}

extension StateWriter {
    /// Writes an integer in all its bytes, the lowest first.
    mutating func write(bits value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) {
            write(byte: UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    mutating func write(_ value: Double) { write(bits: value.bitPattern) }

    /// Writes a time; nil as 0.
    mutating func write(_ moment: Timestamp?) {
        write(Int64(moment == nil ? 0 : 1))
        if let moment { write(bits: moment.microseconds) }
    }

    mutating func write(_ durations: [LogDuration]) {
        write(Int64(durations.count))
        for duration in durations { write(bits: duration.steps) }
    }
}

extension StateReader {
    /// Reads an integer in all its bytes, the lowest first.
    mutating func readBits<Value: FixedWidthInteger>() throws(FoldStateError) -> Value {
        var value: Value = 0
        for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
            value |= Value(truncatingIfNeeded: try readByte()) << shift
        }
        return value
    }

    mutating func readDouble() throws(FoldStateError) -> Double { Double(bitPattern: try readBits()) }

    mutating func readTimestamp() throws(FoldStateError) -> Timestamp? {
        try readInt64() == 0 ? nil : Timestamp(microseconds: try readBits())
    }

    mutating func readDurations(max: Int) throws(FoldStateError) -> [LogDuration] {
        var durations: [LogDuration] = []
        for _ in 0..<(try readCount(max: max)) { durations.append(LogDuration(steps: try readBits())) }
        return durations
    }
}
