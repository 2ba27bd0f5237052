extension EstimateState {
    /// The version of the encoding and of the fold that produces it.
    ///
    /// States of an older version are built again from the events.
    static let version: Int64 = 1

    /// The encoding, for storage.
    ///
    /// The version, the counts and the patterns of the labels; then the running executions, in LEB128 except for 64-bit
    /// floating-point numbers. Times are differences in microseconds from the previous execution's start.
    public var encoded: [UInt8] {
        var writer = StateWriter()
        writer.write(Int64(Self.version))
        writer.write(succeeded)
        writer.write(failed)
        writer.write(untrackedRunning)
        writer.write(onlyDeclaring)
        writer.write(Int64((workersDeclare ? 1 : 0) | (repeatsFailures ? 2 : 0)))
        writer.write(sumOfLogarithms)
        writer.write(concurrency.workerSeconds)
        writer.write(concurrency.seconds)
        writer.write(lastEventAt)
        writer.write(Int64(labels.count))
        for label in labels { label.encode(to: &writer) }
        writer.write(Int64(running.count))
        for execution in running { execution.encode(to: &writer) }
        return writer.bytes
    }

    /// Decodes a stored state.
    ///
    /// Nil if it is of another version or damaged; then it must be built from the events again.
    public init?(stored bytes: [UInt8]) {
        do throws(FoldStateError) { self = try EstimateState(encoded: bytes) } catch { return nil }
    }

    /// Decodes an ``encoded`` state.
    ///
    /// - Throws: ``FoldStateError`` if the bytes are anything else.
    public init(encoded bytes: [UInt8]) throws(FoldStateError) {
        var reader = StateReader(bytes)
        let version = try reader.readInt64()
        guard version == Self.version else { throw FoldStateError("unknown version \(version) of an estimate's state") }
        succeeded = try reader.readInt64()
        failed = try reader.readInt64()
        untrackedRunning = try reader.readInt64()
        onlyDeclaring = try reader.readInt64()
        let flags = try reader.readInt64()
        workersDeclare = flags & 1 != 0
        repeatsFailures = flags & 2 != 0
        sumOfLogarithms = try reader.readDouble()
        concurrency.workerSeconds = try reader.readDouble()
        concurrency.seconds = try reader.readDouble()
        lastEventAt = try reader.readTimestamp()
        for _ in 0..<(try reader.readCount(max: Self.labelsMax)) { labels.append(try LabelPattern(from: &reader)) }
        for _ in 0..<(try reader.readCount(max: Self.runningMax)) {
            let execution = try RunningExecution(from: &reader, labels: labels.count)
            if let last = running.last, last.sequence >= execution.sequence {
                throw FoldStateError("running executions are not ascending")
            }
            partCount += execution.parts.count
            running.append(execution)
        }
        guard reader.isAtEnd else { throw FoldStateError("has extra bytes after its end") }
    }
}

extension LabelPattern {
    fileprivate func encode(to writer: inout StateWriter) {
        writer.write(indicator)
        writer.write(bits: key.hash)
        writer.write(samples)
        writer.write(microseconds)
        writer.write(units)
        writer.write(meanLogarithm)
        writer.write(squaredDeviations)
        writer.write(recent)
        writer.write(lastAdvance)
        writer.write(provisionalDone)
        writer.write(Int64(declarations.count))
        for declaration in declarations {
            writer.write(declaration.at)
            writer.write(declaration.units)
        }
    }

    fileprivate init(from reader: inout StateReader) throws(FoldStateError) {
        indicator = try reader.readInt64()
        key = NameKey(hash: try reader.readBits())
        samples = try reader.readInt64()
        microseconds = try reader.readInt64()
        units = try reader.readInt64()
        meanLogarithm = try reader.readDouble()
        squaredDeviations = try reader.readDouble()
        recent = try reader.readDurations(max: EstimateState.recentSamplesMax(labels: 1))
        lastAdvance = try reader.readTimestamp()
        provisionalDone = try reader.readInt64()
        for _ in 0..<(try reader.readCount(max: Self.declarationsMax)) {
            guard let moment = try reader.readTimestamp() else { throw FoldStateError("a declaration has no time") }
            declarations.append(Declaration(at: moment, units: try reader.readInt64()))
        }
    }
}

extension RunningExecution {
    fileprivate func encode(to writer: inout StateWriter) {
        writer.write(sequence)
        writer.write(Int64(task))
        writer.write(startedAt)
        writer.write(Int64(isAnnounced ? 1 : 0))
        writer.write(lastAdvance)
        writer.write(advances)
        writer.write(firstUnits)
        writer.write(Int64(parts.count))
        for part in parts {
            writer.write(Int64(part.label))
            writer.write(part.total)
            writer.write(part.done)
            writer.write(part.microseconds)
        }
    }

    fileprivate init(from reader: inout StateReader, labels: Int) throws(FoldStateError) {
        sequence = try reader.readInt64()
        task = UInt32(truncatingIfNeeded: try reader.readInt64())
        guard let start = try reader.readTimestamp() else { throw FoldStateError("a running execution has no start") }
        startedAt = start
        isAnnounced = try reader.readInt64() == 1
        lastAdvance = try reader.readTimestamp()
        advances = try reader.readInt64()
        firstUnits = try reader.readInt64()
        for _ in 0..<(try reader.readCount(max: EstimateState.partsMax)) {
            let label = try reader.readInt64()
            guard label >= 0, label < Int64(labels) else { throw FoldStateError("a part has no label") }
            parts.append(
                Part(
                    label: Int(label), total: try reader.readInt64(), done: try reader.readInt64(),
                    microseconds: try reader.readInt64()))
        }
    }
}
