/// The positions of keys in an array that only grows.
///
/// Its first part may be shared with indexes of the same array at other times, also of later ones. Positions that the
/// array did not have yet are then as if they were absent.
struct PositionIndex<Key: Hashable & Sendable>: Sendable {
    private let shared: [Key: Int]
    private let sharedCount: Int
    private var own: [Key: Int] = [:]

    /// Creates an empty index.
    init() {
        shared = [:]
        sharedCount = 0
    }

    /// Creates the index of the first elements of an array.
    ///
    /// It shares the positions of all or more of its keys.
    ///
    /// Costs nothing.
    init(first count: Int, of positions: [Key: Int]) {
        shared = positions
        sharedCount = count
    }

    /// Whether it began with positions of others.
    var isShared: Bool { sharedCount > 0 }

    /// The position of a key; nil if the array does not contain it.
    subscript(key: Key) -> Int? {
        get {
            if let position = own[key] { return position }
            guard sharedCount > 0, let position = shared[key], position < sharedCount else { return nil }
            return position
        }
        set { own[key] = newValue }
    }

    /// The positions of all keys, and perhaps further ones.
    ///
    /// Costs a copy if the index has both shared keys and keys of its own.
    var positions: [Key: Int] {
        if shared.isEmpty { return own }
        return own.isEmpty ? shared : shared.merging(own) { _, own in own }
    }

    /// Reserves memory for keys of its own.
    mutating func reserve(_ count: Int) { own.reserveCapacity(count) }
}

/// The positions of the tasks and executions of a whole job.
///
/// Its states share them.
public struct FoldPositions: Sendable {
    let tasks: [Name: Int]
    let executions: [ExecutionID: Int]
    let named: [Fold.NamedKey: Int]
    let attempted: [Fold.AttemptKey: Int]
    /// The number of executions.
    public let executionCount: Int

    /// The approximate memory in bytes, by measurement.
    public var bytes: Int { tasks.count * 48 + (executions.count + named.count + attempted.count) * 40 }
}

extension Fold {
    /// The positions of its tasks and executions, for states of the same history.
    ///
    /// The fold must contain the whole job. Costs a copy if the fold began with shared positions.
    public var positions: FoldPositions {
        FoldPositions(
            tasks: taskIndices.positions, executions: executionIndices.positions, named: namedExecutions.positions,
            attempted: attemptedExecutions.positions, executionCount: executions.count)
    }
}
