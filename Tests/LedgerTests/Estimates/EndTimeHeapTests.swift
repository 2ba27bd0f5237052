import LedgerTestSupport
import Testing

@testable import Ledger

@Suite("The times at which workers become free", .ownThread)
struct EndTimeHeapTests {
    @Test("each execution goes to the worker that is free first", arguments: [1, 2, 3, 4, 7, 8, 13, 128])
    func earliest(workers: Int) {
        var random = RandomSequence(seed: UInt64(workers))
        var heap = EndTimeHeap()
        // The heap is used for one draw after the other.
        for draw in 0..<3 {
            let count = max(1, workers - draw)
            var ends = (0..<count).map { _ in (10 * random.uniform()).rounded() }
            let seconds = (0..<200).map { _ in 4 * random.uniform() }
            heap.fill(ends)
            var found: [Double] = []
            heap.addToFirst(seconds) { number, end in
                #expect(number == found.count)
                found.append(end)
            }
            var expected: [Double] = []
            for duration in seconds {
                let first = ends.indices.min { ends[$0] < ends[$1] } ?? 0
                ends[first] += duration
                expected.append(ends[first])
            }
            #expect(found == expected)
        }
    }
}
