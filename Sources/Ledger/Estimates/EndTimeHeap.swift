/// The times at which workers become free, with the earliest first.
///
/// A binary heap in a complete tree: missing workers are free at infinity. All leaves have the same depth, so the new
/// time of a worker sinks to a leaf without a branch that depends on the times, and usually stays there, because it is
/// later than most. Mispredicted branches would take half of the time of an estimate.
struct EndTimeHeap {
    /// The times, or infinity, in heap order.
    ///
    /// Their number is one less than a power of two.
    private var times: [Double] = []
    /// The level of the leaves; 0 for a single worker.
    private var depth = 0

    /// Replaces the workers.
    ///
    /// - Parameter ends: The times at which they become free; at least one.
    mutating func fill(_ ends: [Double]) {
        depth = 0
        while (2 << depth) - 1 < ends.count { depth += 1 }
        times.removeAll(keepingCapacity: true)
        times += ends
        for _ in ends.count..<(2 << depth) - 1 { times.append(.infinity) }
        times.withUnsafeMutableBufferPointer { times in
            for root in stride(from: times.count / 2 - 1, through: 0, by: -1) {
                var index = root
                let time = times[root]
                while 2 * index + 1 < times.count {
                    let child = Self.earlierChild(of: index, times)
                    guard times[child] < time else { break }
                    times[index] = times[child]
                    index = child
                }
                times[index] = time
            }
        }
    }

    @inline(__always)
    private static func earlierChild(of index: Int, _ times: UnsafeMutableBufferPointer<Double>) -> Int {
        let left = 2 * index + 1
        return left + (times[left + 1] < times[left] ? 1 : 0)
    }

    /// Gives each execution in turn to the worker that is free first.
    ///
    /// - Precondition: There is a worker.
    /// - Parameter onEnd: Receives the number of each execution and its end.
    mutating func addToFirst(_ seconds: some Sequence<Double>, _ onEnd: (Int, Double) -> Void) {
        times.withUnsafeMutableBufferPointer { [depth] times in
            for (number, duration) in seconds.enumerated() {
                let end = times[0] + duration
                var index = 0
                for _ in 0..<depth {
                    let child = Self.earlierChild(of: index, times)
                    times[index] = times[child]
                    index = child
                }
                while index > 0 {
                    let parent = (index - 1) / 2
                    guard end < times[parent] else { break }
                    times[index] = times[parent]
                    index = parent
                }
                times[index] = end
                onEnd(number, end)
            }
        }
    }
}
