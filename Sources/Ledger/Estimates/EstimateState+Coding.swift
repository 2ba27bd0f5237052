extension EstimateState {
    /// The version of the encodings and of the fold that produces them.
    ///
    /// States of an older version are built again from the events.
    public static let version: Int64 = 4

    /// The encoding of the part that concerns the job as a whole, for storage.
    ///
    /// It takes about fifty bytes. All numbers are in LEB128 except for 64-bit floating-point numbers.
    public var encoded: [UInt8] {
        var writer = StateWriter()
        writer.write(Self.version)
        writer.write(labelCount)
        writer.write(runningCount)
        writer.write(onlyDeclaring)
        writer.write(succeeded)
        writer.write(failed)
        writer.write(Int64((workersDeclare ? 1 : 0) | (repeatsFailures ? 2 : 0)))
        writer.write(sumOfLogarithms)
        writer.write(concurrency.workerSeconds)
        writer.write(concurrency.seconds)
        writer.write(lastEventAt)
        writer.write(lastAdvance)
        writer.write(reopenedAt)
        gaps.encode(to: &writer)
        return writer.bytes
    }

    /// Decodes a stored state without its patterns and running executions.
    ///
    /// Nil if it is of another version or damaged; then it must be built from the events again.
    public init?(stored bytes: [UInt8]) {
        do throws(FoldStateError) { self = try EstimateState(encoded: bytes) } catch { return nil }
    }

    /// Decodes an ``encoded`` state, which has no patterns and running executions.
    ///
    /// - Throws: ``FoldStateError`` if the bytes are anything else.
    public init(encoded bytes: [UInt8]) throws(FoldStateError) {
        var reader = StateReader(bytes)
        let version = try reader.readInt64()
        guard version == Self.version else { throw FoldStateError("unknown version \(version) of an estimate's state") }
        labelCount = try reader.readInt64()
        runningCount = try reader.readInt64()
        onlyDeclaring = try reader.readInt64()
        succeeded = try reader.readInt64()
        failed = try reader.readInt64()
        let flags = try reader.readInt64()
        workersDeclare = flags & 1 != 0
        repeatsFailures = flags & 2 != 0
        sumOfLogarithms = try reader.readDouble()
        concurrency.workerSeconds = try reader.readDouble()
        concurrency.seconds = try reader.readDouble()
        lastEventAt = try reader.readTimestamp()
        lastAdvance = try reader.readTimestamp()
        reopenedAt = try reader.readTimestamp()
        gaps = try AdvanceGaps(from: &reader)
        guard reader.isAtEnd else { throw FoldStateError("has extra bytes after its end") }
    }

    /// Returns the encoded pattern of an indicator; nil without one.
    public func encodedPattern(of indicator: IndicatorID) -> [UInt8]? {
        patterns[indicator].map { pattern in
            var writer = StateWriter()
            pattern.encode(to: &writer)
            return writer.bytes
        }
    }

    /// Returns the encoded work of a running execution.
    ///
    /// Nil if it is not running, or not the last one of its task.
    public func encodedWork(of execution: ExecutionID) -> [UInt8]? {
        running[execution].map { execution in
            var writer = StateWriter()
            execution.encode(to: &writer)
            return writer.bytes
        }
    }

    /// Restores patterns, encoded one after the other.
    ///
    /// Those that are in the state already stay.
    ///
    /// - Throws: ``FoldStateError`` if the bytes are anything else.
    public mutating func restore(patterns bytes: [UInt8]) throws(FoldStateError) {
        var reader = StateReader(bytes)
        while !reader.isAtEnd {
            let pattern = try LabelPattern(from: &reader)
            if patterns[pattern.indicator] == nil { patterns[pattern.indicator] = pattern }
        }
    }

    /// Restores the work of running executions, encoded one after the other.
    ///
    /// Those that are in the state already stay.
    ///
    /// - Throws: ``FoldStateError`` if the bytes are anything else.
    public mutating func restore(work bytes: [UInt8]) throws(FoldStateError) {
        var reader = StateReader(bytes)
        while !reader.isAtEnd {
            let execution = try RunningExecution(from: &reader)
            if running[execution.id] == nil { running[execution.id] = execution }
        }
    }
}

extension AdvanceGaps {
    fileprivate func encode(to writer: inout StateWriter) {
        writer.write(count)
        writer.write(longest)
    }

    fileprivate init(from reader: inout StateReader) throws(FoldStateError) {
        count = try reader.readInt64()
        longest = try reader.readInt64()
    }
}

