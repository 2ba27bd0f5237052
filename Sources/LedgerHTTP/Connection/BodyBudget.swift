internal import Glibc
internal import HTTPTypes
internal import Synchronization

/// The cache of all request bodies together, on every path.
///
/// A body takes its whole length before it is read, so those that were begun can be finished. A quarter is kept for small
/// bodies: large ones, however slowly they arrive, must not keep reports out.
final class BodyBudget: Sendable {
    /// A body up to this length may use the part that is kept for small ones.
    static let smallBytesMax = 65_536
    /// After so many bytes of bodies, cache that is free is given back to the system.
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

    /// The bytes that are taken now.
    var used: Int { state.withLock { $0.used } }

    /// Takes cache for a body of this length; nil if there is not enough.
    func take(_ count: Int) -> Share? {
        let limit = count <= Self.smallBytesMax ? bytesMax : bytesMax / 4 * 3
        let isTaken = state.withLock { state in
            guard state.used + count <= limit else { return false }
            state.used += count
            return true
        }
        return isTaken ? Share(of: self, count) : nil
    }

    private func grow(_ share: Share, from before: Int, to after: Int) -> Bool {
        let limit = after <= Self.smallBytesMax ? bytesMax : bytesMax / 4 * 3
        return state.withLock { state in
            guard state.used + after - before <= limit else { return false }
            state.used += after - before
            return true
        }
    }

    /// Large allocations leave holes that the allocator keeps. They are given back once much has passed through and little
    /// is in use.
    private func giveBack(_ count: Int) {
        let isDue = state.withLock { state in
            state.used -= count
            if count > Self.smallBytesMax { state.sinceTrim += count }
            guard state.sinceTrim >= Self.bytesBetweenTrims, state.used < Self.bytesBetweenTrims else { return false }
            state.sinceTrim = 0
            return true
        }
        if isDue { Task.detached(executorPreference: ComputeExecutor.shared) { Self.trim() } }
    }

    /// `malloc_trim` of the C library, where it has one.
    private static func trim() {
        guard let symbol = dlsym(nil, "malloc_trim") else { return }
        _ = unsafeBitCast(symbol, to: (@convention(c) (Int) -> CInt).self)(0)
    }

    /// A part of the budget, given back when it is let go.
    final class Share: Sendable {
        private let budget: BodyBudget
        private let count: Mutex<Int>

        fileprivate init(of budget: BodyBudget, _ count: Int) {
            self.budget = budget
            self.count = Mutex(count)
        }

        /// Makes it so large; false if there is not enough for that.
        func grow(to size: Int) -> Bool {
            count.withLock { count in
                guard size > count else { return true }
                guard budget.grow(self, from: count, to: size) else { return false }
                count = size
                return true
            }
        }

        deinit { budget.giveBack(count.withLock { $0 }) }
    }
}
