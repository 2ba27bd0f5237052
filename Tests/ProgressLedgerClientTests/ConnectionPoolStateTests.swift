import Testing

@testable import ProgressLedgerClient

@Suite("Connection pool state")
struct ConnectionPoolStateTests {
    private typealias State = ConnectionPoolState<String, Int>

    private let begin = ContinuousClock.now

    private func acquire(
        _ state: inout State, _ waiter: Int = 0, after: Duration = .zero, broken: Set<String> = []
    ) -> (decision: String, expired: [String]) {
        var expired: [String] = []
        let grant = state.acquire(
            waiter, now: begin + after, isOpen: { !broken.contains($0) }, expired: &expired)
        switch grant {
        case .use(let connection): return ("use \(connection)", expired)
        case .connect: return ("connect", expired)
        case .wait(let waiter, let waiterID): return ("wait \(waiter) \(waiterID)", expired)
        case .refuse: return ("refuse", expired)
        case .closed: return ("closed", expired)
        }
    }

    private func text(_ freed: State.Freed) -> String {
        switch freed {
        case .none: "none"
        case .assign(let connection, let waiter): "\(connection) to \(waiter)"
        case .allowConnect(let waiter): "\(waiter) connects"
        case .close(let connection): "close \(connection)"
        }
    }

    private func make(max: Int = 2, waiters: Int = 2) -> State {
        State(connectionsMax: max, waitersMax: waiters, idleMax: .seconds(30))
    }

    @Test("connections are opened up to the limit, then requests wait, then they are refused")
    func limitsHold() {
        var state = make()
        let decisions = (1...5).map { acquire(&state, $0).decision }
        #expect(decisions == ["connect", "connect", "wait 3 1", "wait 4 2", "refuse"])
        #expect(state.connectionCount == 2)
    }

    @Test("a returned connection goes to the request that has waited longest")
    func waitingIsFair() {
        var state = make(max: 1)
        _ = acquire(&state)
        _ = acquire(&state, 1)
        _ = acquire(&state, 2)
        #expect(text(state.release("a", now: begin)) == "a to 1")
        #expect(text(state.discard()) == "2 connects")
        #expect(text(state.release("b", now: begin)) == "none")
        #expect(acquire(&state).decision == "use b")
    }

    @Test("an abandoned request gets no connection")
    func abandonedWaitsEnd() {
        var state = make(max: 1)
        _ = acquire(&state)
        _ = acquire(&state, 1)
        _ = acquire(&state, 2)
        #expect(state.abandon(waiterID: 1) == 1)
        #expect(state.abandon(waiterID: 1) == nil)
        #expect(text(state.release("a", now: begin)) == "a to 2")
    }

    @Test("broken and old idle connections are not used")
    func idleConnectionsExpire() {
        var state = make(max: 3)
        for _ in 1...3 { _ = acquire(&state) }
        _ = state.release("old", now: begin)
        _ = state.release("broken", now: begin + .seconds(29))
        #expect(acquire(&state, after: .seconds(31), broken: ["broken"]) == ("connect", ["broken", "old"]))
        #expect(state.connectionCount == 2)
    }

    @Test("a closed pool grants no connection and closes returned ones")
    func closedPoolsEmpty() {
        var state = make(max: 2)
        _ = acquire(&state)
        _ = acquire(&state)
        _ = acquire(&state, 7)
        _ = state.release("never idle", now: begin)
        _ = state.release("idle", now: begin)
        #expect(state.close() == (idle: ["idle"], waiters: []))
        #expect(acquire(&state).decision == "closed")
        #expect(text(state.release("late", now: begin)) == "close late")
        #expect(state.connectionCount == 0)
    }
}

private func == (left: (idle: [String], waiters: [Int]), right: (idle: [String], waiters: [Int])) -> Bool {
    left.idle == right.idle && left.waiters == right.waiters
}
