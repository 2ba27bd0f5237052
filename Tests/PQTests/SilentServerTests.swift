import LedgerTestSupport
import Logging
import Testing

@testable import PQ

/// Servers that keep their connections open but send nothing more.
///
/// They are frozen, or the network to them is lost.
@Suite("Silent servers")
struct SilentServerTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    /// Pings soon. Two seconds is libpq's shortest time limit.
    private static let soon = PingSettings(after: .milliseconds(200), timeout: .seconds(2))

    private func settings(_ pings: PingSettings, connectionsMax: Int, group: PoolGroup? = nil) -> Pool.Settings {
        var settings = Pool.Settings()
        settings.connectionsMax = connectionsMax
        settings.operationDeadline = .seconds(120)
        settings.connectDeadline = .seconds(60)
        settings.pings = pings
        settings.group = group
        return settings
    }

    private func withProxies(_ body: (ConnectionTarget, FaultProxy, FaultProxy) async throws -> Void) async throws {
        try await withTestDatabase { target in
            let proxies = (try FaultProxy(before: target), try FaultProxy(before: target))
            defer {
                proxies.0.close()
                proxies.1.close()
            }
            let hosts = "\(proxies.0.target["host"] ?? ""),\(proxies.1.target["host"] ?? "")"
            try await body(target.setting("host", hosts), proxies.0, proxies.1)
        }
    }

    @Test("a silent server loses all its connections at once, and the next caller gets another server")
    func nextServer() async throws {
        try await withProxies { target, first, second in
            let pool = Pool(target: target, settings: settings(Self.soon, connectionsMax: 3), logger: Self.silent)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for _ in 1...3 { tasks.addTask { _ = try await pool.query(Query("select pg_sleep(0.5)")) } }
                try await tasks.waitForAll()
            }
            #expect(await pool.statistics.connections == 3)
            #expect(second.passed(.toServer) == 0)
            first.hang()
            let started = ContinuousClock.now
            let error = await #expect(throws: PQError.self) {
                try await pool.query(Query("insert into t values (1)"), isDurableWrite: true)
            }
            #expect(error?.isOutcomeUnknown == true)
            // Each of the other connections, and each attempt to connect to the first host, would take a minute.
            let value = try await pool.query(Query("select 7"))[0].decode(0, as: Int.self)
            #expect(value == 7)
            #expect(started.duration(to: .now) < .seconds(40))
            #expect(second.passed(.toServer) > 0)
            let statistics = await pool.statistics
            #expect(statistics.connected == 4 && statistics.connections == 1)
            first.heal()
            await pool.close()
        }
    }

    @Test("one pool finds the silence, and all pools and listeners of its group drop connections")
    func wholeGroup() async throws {
        try await withProxies { target, first, _ in
            let group = PoolGroup()
            let pool = Pool(
                target: target, settings: settings(Self.soon, connectionsMax: 1, group: group), logger: Self.silent)
            let late = PingSettings(after: .seconds(600), timeout: .seconds(2))
            let other = Pool(
                target: target, settings: settings(late, connectionsMax: 1, group: group), logger: Self.silent)
            let listener = Listener(target: target, channels: ["news"], group: group, logger: Self.silent)
            let (events, sink) = AsyncStream.makeStream(of: Listener.Event.self)
            let listening = Task { await listener.run { sink.yield($0) } }
            var incoming = events.makeAsyncIterator()
            guard case .connected = await incoming.next() else {
                Issue.record("the listener is not connected")
                return
            }
            let sleeping = Task { try await other.query(Query("select pg_sleep(600)"), isDurableWrite: true) }
            try await eventually(equals: 1) { await other.statistics.lent }
            _ = try await pool.query(Query("select 1"))
            first.hang()
            await #expect(throws: PQError.self) { try await pool.query(Query("select 1")) }
            let error = await #expect(throws: PQError.self) { try await sleeping.value }
            #expect(error?.code == .connectionLost && error?.isOutcomeUnknown == true)
            guard case .disconnected(let loss) = await incoming.next() else {
                Issue.record("the listener has kept its connection")
                return
            }
            #expect(loss.code == .connectionLost)
            guard case .connected = await incoming.next() else {
                Issue.record("the listener has not connected to the second host")
                return
            }
            listening.cancel()
            await listening.value
            first.heal()
            await pool.close()
            await other.close()
        }
    }

    @Test("a slow statement survives unanswered pings while the server uses another connection")
    func slowStatement() async throws {
        try await withTestDatabase { target in
            let proxy = try FaultProxy(before: target)
            let pool = Pool(target: proxy.target, settings: settings(Self.soon, connectionsMax: 2), logger: Self.silent)
            let slow = Task { try await pool.query(Query("select pg_sleep(6)")) }
            try await eventually(equals: 1) { await pool.statistics.lent }
            _ = try await pool.query(Query("select 1"))
            // From now on pings get no response.
            proxy.holdNew()
            while await pool.statistics.lent > 0 { _ = try await pool.query(Query("select 1")) }
            #expect(try await slow.value.count == 1)
            #expect(await pool.statistics.connected == 2)
            proxy.close()
            await pool.close()
        }
    }

    @Test(
        "silent servers are tried last, and the others keep their order",
        arguments: [
            ("host=a,b,c port=1,2,3", "b,c,a", "2,3,1"), ("host=a,b,a port=1,2,3", "b,a,a", "2,3,1"),
            ("host=a,b port=1", "b,a", "1"), ("host=b,a port=1,2", "b,a", "1,2"), ("host=a port=1", "a", "1"),
            ("host=a,b port=1,2,3", "a,b", "1,2,3"),
        ])
    func order(target: String, hosts: String, ports: String) throws {
        let silent = ServerAddress(host: "a", port: "1", networkAddress: "")
        let ordered = try ConnectionTarget(target).tryingLast([silent])
        #expect(ordered["host"] == hosts && ordered["port"] == ports)
    }

    @Test("network addresses and hosts without a port are reordered too")
    func addresses() throws {
        let silent = ServerAddress(host: "10.0.0.1", port: "5432", networkAddress: "10.0.0.1")
        let ordered = try ConnectionTarget("hostaddr=10.0.0.1,10.0.0.2 dbname=d").tryingLast([silent])
        #expect(ordered["hostaddr"] == "10.0.0.2,10.0.0.1" && ordered["host"] == nil && ordered["port"] == nil)
        let named = ServerAddress(host: "a", port: "5432", networkAddress: "10.0.0.1")
        let both = try ConnectionTarget("host=a,b hostaddr=10.0.0.1,10.0.0.2").tryingLast([named])
        #expect(both["host"] == "b,a" && both["hostaddr"] == "10.0.0.2,10.0.0.1")
    }
}
