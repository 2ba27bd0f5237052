import Foundation
import Glibc
import Ledger
import LedgerTestSupport
import LedgerWire
import Logging
import PQ
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

@Suite("serve, project and migrate", .timeLimit(.minutes(10)))
struct ServeTests {
    @Test("SIGTERM and SIGINT end a server with code 0", arguments: [SIGTERM, SIGINT])
    func signalsEndServers(signal: Int32) async throws {
        try await withServer { url, server in
            try await LedgerClient(url: url).checkReadiness()
            server.send(signal)
            try await server.wait()
            #expect(server.exitCode == 0)
        }
    }

    @Test("a server that cannot start reports the cause and the remedy")
    func failedStarts() async throws {
        try await withLedgerDatabase { target in
            let first = try ServerProcess(["serve", "--port", "0", "--database", target.description])
            let port = try #require(try await first.url().split(separator: ":").last.map(String.init))
            let second = try await Self.failing("serve", "--port", port, "--database", target.description)
            #expect(second.printed.contains("Cannot listen on 127.0.0.1, port \(port): another program listens there"))
            #expect(second.exitCode == ExitStatus.failed.rawValue, "\(second.printed)")
            first.send(SIGTERM)
            try await first.wait()
        }
        let folder = try await Self.failing("serve", "--port", "0", "--data", ServerProcess.binary)
        #expect(folder.printed.contains("\(ServerProcess.binary) is a file"), "\(folder.printed)")
        let database = try await Self.failing("serve", "--port", "0", "--database", "mysecret")
        #expect(database.printed.contains("a word in it has no \"=\""), "\(database.printed)")
        #expect(!database.printed.contains("mysecret"))
        #expect(database.exitCode == ExitStatus.usage.rawValue)
    }

    private static func failing(_ arguments: String...) async throws -> ServerProcess {
        let server = try ServerProcess(arguments)
        try await server.wait()
        return server
    }

    @Test("a second signal stops a server at once that waits for a running request")
    func secondSignalsEndAtOnce() async throws {
        try await withServer { url, server in
            try await whileRequestWaits(url, server) {
                server.send(SIGTERM)
                try await eventually({ $0.contains("] stopping") }) { server.printed }
                #expect(server.isRunning)
                try await Self.sendUntilEnded(SIGTERM, to: server)
                #expect(server.printed.contains("] stopping at once"))
            }
        }
    }

    /// Repeats a signal until it has ended the server.
    ///
    /// A signal soon after the first is ignored.
    private static func sendUntilEnded(_ signal: Int32, to server: ServerProcess) async throws {
        try await eventually(within: lessThanRequest) {
            server.send(signal)
            return !server.isRunning
        }
    }

    @Test("a signal sent twice within a second counts once")
    func repeatedSignals() async throws {
        let start = ContinuousClock.now
        #expect(ServiceRunner.reaction(to: nil, now: start) == .stopGracefully)
        #expect(ServiceRunner.reaction(to: start, now: start + .milliseconds(1)) == .ignore)
        #expect(ServiceRunner.reaction(to: start, now: start + .milliseconds(999)) == .ignore)
        #expect(ServiceRunner.reaction(to: start, now: start + .seconds(1)) == .stopAtOnce)
        try await withServer { url, server in
            try await LedgerClient(url: url).checkReadiness()
            server.send(SIGTERM)
            server.send(SIGTERM)
            try await server.wait()
            #expect(server.exitCode == 0)
            #expect(!server.printed.contains("at once"), "\(server.printed)")
        }
    }

