/// The compact state of a whole job after an event, from which a fold continues.
///
/// It contains a ``Fold`` that began with the first event, and its ``EstimateState``. A job of a hundred thousand
/// executions takes some 25 MB instead of 100, and shares with the checkpoint before it what has not changed. To
/// restore a state takes some 1 µs for each execution.
///
/// Tasks are not stored: they follow from their executions.
public struct FoldCheckpoint: Sendable {
    /// The number of executions in a block.
    ///
    /// A block that has not changed is shared. Smaller ones are shared more often, but there are more of them.
    static let blockSizeDefault = 512

    private let progress: JobProgress
    private let indicators: [IndicatorState]
    private let pages: [ReportPage.Key: ReportPage]
    private let discards: [Discard]
    /// The state of estimates without running executions, which are in the blocks.
    private let estimate: EstimateState
    private let blockSize: Int
    private let blocks: [Block]
    private let taskCount: Int
    private let executionCount: Int
    private let archivedCount: Int
    /// The approximate memory of everything but the blocks.
    private let otherBytes: Int

    /// The event after which the state is.
    public var sequence: EventSequence { progress.sequence }

    /// Creates the checkpoint of a state.
    ///
    /// Costs a pass over the executions, and some 1 µs for each in a block that has changed.
    ///
    /// - Parameters:
    ///   - fold: A fold of the whole job, which does not track changes.
    ///   - estimate: The state of estimates after the same event.
    ///   - previous: An earlier checkpoint of the same history, to share with.
    public init(_ fold: Fold, _ estimate: EstimateState, after previous: FoldCheckpoint?) {
        self.init(fold, estimate, after: previous, blockSize: Self.blockSizeDefault)
    }

    init(_ fold: Fold, _ estimate: EstimateState, after previous: FoldCheckpoint?, blockSize: Int) {
        precondition(!fold.tracksChanges, "a checkpoint has no changes to store")
        precondition(previous?.blockSize ?? blockSize == blockSize, "blocks of different sizes cannot be shared")
        progress = fold.progress
        indicators = fold.indicators
        pages = fold.pages
        discards = fold.dirty.discards
        self.estimate = estimate.withoutRunning
        self.blockSize = blockSize
        taskCount = fold.tasks.count
        executionCount = fold.executions.count
        archivedCount = fold.archivedCount
        otherBytes = 1_024 + fold.memoryEstimateWithoutExecutions + self.estimate.memoryEstimate
        blocks = Self.blocks(of: fold, estimate, after: previous, size: blockSize)
    }

    private static func blocks(
        of fold: Fold, _ estimate: EstimateState, after previous: FoldCheckpoint?, size: Int
    ) -> [Block] {
        let last = previous?.sequence ?? .start
        var blocks: [Block] = []
        blocks.reserveCapacity(fold.executions.count / size + 1)
        for start in stride(from: 0, to: fold.executions.count, by: size) {
            let range = start..<min(start + size, fold.executions.count)
            let earlier = previous.flatMap { previous in
                previous.executionCount >= range.upperBound ? previous.blocks[blocks.count] : nil
            }
            if let earlier, !fold.executions[range].contains(where: { $0.hasChanged(since: last) }) {
                blocks.append(earlier)
            } else {
                blocks.append(Block(range, of: fold, estimate, names: earlier?.names))
            }
        }
        return blocks
    }

    /// The approximate memory that it does not share with an earlier checkpoint.
    ///
    /// In bytes.
    ///
    /// - Parameter previous: The checkpoint before it; nil for its whole memory.
    public func bytes(after previous: FoldCheckpoint?) -> Int {
        var bytes = otherBytes
        for (index, block) in blocks.enumerated() {
            let earlier = previous.flatMap { index < $0.blocks.count ? $0.blocks[index] : nil }
            if block === earlier { continue }
            bytes += block.executions.count + 128
            if block.names !== earlier?.names { bytes += block.names.bytes }
        }
        return bytes
    }

