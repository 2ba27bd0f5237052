internal import FoundationEssentials
internal import LedgerStore
internal import Logging
internal import PQ

/// Several PostgreSQL servers on this machine, for the shards of one ledger.
///
/// Each has its own log and its own processes, so that one of them can be killed.
final class ShardMachines {
    /// The maximum number of transactions that are prepared at the same time.
    private static let preparedTransactionsMax = 64
    /// The time limit of a restart after a crash.
    private static let restartDeadline: Duration = .seconds(60)

    private let machines: [BenchmarkMachine]
    private let program: String
    private let folder: String
    private var count = 0

    private init(_ machines: [BenchmarkMachine], program: String, folder: String) {
        self.machines = machines
        self.program = program
        self.folder = folder
    }

    /// Runs the body with new servers, which are stopped afterwards.
    ///
    /// - Parameter logMegabytes: The size of the preallocated write-ahead log of each server.
    static func with(
        _ count: Int, logMegabytes: Int, program: String, folder: String, logger: Logger,
        _ body: (ShardMachines) async throws -> Void
    ) async throws {
        var servers: [LocalPostgres] = []
        var machines: [BenchmarkMachine] = []
        let result: Result<Void, any Error>
        do {
            for number in 0..<count {
                let place = "\(folder)/shard-\(number)"
                // If the benchmark is cancelled, PostgreSQL still starts completely and is then stopped.
                let starting = Task {
                    try await BenchmarkMachine.startPostgres(
                        in: place, preparedTransactionsMax: preparedTransactionsMax, logger: logger)
                }
                servers.append(try await starting.value)
                try Task.checkCancellation()
                machines.append(
                    try await BenchmarkMachine(
                        on: servers[number], program: program, folder: place, logMegabytes: logMegabytes,
                        logger: logger))
            }
            try await body(ShardMachines(machines, program: program, folder: folder))
            result = .success(())
        } catch { result = .failure(error) }
        for machine in machines { await machine.close() }
        for server in servers {
            let stopping = Task { try await server.stop() }
            do { try await stopping.value } catch { logger.error("\(error)") }
        }
        try result.get()
    }

    // MARK: Sites

    /// Starts a server on new databases, which are spread over the machines.
    ///
    /// - Parameters:
    ///   - shards: The number of shards; nil for one database that is no shard.
    ///   - connections: The number of its connections to each shard; nil for the default.
    func open(
        shards: Int?, projects: Bool, connections: Int? = nil
    ) async throws -> BenchmarkMachine.Site {
        count += 1
        let databases = (0..<(shards ?? 1)).map { number in
            (machine: machines[number % machines.count], name: "bench_\(count)_\(number)")
        }
        for database in databases { try await database.machine.create(database.name) }
        let server =
            if shards == nil {
                try await databases[0].machine.server(on: databases[0].name, projects: projects)
            } else {
                try await server(
                    on: databases.map { $0.machine.connection(to: $0.name) }, projects: projects,
                    connections: connections)
            }
        let pools = databases.map { $0.machine.pool($0.name) }
        return BenchmarkMachine.Site(
            server: server, databases: pools, names: databases.map(\.name),
            machines: Array(machines.prefix(databases.count)), limit: pools[0], limitName: databases[0].name)
    }

    /// Makes these databases shards, and starts a server on them.
    private func server(
        on databases: [String], projects: Bool, connections: Int?
    ) async throws -> ServerUnderTest {
        let file = "\(folder)/shards-\(count)"
        let lines = databases.enumerated().map { "\($0.offset) = \($0.element)\n" }.joined()
        guard FileManager.default.createFile(atPath: file, contents: Data(lines.utf8)) else {
            throw BenchmarkError("cannot write \(file)")
        }
        let numbers = databases.indices.map { "\($0)" }
        _ = try await machines[0].run([program, "shards", "add"] + numbers + ["--shards", file])
        var options = ["--shards", file]
        if let connections { options += ["--database-connections", "\(connections)"] }
        return try await ServerUnderTest(program: program, ledger: options, projects: projects, folder: folder)
    }

    /// Stops the server of a site, and deletes its databases.
    func close(_ site: BenchmarkMachine.Site) async throws {
        try await site.server.stop()
        for (number, name) in site.names.enumerated() {
            await site.databases[number].close()
            try await machines[number % machines.count].drop(name)
        }
    }

    // MARK: Faults

    /// Kills the PostgreSQL of a shard.
    func kill(_ shard: Int) throws { try machines[shard].kill() }

    /// Starts a killed PostgreSQL again, and waits until it has recovered.
    func restart(_ shard: Int) async throws { try await machines[shard].restart(within: Self.restartDeadline) }
}