    @Test("an unusable address is refused before a database is created")
    func addressesAreCheckedFirst() async throws {
        let folder = "/tmp/progress-ledger-serve-\(UUID().uuidString)"
        for (flags, text) in [
            (["--host", "nosuch.invalid"], "Cannot listen on nosuch.invalid: "),
            // Reserved for documentation (RFC 5737): no machine has this address.
            (["--host", "192.0.2.1", "--insecure-no-authentication"], "this machine has no such address"),
        ] {
            let run = try await CommandRun.run(ServerProcess.binary, ["serve", "--data", folder] + flags)
            #expect(run.status == ExitStatus.usage.rawValue, "\(run.errors)")
            #expect(run.errors.contains(text), "\(run.errors)")
            #expect(!FileManager.default.fileExists(atPath: folder))
        }
    }

    @Test("an unusable data folder is refused with its path and a remedy")
    func dataFoldersAreChecked() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        // Not even its owner can write to it.
        try FileManager.default.setAttributes([.posixPermissions: 0o500], ofItemAtPath: folder.path())
        defer { TestFiles.remove(folder.path()) }
        for data in [folder.path(), folder.path() + "/a/b"] {
            let run = try await CommandRun.unprivilegedLedger("serve", "--port", "0", "--data", data)
            #expect(run.status == ExitStatus.failed.rawValue)
            #expect(
                run.errors.contains(" the data folder \(data): permission denied."), "\(run.errors)")
            #expect(run.errors.contains("--data"))
        }
    }

    @Test("migrate --check reports a folder without a database, and creates nothing in it")
    func checksMakeNothing() async throws {
        let folder = "/tmp/progress-ledger-serve-\(UUID().uuidString)"
        let run = try await CommandRun.ledger("migrate", "--check", "--data", folder)
        #expect(run.status == ExitStatus.schema.rawValue)
        #expect(run.output.contains("\(folder): there is no database yet"), "\(run.output)")
        let json = try await CommandRun.ledger("migrate", "--check", "--json", "--data", folder)
        #expect(json.output.hasPrefix(#"{"is_current":false,"explanation":"there is no database yet"#))
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test("serve and project refuse events that Citus distributes, unless --citus is given")
    func citusIsRefused() async throws {
        try await withLedgerDatabase { target in
            let pool = Pool(target: target, logger: TestCluster.logger)
            // The table by which Citus is recognized.
            _ = try await pool.pipeline([
                Query("set local allow_system_table_mods = on", prepare: false),
                Query("create table pg_catalog.pg_dist_partition (logicalrelid regclass)", prepare: false),
                Query("insert into pg_catalog.pg_dist_partition values ('ledger.event')", prepare: false),
            ])
            await pool.close()
            for command in ["serve", "project"] {
                let run = try await CommandRun.ledger(command, "--database", target.description)
                #expect(run.status == ExitStatus.usage.rawValue)
                #expect(run.errors.contains("Citus distributes the events"), "\(run.errors)")
            }
            let server = try ServerProcess(["serve", "--port", "0", "--citus", "--database", target.description])
            _ = try await server.url()
            server.send(SIGTERM)
            try await server.wait()
        }
    }

    @Test("serve and project wait for an unavailable database, and start when it is available")
    func databasesAreWaitedFor() async throws {
        try await withLedgerDatabase { target in
            // PostgreSQL's socket folder does not exist yet: a link to it is created later.
            let host = try #require(target["host"])
            let folder = "/tmp/pl-\(UUID().uuidString.prefix(8))"
            defer { TestFiles.remove(folder) }
            let later = target.setting("host", folder).description
            let server = try ServerProcess(["serve", "--port", "0", "--database", later])
            let worker = try ServerProcess(["project", "--database", later])
            for process in [server, worker] {
                try await eventually({ $0.contains("] waiting for the database") }) { process.printed }
                #expect(process.isRunning)
            }
            try FileManager.default.createSymbolicLink(atPath: folder, withDestinationPath: host)
            let client = try LedgerClient(url: try await server.url())
            _ = try await client.createJob(JobDescription(name: "n"))
            for process in [server, worker] {
                #expect(process.printed.components(separatedBy: "waiting for the database").count == 2)
                process.send(SIGTERM)
                try await process.wait()
                #expect(process.exitCode == 0, "\(process.printed)")
            }
        }
    }

    @Test(
        "no part of a password that is not percent-encoded is printed",
        arguments: ["ver@ysecret", "ver/ysecret", "ver?ysecret", "ver#ysecret", "12/ysecret", "ver:y@sec/ret"])
    func passwordsAreNotPrinted(password: String) async throws {
        for flags in [["--database", "postgresql://user:\(password)@db.invalid/ledger"], []] {
            let environment =
                flags.isEmpty ? ["DATABASE_URL": "postgres://user:\(password)@db.invalid:5432/ledger"] : [:]
            let run = try await CommandRun.run(
                ServerProcess.binary, ["serve", "--port", "0", "--wait-for-database", "0"] + flags,
                environment: environment)
            #expect(run.status == ExitStatus.usage.rawValue)
            #expect(run.errors.contains("Write @ as %40"), "\(run.errors)")
            for part in ["ver", "secret", "12"] { #expect(!run.errors.contains(part), "\(run.errors)") }
        }
    }

    @Test(
        "other connection strings are accepted",
        arguments: [
            "", "host=/tmp dbname=a@b password=x@y", "postgresql://u:p%40ss@h/d", "postgres://[::1]:5432/d?user=a@b",
            "postgresql://h1:1,h2:2/d?user=a@b", "postgresql:///d?host=/tmp&user=a@b", "postgresql://u@h",
        ])
    func otherConnectionStringsPass(connectionString: String) throws {
        #expect(throws: Never.self) { try DatabaseURL.check(connectionString) }
    }

    @Test("a server waits for running requests no longer than --drain-seconds")
    func drainsAreBounded() async throws {
        try await withServer("--drain-seconds", "1") { url, server in
            try await whileRequestWaits(url, server) {
                server.send(SIGTERM)
                try await server.wait(within: Self.lessThanRequest)
                #expect(server.exitCode == 0)
            }
        }
    }

    /// A time too short to have waited for ``whileRequestWaits(_:_:_:)``.
    private static let lessThanRequest: Duration = .seconds(25)

    /// Runs the body while the server waits up to 30 s for the rest of a request.
    private func whileRequestWaits(_ url: String, _ server: ServerProcess, _ body: () async throws -> Void) async throws
    {
        let request = try IncompleteRequest(url, "/v1/jobs")
        defer { request.close() }
        // The request for the metrics is the second one.
        try await eventually({ $0.contains("progress_ledger_http_requests_in_flight 2") }) {
            try await CommandRun.run("/usr/bin/curl", ["--silent", "\(url)/metrics"]).lines
        }
        try await body()
    }

    /// A request with an incomplete body.
    private struct IncompleteRequest {
        private let descriptor: Int32

        init(_ url: String, _ path: String) throws {
            descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = try #require(url.split(separator: ":").last.flatMap { UInt16($0) }).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let connected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            #expect(connected == 0)
            let text =
                "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
            #expect(send(descriptor, text, text.utf8.count, 0) == text.utf8.count)
        }

        func close() { Glibc.close(descriptor) }
    }

    @Test("a worker process keeps the snapshots of a server without a worker up to date")
    func workersProject() async throws {
        try await withLedgerDatabase { target in
            let database = ["--database", target.description]
            let server = try ServerProcess(["serve", "--port", "0", "--no-projection"] + database)
            let worker = try ServerProcess(["project"] + database)
            let client = try LedgerClient(url: try await server.url())
            let job = try await client.createJob(JobDescription(name: "n"))
            let appended = try await client.append([EventDraft(.jobFinished(.completed))], to: job.id)
            let read = try await client.progress(of: job.id, minSequence: appended.sequences.upperBound)
            #expect(read.job.snapshot.state == .completed)
            for process in [worker, server] {
                process.send(SIGTERM)
                try await process.wait()
                #expect(process.exitCode == 0, "\(process.printed)")
            }
        }
    }

    @Test("standard output is one line, and the log is JSON if requested")
    func outputIsOneLine() async throws {
        try await withLedgerDatabase { target in
            let script = """
                "$0" serve --port 0 --database "$1" --log-format json --log-level debug > "$2" & server=$!
                until test -s "$2" || ! kill -0 $server; do sleep 0.05; done
                kill -TERM $server
                wait $server
                code=$?
                cat "$2"
                exit $code
                """
            let path = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path()
            defer { TestFiles.remove(path) }
            let run = try await CommandRun.run(
                "/bin/bash", ["-c", script, ServerProcess.binary, target.description, path])
            #expect(run.status == 0)
            #expect(run.lines.count == 1, "\(run.output)")
            #expect(run.lines.first?.hasPrefix("listening on http://127.0.0.1:") == true)
            let log = run.errors.split(separator: "\n")
            #expect(!log.isEmpty)
            for line in log {
                let entry = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
                #expect(entry?["message"] is String, "\(line)")
            }
        }
    }

    @Test("--watchers-max sets the limit of watchers")
    func limitsWatchers() async throws {
        try await withLedgerDatabase { target in
            let server = try ServerProcess(
                ["serve", "--port", "0", "--watchers-max", "17", "--database", target.description])
            let limits = try await CommandRun.run("/usr/bin/curl", ["--silent", "\(try await server.url())/v1/limits"])
            #expect(limits.output.contains("\"watchers\":17,"), "\(limits.output)")
        }
    }

    @Test("serve and project exit with code 7 for a login that cannot take the service's role")
    func rolesAreRequired() async throws {
        try await withLedgerDatabase { target in
            let login = "login_\(UInt32.random(in: 0 ... .max))"
            let pool = Pool(target: target, logger: Logger(label: "test"))
            // The login can read the applied migrations, so that only the session is refused.
            for statement in [
                "create role \(login) login", "grant usage on schema ledger to \(login)",
                "grant select on all tables in schema ledger to \(login)",
            ] { _ = try await pool.query(Query(statement, prepare: false)) }
            let database = target.setting("user", login).description
            for command in [["serve", "--port", "0"], ["project"]] {
                let refused = try await CommandRun.run(ServerProcess.binary, command + ["--database", database])
                #expect(refused.status == ExitStatus.schema.rawValue, "\(refused.errors)")
                #expect(refused.errors.contains("progress_ledger_service"), "\(refused.errors)")
                #expect(!refused.errors.contains("waiting for the database"), "\(refused.errors)")
            }
            for statement in ["drop owned by \(login)", "drop role \(login)"] {
                _ = try await pool.query(Query(statement, prepare: false))
            }
            await pool.close()
        }
    }

    @Test("an unmigrated database is refused with the command to run, and can then be migrated")
    func schemasAreRequired() async throws {
        try await withTestDatabase { target in
            let database = target.description
            for command in [["serve", "--port", "0"], ["project"]] {
                let refused = try await CommandRun.run(ServerProcess.binary, command + ["--database", database])
                #expect(refused.status == ExitStatus.schema.rawValue)
                #expect(refused.errors.contains("progress-ledger migrate"), "\(refused.errors)")
                #expect(refused.output.isEmpty)
            }
            let before = try await CommandRun.ledger("migrate", "--check", "--json", "--database", database)
            #expect(before.status == ExitStatus.schema.rawValue)
            #expect(before.output.hasPrefix(#"{"is_current":false,"#))
            let migrated = try await CommandRun.ledger("migrate", "--json", environment: ["DATABASE_URL": database])
            #expect(migrated.status == 0)
            #expect(migrated.output.hasPrefix(#"{"applied":["0001_"#))
            let again = try await CommandRun.ledger("migrate", "--database", database)
            #expect(again.output == "The schema already matches this version.\n")
            #expect(try await CommandRun.ledger("migrate", "--check", "--database", database).status == 0)
        }
    }

    @Test("a private database is created, stopped with its server, and used again by the next one")
    func privateDatabasesAreFoundAgain() async throws {
        let folder = "/tmp/progress-ledger-serve-\(UUID().uuidString)"
        defer { TestFiles.remove(folder) }
        for isFirst in [true, false] {
            let server = try ServerProcess(["serve", "--port", "0", "--data", folder])
            let client = try LedgerClient(url: try await server.url())
            let found = try await client.jobs().jobs.map(\.description.name)
            #expect(found == (isFirst ? [] : ["kept"]))
            if isFirst { _ = try await client.createJob(JobDescription(name: "kept")) }
            server.send(SIGTERM)
            try await server.wait()
            #expect(server.exitCode == 0, "\(server.printed)")
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/postgresql/data/postmaster.pid"))
        }
    }

    @Test("a second signal leaves no private database running")
    func secondSignalsStopPrivateDatabases() async throws {
        let folder = "/tmp/progress-ledger-serve-\(UUID().uuidString)"
        defer { TestFiles.remove(folder) }
        let server = try ServerProcess(["serve", "--port", "0", "--data", folder])
        try await whileRequestWaits(try await server.url(), server) {
            server.send(SIGTERM)
            try await eventually({ $0.contains("] stopping") }) { server.printed }
            try await Self.sendUntilEnded(SIGTERM, to: server)
        }
        #expect(server.printed.contains("] stopping at once"))
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/postgresql/data/postmaster.pid"))
    }

    @Test(
        "an invalid setting exits with code 64 and names its source",
        arguments: [
            (["--port", "70000"], [:], "--port: invalid value '70000'"),
            ([], ["PROGRESS_LEDGER_PORT": "many"], "PROGRESS_LEDGER_PORT: invalid value 'many'"),
            (["--host", "0.0.0.0"], [:], "--insecure-no-authentication"),
            (["--log-level", "loud"], [:], "trace, debug, info"),
            (["--log-format", "xml"], [:], "text or json"),
            (["--config", "/nowhere"], [:], "/nowhere"),
            (["--data", "/x", "--database", "y"], [:], "give one of them"),
            (
                ["--drain-seconds", "-1"], [:],
                "--drain-seconds: invalid value '-1'. Expected a whole number of seconds"
            ),
            (["--wait-for-database", "x"], [:], "--wait-for-database: invalid value 'x'"),
            ([], ["PROGRESS_LEDGER_WAIT_FOR_DATABASE": "-1"], "PROGRESS_LEDGER_WAIT_FOR_DATABASE: invalid value '-1'"),
            (["--watchers-max", "0"], [:], "a whole number from 1 to 16384"),
            ([], ["PROGRESS_LEDGER_WATCHERS_MAX": "all"], "PROGRESS_LEDGER_WATCHERS_MAX: invalid value 'all'"),
            (["--tls-certificate", "x"], [:], "tls-certificate"),
            (["--database-read", "host=a,b"], [:], "--database-read names several servers"),
            (["--database-read", "nonsense"], [:], "--database-read: cannot read the connection string"),
        ] as [([String], [String: String], String)])
    func mistakesAreNamed(flags: [String], environment: [String: String], text: String) async throws {
        let run = try await CommandRun.run(ServerProcess.binary, ["serve"] + flags, environment: environment)
        #expect(run.status == 64, "\(run.errors)")
        #expect(run.errors.contains(text), "\(run.errors)")
        #expect(run.output.isEmpty)
    }

    @Test("an unreachable database exits with code 5 and does not print the password")
    func unreachableDatabasesAreNamed() async throws {
        let run = try await CommandRun.ledger(
            "serve", "--port", "0", "--wait-for-database", "1", "--database",
            "host=/nonexistent dbname=x user=y password=verysecret")
        #expect(run.status == ExitStatus.unavailable.rawValue)
        #expect(run.errors.contains("/nonexistent"))
        #expect(!run.errors.contains("verysecret"))
    }
}