    /// Returns the state.
    ///
    /// - Parameter positions: Those of a later state of the same history, which halve the time; nil without one.
    public func state(sharing positions: FoldPositions?) throws(FoldStateError) -> (
        fold: Fold, estimate: EstimateState
    ) {
        var estimate = estimate
        estimate.running.reserveCapacity(Int(estimate.runningCount))
        var fold = Fold(
            progress, indicators: indicators, pages: pages, archivedCount: archivedCount, discards: discards)
        fold.prepare(tasks: taskCount, executions: executionCount, sharing: positions)
        for block in blocks { try block.restore(to: &fold, &estimate) }
        return (fold, estimate)
    }
}

extension Execution {
    /// Whether any of its events is after this one, or the event that superseded it.
    fileprivate func hasChanged(since sequence: EventSequence) -> Bool {
        lastSequence > sequence || supersededBy.map { $0.sequence > sequence } ?? false
    }
}

extension EstimateState {
    fileprivate var withoutRunning: EstimateState {
        var state = self
        state.running = [:]
        return state
    }
}

// MARK: Blocks

extension FoldCheckpoint {
    /// The names of the executions of a block, and of the tasks that begin in it.
    ///
    /// They never change, so states share them.
    fileprivate final class Names: Sendable {
        let executions: [Name?]
        let tasks: [Name]
        let bytes: Int

        init(_ range: Range<Int>, of fold: Fold) {
            executions = range.map { fold.executions[$0].name }
            let began = range.filter { fold.executions[$0].isFirst }
            let first = began.first.map { index in
                fold.tasks.partitioningIndex { $0.id >= fold.executions[index].task }
            }
            tasks = first.map { first in fold.tasks[first..<first + began.count].map(\.name) } ?? []
            let texts = executions.reduce(0) { $0 + ($1?.heapBytes ?? 0) } + tasks.reduce(0) { $0 + $1.heapBytes }
            bytes = 128 + 16 * (executions.count + tasks.count) + texts
        }
    }

    /// Consecutive executions.
    ///
    /// Those that are running have their part of the state of estimates with them.
    fileprivate final class Block: Sendable {
        let names: Names
        let executions: [UInt8]

        init(_ range: Range<Int>, of fold: Fold, _ estimate: EstimateState, names: Names?) {
            self.names = names ?? Names(range, of: fold)
            var writer = StateWriter()
            var previous = Previous()
            for index in range {
                let execution = fold.executions[index]
                execution.encode(after: &previous, running: estimate.running[execution.id], to: &writer)
            }
            executions = writer.bytes
        }

        func restore(to fold: inout Fold, _ estimate: inout EstimateState) throws(FoldStateError) {
            var reader = StateReader(executions)
            var previous = Previous()
            var began = 0
            for name in names.executions {
                let (execution, running) = try Execution.decode(name, after: &previous, &reader)
                if let running { estimate.running[execution.id] = running }
                fold.restore(execution, beginning: execution.isFirst ? names.tasks[began] : nil)
                if execution.isFirst { began += 1 }
            }
        }
    }

    /// The numbers that the next execution of a block differs little from.
    fileprivate struct Previous {
        var id: Int64 = 0
        var startedAt: Int64 = 0
    }
}

extension Name {
    /// The approximate memory outside of the value.
    fileprivate var heapBytes: Int {
        let count = text.utf8.count
        return count > 15 ? count + 48 : 0
    }
}

extension Execution {
    /// Whether it is the first one of its task.
    fileprivate var isFirst: Bool { id.sequence == task.sequence }

    private static let outcomes: [ExecutionOutcome?] = [nil, .succeeded, .failed, .canceled]

    fileprivate func encode(
        after previous: inout FoldCheckpoint.Previous, running: RunningExecution?, to writer: inout StateWriter
    ) {
        let number = id.sequence.number
        writer.write(number - previous.id)
        writer.write(number - task.sequence.number)
        writer.write(Int64(attempt))
        writer.write(signed: startedAt.microseconds - previous.startedAt)
        writer.write(Int64(Self.outcomes.firstIndex(of: outcome) ?? 0) << 1 | (running == nil ? 0 : 1))
        writer.write(lastSequence.number - number)
        writer.write(signed: lastAt.microseconds - startedAt.microseconds)
        // An event of an execution is never event 0.
        writer.write(supersededBy?.sequence.number ?? 0)
        writer.write(messageSequence?.number ?? 0)
        writer.write(linkSequence?.number ?? 0)
        encodeReports(to: &writer)
        running?.encode(to: &writer)
        previous = FoldCheckpoint.Previous(id: number, startedAt: startedAt.microseconds)
    }