extension LabelPattern {
    fileprivate func encode(to writer: inout StateWriter) {
        writer.write(indicator.sequence)
        writer.write(bits: key.hash)
        writer.write(samples)
        writer.write(microseconds)
        writer.write(units)
        writer.write(unsuccessfulMicroseconds)
        writer.write(unsuccessfulUnits)
        writer.write(meanLogarithm)
        writer.write(squaredDeviations)
        writer.write(recent)
        writer.write(lastAdvance)
        gaps.encode(to: &writer)
        writer.write(longestQuiet)
        writer.write(throughput.units)
        writer.write(throughput.seconds)
        writer.write(provisionalDone)
        writer.write(Int64(declarations.count))
        // The first time is absolute; the others are differences from the previous one, which is earlier.
        var previous: Int64?
        for declaration in declarations {
            let moment = declaration.at.microseconds
            if let previous { writer.write(max(0, moment - previous)) } else { writer.write(bits: moment) }
            writer.write(declaration.units)
            previous = moment
        }
    }

    fileprivate init(from reader: inout StateReader) throws(FoldStateError) {
        indicator = IndicatorID(try reader.readSequence())
        key = NameKey(hash: try reader.readBits())
        samples = try reader.readInt64()
        microseconds = try reader.readInt64()
        units = try reader.readInt64()
        unsuccessfulMicroseconds = try reader.readInt64()
        unsuccessfulUnits = try reader.readInt64()
        meanLogarithm = try reader.readDouble()
        squaredDeviations = try reader.readDouble()
        recent = try reader.readDurations(max: EstimateState.recentSamplesMax(labels: 1))
        lastAdvance = try reader.readTimestamp()
        gaps = try AdvanceGaps(from: &reader)
        longestQuiet = try reader.readInt64()
        throughput = Throughput(units: try reader.readDouble(), seconds: try reader.readDouble())
        provisionalDone = try reader.readInt64()
        let count = try reader.readCount(max: Self.declarationsMax)
        var moment: Int64 = 0
        declarations.reserveCapacity(count)
        for index in 0..<count {
            moment = index == 0 ? try reader.readBits() : moment.adding(try reader.readInt64())
            declarations.append(
                Declaration(at: Timestamp(microseconds: moment), units: try reader.readInt64()))
        }
    }
}

extension RunningExecution {
    func encode(to writer: inout StateWriter) {
        writer.write(id.sequence)
        writer.write(task.sequence)
        writer.write(bits: taskKey)
        writer.write(bits: startedAt.microseconds)
        writer.write(Int64((isAnnounced ? 1 : 0) | (beginsBeforeFirstUnit ? 2 : 0)))
        writer.write(max(0, lastEventAt.microseconds - startedAt.microseconds))
        writer.write(longestQuiet)
        writer.write(reports)
        // 0 before the first one. Times never decrease within a job.
        writer.write(lastAdvance.map { 1 + max(0, $0.microseconds - startedAt.microseconds) } ?? 0)
        writer.write(advances)
        writer.write(firstUnits)
        writer.write(Int64(parts.count))
        for part in parts {
            writer.write(part.indicator.sequence)
            writer.write(part.total)
            writer.write(part.done)
            writer.write(part.microseconds)
        }
    }

    init(from reader: inout StateReader) throws(FoldStateError) {
        id = ExecutionID(try reader.readSequence())
        task = TaskID(try reader.readSequence())
        taskKey = try reader.readBits()
        let start: Int64 = try reader.readBits()
        startedAt = Timestamp(microseconds: start)
        let flags = try reader.readInt64()
        isAnnounced = flags & 1 != 0
        beginsBeforeFirstUnit = flags & 2 != 0
        lastEventAt = Timestamp(microseconds: start.adding(try reader.readInt64()))
        longestQuiet = try reader.readInt64()
        reports = try reader.readInt64()
        let advance = try reader.readInt64()
        lastAdvance = advance > 0 ? Timestamp(microseconds: start.adding(advance - 1)) : nil
        advances = try reader.readInt64()
        firstUnits = try reader.readInt64()
        let count = try reader.readCount(max: Limits.labelsPerExecutionMax)
        parts.reserveCapacity(count)
        for _ in 0..<count {
            parts.append(
                Part(
                    // The total may be negative, which is written in 64 bits.
                    indicator: IndicatorID(try reader.readSequence()),
                    total: Int64(truncatingIfNeeded: try reader.readInt128()),
                    done: try reader.readInt64(),
                    microseconds: try reader.readInt64()))
        }
    }
}
