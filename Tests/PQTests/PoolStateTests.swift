import Testing

@testable import PQ

@Suite("The state of a pool")
struct PoolStateTests {
    private typealias State = PoolState<Int, Int>

    private func acquire(_ state: inout State) -> String { "\(state.acquire())" }

    @Test("after a refusal no more connections are opened than there are, until the limit is lifted")
    func limit() {
        var state = State(connectionsMax: 4, waitersMax: 10)
        for _ in 1...2 {
            #expect(acquire(&state) == "connect")
            state.connected()
        }
        #expect(acquire(&state) == "connect")
        let mustWait = state.connectRefused()
        #expect(mustWait)
        #expect(acquire(&state) == "wait")
        _ = state.release(1)
        #expect(acquire(&state) == "lend(1)")
        // A connection that cannot be used again may be replaced.
        _ = state.discard()
        #expect(acquire(&state) == "connect")
        state.connected()
        #expect(acquire(&state) == "wait")
        state.liftLimit()
        #expect(acquire(&state) == "connect")
    }
}
