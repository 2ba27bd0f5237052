/// The times at which workers become free: a binary heap with the earliest first.
struct EndTimeHeap {
    private var times: [Double] = []

    mutating func removeAll() { times.removeAll(keepingCapacity: true) }

    mutating func insert(_ time: Double) {
        times.append(time)
        var index = times.count - 1
        while index > 0 {
            let parent = (index - 1) / 2
            guard times[index] < times[parent] else { return }
            times.swapAt(index, parent)
            index = parent
        }
    }

    /// Gives each execution in turn to the worker that is free first.
    ///
    /// - Precondition: There is a worker.
    /// - Parameter onEnd: Receives the number of each execution and its end.
    mutating func addToFirst(_ seconds: some Sequence<Double>, _ onEnd: (Int, Double) -> Void) {
        times.withUnsafeMutableBufferPointer { times in
            for (number, duration) in seconds.enumerated() {
                let end = times[0] + duration
                var index = 0
                while true {
                    var child = 2 * index + 1
                    guard child < times.count else { break }
                    if child + 1 < times.count, times[child + 1] < times[child] { child += 1 }
                    guard times[child] < end else { break }
                    times[index] = times[child]
                    index = child
                }
                times[index] = end
                onEnd(number, end)
            }
        }
    }
}