    fileprivate static func decode(
        _ name: Name?, after previous: inout FoldCheckpoint.Previous, _ reader: inout StateReader
    ) throws(FoldStateError) -> (Execution, running: RunningExecution?) {
        let number = previous.id + (try reader.readInt64())
        let task = TaskID(EventSequence(number - (try reader.readInt64())))
        let attempt = Int32(truncatingIfNeeded: try reader.readInt64())
        let startedAt = previous.startedAt + (try reader.readSigned())
        let flags = try reader.readInt64()
        let lastSequence = EventSequence(number + (try reader.readInt64()))
        let lastAt = startedAt + (try reader.readSigned())
        let supersededBy = try reader.readReference()
        let messageSequence = try reader.readReference()
        let linkSequence = try reader.readReference()
        let (contributions, reports) = try decodeReports(&reader)
        let execution = Execution(
            id: ExecutionID(EventSequence(number)), task: task, name: name, attempt: attempt,
            startedAt: Timestamp(microseconds: startedAt), outcome: outcomes[Int(flags >> 1)],
            lastSequence: lastSequence, lastAt: Timestamp(microseconds: lastAt),
            supersededBy: supersededBy.map { ExecutionID($0) }, messageSequence: messageSequence,
            linkSequence: linkSequence, contributions: contributions, reports: reports)
        previous = FoldCheckpoint.Previous(id: number, startedAt: startedAt)
        return (execution, flags & 1 == 1 ? try RunningExecution(from: &reader) : nil)
    }
}

extension StateReader {
    /// Reads an event; 0 is nil.
    fileprivate mutating func readReference() throws(FoldStateError) -> EventSequence? {
        let number = try readInt64()
        return number == 0 ? nil : EventSequence(number)
    }
}

// MARK: Restoring

extension Fold {
    /// Creates a fold of a whole job, without its tasks and executions.
    fileprivate init(
        _ progress: JobProgress, indicators: [IndicatorState], pages: [ReportPage.Key: ReportPage],
        archivedCount: Int, discards: [Discard]
    ) {
        self.init(progress, tracksChanges: false, isComplete: true)
        for indicator in indicators { _ = insert(indicator) }
        for (key, _) in pages { countNote(key.part) }
        self.pages = pages
        self.archivedCount = archivedCount
        dirty.discards = discards
    }

    fileprivate mutating func prepare(tasks taskCount: Int, executions count: Int, sharing positions: FoldPositions?) {
        tasks.reserveCapacity(taskCount)
        recentExecutions.reserveCapacity(taskCount)
        executions.reserveCapacity(count)
        if let positions, positions.executionCount >= count {
            taskIndices = PositionIndex(first: taskCount, of: positions.tasks)
            executionIndices = PositionIndex(first: count, of: positions.executions)
            namedExecutions = PositionIndex(first: count, of: positions.named)
            attemptedExecutions = PositionIndex(first: count, of: positions.attempted)
        } else {
            taskIndices.reserve(taskCount)
            executionIndices.reserve(count)
            namedExecutions.reserve(count)
            attemptedExecutions.reserve(count)
        }
    }

    /// Restores the next execution of the job.
    ///
    /// - Parameter name: The name of its task if it is the first one.
    fileprivate mutating func restore(_ execution: Execution, beginning name: Name?) {
        let index: Int
        if executionIndices.isShared {
            index = executions.count
            append(execution)
        } else {
            index = insert(execution)
        }
        guard let name else {
            let task = tasks.partitioningIndex { $0.id >= execution.task }
            tasks[task].executionCount += 1
            recentExecutions[task] = index
            guard execution.isLast else { return }
            tasks[task].last = execution.id
            tasks[task].state = TaskState(execution.outcome)
            return
        }
        let task = JobTask(
            id: execution.task, name: name, last: execution.id, state: TaskState(execution.outcome), executionCount: 1)
        if taskIndices.isShared { append(task) } else { insert(task) }
        recentExecutions[tasks.count - 1] = index
    }
}
