import Glibc
import LedgerTestSupport
import Logging
import PQ
import Synchronization
import Testing

/// Connections that break at any byte, and servers that stop responding.
@Suite("Broken connections")
struct FaultTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    /// The outcome of a transaction on a breaking connection.
    private enum Outcome: Hashable {
        case committed
        case nothing(PQError.Code)
        case unknown(exists: Bool)
    }

    private func withProxy(
        _ adjust: (inout Pool.Settings) -> Void = { _ in },
        _ body: (_ direct: Pool, _ broken: Pool, FaultProxy) async throws -> Void
    ) async throws {
        try await withTestDatabase { target in
            let proxy = try FaultProxy(before: target)
            var settings = Pool.Settings()
            settings.connectionsMax = 1
            settings.operationDeadline = .seconds(60)
            settings.connectDeadline = .seconds(20)
            adjust(&settings)
            let direct = Pool(target: target, logger: Self.silent)
            let broken = Pool(target: proxy.target, settings: settings, logger: Self.silent)
            do {
                _ = try await direct.query(Query("create table t (n int primary key)"))
                try await body(direct, broken, proxy)
            } catch {
                proxy.close()
                throw error
            }
            await broken.close()
            await direct.close()
            proxy.close()
        }
    }

    /// Connects, queries, inserts and commits, in two round trips.
    private func transact(_ number: Int32, _ pool: Pool) async throws {
        try await pool.withTransaction { transaction in
            _ = try await transaction.query(Query("select count(*) from t where n = $1", [.int4(number)]))
            _ = try await transaction.commit(after: [Query("insert into t values ($1)", [.int4(number)])])
        }
    }

    private func outcome(_ number: Int32, _ broken: Pool, _ direct: Pool) async throws -> Outcome {
        var failure: PQError?
        do { try await transact(number, broken) } catch { failure = try #require(error as? PQError) }
        let rows = try await direct.query(Query("select 1 from t where n = $1", [.int4(number)]))
        guard let failure else {
            #expect(rows.count == 1, "an acknowledged commit is missing")
            return .committed
        }
        if failure.isOutcomeUnknown { return .unknown(exists: !rows.isEmpty) }
        #expect(failure.isRetrySafe, "\(failure.debugDescription)")
        #expect(rows.isEmpty, "an operation reported as without effect has had one: \(failure)")
        return .nothing(failure.code)
    }

    @Test(
        "the reported outcome is true for a connection cut at any byte, in either direction",
        arguments: [FaultProxy.Direction.toServer, .toClient])
    func cutAtEveryByte(_ direction: FaultProxy.Direction) async throws {
        try await withProxy { direct, broken, proxy in
            try await transact(0, broken)
            await broken.close()
            let byteCount = proxy.passed(direction)
            #expect(byteCount > 200)
            var outcomes: [Outcome: Int] = [:]
            for cut in 1...byteCount {
                proxy.cut(direction, after: cut)
                var settings = Pool.Settings()
                settings.connectionsMax = 1
                settings.operationDeadline = .seconds(60)
                let pool = Pool(target: proxy.target, settings: settings, logger: Self.silent)
                outcomes[try await outcome(Int32(cut), pool, direct), default: 0] += 1
                // The same pool recovers as soon as new connections work.
                if cut.isMultiple(of: 50) {
                    proxy.heal()
                    let value = try await pool.query(Query("select 7"))[0].decode(0, as: Int.self)
                    #expect(value == 7)
                }
                await pool.close()
            }
            // Every stage was cut: opening the connection, the first round trip, the commit.
            #expect(outcomes[.nothing(.connectionFailed), default: 0] > 10, "\(outcomes)")
            #expect(outcomes[.nothing(.connectionLost), default: 0] > 10, "\(outcomes)")
            switch direction {
            case .toServer: #expect(outcomes[.unknown(exists: false), default: 0] > 10, "\(outcomes)")
            case .toClient: #expect(outcomes[.unknown(exists: true), default: 0] > 10, "\(outcomes)")
            }
        }
    }

    @Test("if the network drops everything, the deadline holds and the next connection works")
    func droppedPackets() async throws {
        try await withProxy({ $0.cancelGrace = .milliseconds(300) }) { _, broken, proxy in
            _ = try await broken.query(Query("select 1"))
            proxy.hang()
            let started = ContinuousClock.now
            let error = await #expect(throws: PQError.self) {
                try await broken.query(Query("select 2"), deadline: .milliseconds(100))
            }
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.isOutcomeUnknown == true)
            #expect(started.duration(to: .now) < .seconds(30))
            proxy.heal()
            let value = try await broken.query(Query("select 3"))[0].decode(0, as: Int.self)
            #expect(value == 3)
            let connected = await broken.statistics.connected
            #expect(connected == 2)
        }
    }

    @Test("if a server process is stopped, the deadline holds and another one replaces it")
    func stoppedProcess() async throws {
        try await withProxy({ $0.cancelGrace = .milliseconds(300) }) { direct, broken, _ in
            let process = try await broken.query(Query("select pg_backend_pid()"))[0].decode(0, as: Int32.self)
            #expect(kill(process, SIGSTOP) == 0)
            // A stopped process would hold up every drop of a database.
            defer { kill(process, SIGCONT) }
            let error = await #expect(throws: PQError.self) {
                try await broken.query(Query("select 1"), deadline: .milliseconds(100))
            }
            #expect(kill(process, SIGCONT) == 0)
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.isOutcomeUnknown == true)
            let next = try await broken.query(Query("select pg_backend_pid()"))[0].decode(0, as: Int32.self)
            #expect(next != process)
        }
    }

    @Test("a request to cancel affects its own statement and no later one")
    func cancelAffectsOwnStatement() async throws {
        try await withProxy { direct, _, _ in
            var settings = Pool.Settings()
            settings.connectionsMax = 1
            settings.cancelGrace = .seconds(60)
            let target = try await TestCluster.shared.target()
            let pool = Pool(target: target, settings: settings, logger: Self.silent)
            // Durations around the time that a request to cancel takes, and a statement that cannot end first.
            let durations = (0..<60).map { Double($0) / 10_000 } + [100]
            var lastWasCancelled = false
            for duration in durations {
                let hasEnded = Mutex(false)
                let racer = Task {
                    defer { hasEnded.withLock { $0 = true } }
                    return try await pool.query(Query("select pg_sleep(\(duration))", prepare: false))
                }
                while await pool.statistics.lent == 0, !hasEnded.withLock({ $0 }) { await Task.yield() }
                racer.cancel()
                let after = try await pool.query(Query("select 1")).count
                #expect(after == 1)
                switch await racer.result {
                case .success: lastWasCancelled = false
                case .failure(let error):
                    lastWasCancelled = (error as? PQError)?.code == .cancelled
                    #expect(lastWasCancelled, "\(error)")
                }
            }
            #expect(lastWasCancelled)
            let connected = await pool.statistics.connected
            #expect(connected == 1)
            await pool.close()
        }
    }
}
