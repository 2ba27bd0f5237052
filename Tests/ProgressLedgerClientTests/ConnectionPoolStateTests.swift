import Testing

@testable import ProgressLedgerClient

@Suite("The pool's decisions")
struct ConnectionPoolStateTests {
    private typealias State = ConnectionPoolState<String, Int>

    private let begin = ContinuousClock.now

    private func ask(_ state: inout State, _ waiter: Int = 0, after: Duration = .zero, broken: Set<String> = []) -> (
        what: String, expired: [String]
    ) {
        var expired: [String] = []
        let grant = state.acquire(
            waiter, now: begin + after, isOpen: { !broken.contains($0) }, expired: &expired)
        switch grant {
        case .use(let connection): return ("use \(connection)", expired)
        case .connect: return ("connect", expired)
        case .wait(let waiter, let ticket): return ("wait \(waiter) \(ticket)", expired)
        case .refuse: return ("refuse", expired)
        case .closed: return ("closed", expired)
        }
    }

    private func text(_ freed: State.Freed) -> String {
        switch freed {
        case .none: "none"
        case .hand(let connection, let waiter): "\(connection) to \(waiter)"
        case .letConnect(let waiter): "\(waiter) connects"
        case .close(let connection): "close \(connection)"
        }
    }

    private func make(max: Int = 2, waiters: Int = 2) -> State {
        State(connectionsMax: max, waitersMax: waiters, idleMax: .seconds(30))
    }

    @Test("connections are made up to the limit, then requests wait, then they are refused")
    func limitsHold() {
        var state = make()
        let answers = (1...5).map { ask(&state, $0).what }
        #expect(answers == ["connect", "connect", "wait 3 1", "wait 4 2", "refuse"])
        #expect(state.connectionCount == 2)
    }

    @Test("who has waited longest gets what is given back")
    func waitingIsFair() {
        var state = make(max: 1)
        _ = ask(&state)
        _ = ask(&state, 1)
        _ = ask(&state, 2)
        #expect(text(state.release("a", now: begin)) == "a to 1")
        #expect(text(state.discard()) == "2 connects")
        #expect(text(state.release("b", now: begin)) == "none")
        #expect(ask(&state).what == "use b")
    }

    @Test("who has given up waiting is passed over")
    func abandonedWaitsEnd() {
        var state = make(max: 1)
        _ = ask(&state)
        _ = ask(&state, 1)
        _ = ask(&state, 2)
        #expect(state.abandon(ticket: 1) == 1)
        #expect(state.abandon(ticket: 1) == nil)
        #expect(text(state.release("a", now: begin)) == "a to 2")
    }

    @Test("broken and old idle connections are not used")
    func idleConnectionsExpire() {
        var state = make(max: 3)
        for _ in 1...3 { _ = ask(&state) }
        _ = state.release("old", now: begin)
        _ = state.release("broken", now: begin + .seconds(29))
        #expect(ask(&state, after: .seconds(31), broken: ["broken"]) == ("connect", ["broken", "old"]))
        #expect(state.connectionCount == 2)
    }

    @Test("a closed pool hands out nothing and takes back what is in use")
    func closedPoolsEmpty() {
        var state = make(max: 2)
        _ = ask(&state)
        _ = ask(&state)
        _ = ask(&state, 7)
        _ = state.release("never idle", now: begin)
        _ = state.release("idle", now: begin)
        #expect(state.close() == (idle: ["idle"], waiters: []))
        #expect(ask(&state).what == "closed")
        #expect(text(state.release("late", now: begin)) == "close late")
        #expect(state.connectionCount == 0)
    }
}

private func == (left: (idle: [String], waiters: [Int]), right: (idle: [String], waiters: [Int])) -> Bool {
    left.idle == right.idle && left.waiters == right.waiters
}
