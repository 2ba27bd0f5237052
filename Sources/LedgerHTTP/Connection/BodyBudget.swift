internal import Glibc
internal import HTTPTypes
internal import Synchronization

/// The memory budget of all request bodies together, on every path.
///
/// A body reserves its whole length before it is read, so a body that has begun can be finished. A quarter of the
/// budget is kept for small bodies: large bodies, however slowly they arrive, must not keep reports out.
final class BodyBudget: Sendable {
    /// The length up to which a body may use the part for small bodies.
    static let smallBytesMax = 65_536
    /// The bytes of large bodies after which free memory is returned to the system.
    private static let bytesBetweenTrims = 16 << 20

    private struct State {
        var used = 0
        var sinceTrim = 0
    }

    private let bytesMax: Int
    private let state = Mutex(State())

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    /// The bytes that are reserved now.
    var used: Int { state.withLock { $0.used } }

    /// Reserves memory for a body of this length; nil if too little is left.
    func reserve(_ count: Int) -> Share? {
        let limit = count <= Self.smallBytesMax ? bytesMax : bytesMax / 4 * 3
        let isReserved = state.withLock { state in
            guard state.used + count <= limit else { return false }
            state.used += count
            return true
        }
        return isReserved ? Share(of: self, count) : nil
    }

    private func grow(_ share: Share, from before: Int, to after: Int) -> Bool {
        let limit = after <= Self.smallBytesMax ? bytesMax : bytesMax / 4 * 3
        return state.withLock { state in
            guard state.used + after - before <= limit else { return false }
            state.used += after - before
            return true
        }
    }

    /// Releases bytes, and returns free memory to the system from time to time.
    ///
    /// Large allocations leave holes that the allocator keeps. They are returned once much has passed through and
    /// little is in use.
    private func release(_ count: Int) {
        let isDue = state.withLock { state in
            state.used -= count
            if count > Self.smallBytesMax { state.sinceTrim += count }
            guard state.sinceTrim >= Self.bytesBetweenTrims, state.used < Self.bytesBetweenTrims else { return false }
            state.sinceTrim = 0
            return true
        }
        if isDue { Task.detached(executorPreference: ComputeExecutor.shared) { Self.trim() } }
    }

    /// Calls `malloc_trim` if the C library has it.
    private static func trim() {
        guard let symbol = dlsym(nil, "malloc_trim") else { return }
        _ = unsafeBitCast(symbol, to: (@convention(c) (Int) -> CInt).self)(0)
    }

    /// A part of the budget, released when it is deallocated.
    final class Share: Sendable {
        private let budget: BodyBudget
        private let count: Mutex<Int>

        fileprivate init(of budget: BodyBudget, _ count: Int) {
            self.budget = budget
            self.count = Mutex(count)
        }

        /// Grows to this size; false if too little is left.
        func grow(to size: Int) -> Bool {
            count.withLock { count in
                guard size > count else { return true }
                guard budget.grow(self, from: count, to: size) else { return false }
                count = size
                return true
            }
        }

        deinit { budget.release(count.withLock { $0 }) }
    }
}
