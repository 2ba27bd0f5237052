import Ledger
import LedgerSchema
import LedgerTestSupport
import Logging
import PQ
import Synchronization
import Testing

@testable import LedgerStore

@Suite("Migrators and the cluster", .serialized)
struct MigratorTests {
    private func withPool<R>(
        _ target: ConnectionTarget, _ name: String = "test", _ body: (Pool) async throws -> R
    ) async throws -> R {
        var settings = Pool.Settings()
        settings.applicationName = name
        let pool = Pool(target: target, settings: settings, logger: TestCluster.logger)
        let result: Result<R, any Error>
        do { result = .success(try await body(pool)) } catch { result = .failure(error) }
        await pool.close()
        return try result.get()
    }

    private func migrator(_ target: ConnectionTarget, lockTimeout: Duration = .seconds(120)) -> Migrator {
        Migrator(target: target, lockTimeout: lockTimeout, logger: TestCluster.logger)
    }

    /// Runs the closure with a login that may create schemas in the database.
    ///
    /// The login has these attributes and is dropped afterwards.
    private func withLogin(
        _ name: String, _ attributes: String, in target: ConnectionTarget,
        _ body: (ConnectionTarget) async throws -> Void
    ) async throws {
        let database = try #require(target["dbname"])
        try await withPool(target) { pool in
            _ = try await pool.query(Query("drop role if exists \(name)", prepare: false))
            _ = try await pool.query(Query("create role \(name) login \(attributes)", prepare: false))
            _ = try await pool.query(Query("grant create on database \(database) to \(name)", prepare: false))
            let version = try await pool.query(Query("select current_setting('server_version_num')::int"))[0]
            if attributes.contains("createrole"), try version.decode(0, as: Int32.self) >= 160_000 {
                // Since PostgreSQL 16, CREATEROLE concerns only roles that the login has created. It has this right to
                // those; another ledger of the cluster may have created this one.
                _ = try await pool.query(
                    Query(
                        """
                        do $$ begin create role progress_ledger_service nologin;
                        exception when duplicate_object or unique_violation then null; end $$
                        """, prepare: false))
                _ = try await pool.query(
                    Query(
                        "grant progress_ledger_service to \(name) with admin true, inherit false, set false",
                        prepare: false))
            }
            let result: Result<Void, any Error>
            do { result = .success(try await body(target.setting("user", name))) } catch { result = .failure(error) }
            _ = try await pool.query(Query("drop owned by \(name) cascade", prepare: false))
            _ = try await pool.query(Query("drop role \(name)", prepare: false))
            try result.get()
        }
    }

    @Test("without CREATEROLE the error contains the SQL for an administrator, which then works")
    func withoutCreateRole() async throws {
        try await withTestDatabase { target in
            // The role exists already, as if another ledger of the cluster had created it.
            try await withPool(target) { pool in
                _ = try await pool.query(
                    Query(
                        """
                        do $$ begin create role progress_ledger_service nologin;
                        exception when duplicate_object or unique_violation then null; end $$
                        """, prepare: false))
            }
            try await withLogin("mig_plain", "", in: target) { login in
                let error = await #expect(throws: MigrationError.self) { try await migrator(login).migrate() }
                let statement = "grant progress_ledger_service to \"mig_plain\" with admin option;"
                #expect(error?.description.contains(statement) == true, "\(String(describing: error))")
                #expect(try await migrator(login).check() != .foreign)
                try await withPool(target) { _ = try await $0.query(Query(statement, prepare: false)) }
                let applied = try await migrator(login).migrate()
                #expect(!applied.isEmpty)
                #expect(try await migrator(login).guaranteeFaults() == [])
            }
        }
    }

    @Test("a user that may not create schemas gets the missing grant in the error")
    func withoutCreate() async throws {
        try await withTestDatabase { target in
            let database = try #require(target["dbname"])
            try await withLogin("mig_reader", "createrole", in: target) { login in
                try await withPool(target) { pool in
                    _ = try await pool.query(
                        Query("revoke create on database \(database) from mig_reader", prepare: false))
                }
                let error = await #expect(throws: MigrationError.self) { try await migrator(login).migrate() }
                #expect(error?.description.contains("grant create on database \"\(database)\"") == true)
            }
        }
    }

    @Test("migrate repeats the grant of the role, which no dump contains")
    func grantIsRepeated() async throws {
        try await withTestDatabase { target in
            try await withLogin("mig_restorer", "createrole", in: target) { login in
                _ = try await migrator(login).migrate()
                // By the login: since PostgreSQL 16 a grant can only be revoked in the name of its grantor.
                try await withPool(login) { pool in
                    _ = try await pool.query(
                        Query("revoke progress_ledger_service from mig_restorer", prepare: false))
                }
                let applied = try await migrator(login).migrate()
                #expect(applied.isEmpty)
                try await withPool(login) { pool in
                    let role = try await pool.withTransaction { transaction in
                        _ = try await transaction.query(
                            Query("set local role progress_ledger_service", prepare: false))
                        return try await transaction.query(Query("select current_user::text"))[0].decode(
                            0, as: String.self)
                    }
                    #expect(role == "progress_ledger_service")
                }
            }
        }
    }

    @Test("a login that inherits nothing can serve; an unknown login gets the grant in the error")
    func noInherit() async throws {
        try await withLedgerDatabase { target in
            try await withLogin("mig_server", "noinherit", in: target) { login in
                #expect(try await migrator(login).check() == .inaccessible(user: "mig_server"))
                try await withPool(target) { pool in
                    _ = try await pool.query(Query("grant progress_ledger_service to mig_server", prepare: false))
                }
                guard case .current = try await migrator(login).check() else {
                    Issue.record("the schema is not found")
                    return
                }
                try await withRunningLedger(on: login) { ledger in
                    let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                    #expect(try await ledger.job(job)?.snapshot.sequence == 1)
                    #expect(await ledger.readiness().isReady)
                }
            }
        }
    }

    @Test("objects that a member of the owner creates by migrating belong to the owner")
    func memberOfOwner() async throws {
        try await withTestDatabase { target in
            try await withLogin("mig_owner", "createrole", in: target) { owner in
                _ = try await Migrator(
                    target: owner, migrations: Array(Migration.all.prefix(4)), logger: TestCluster.logger
                ).migrate()
                // A superuser continues the migration.
                _ = try await migrator(target).migrate()
                #expect(try await migrator(target).guaranteeFaults() == [])
                try await withPool(target) { pool in
                    let rows = try await pool.query(
                        Query(
                            """
                            select count(*) from pg_class where relnamespace = 'ledger'::regnamespace
                                and pg_get_userbyid(relowner) <> 'mig_owner'
                            """))
                    #expect(try rows[0].decode(0, as: Int.self) == 0)
                }
            }
        }
    }

    @Test("a waiting migrator logs the holder of the lock, and gives up in time")
    func waitsForAnother() async throws {
        try await withTestDatabase { target in
            try await withPool(target, "the other migrator") { pool in
                try await pool.withConnection { lease in
                    _ = try await lease.query(
                        Query("select pg_advisory_lock(hashtextextended('ledger.migrator', 0))"))
                    let log = RecordedLog()
                    let waiting = Migrator(target: target, lockTimeout: .milliseconds(500), logger: log.logger)
                    let error = await #expect(throws: MigrationError.self) { try await waiting.migrate() }
                    let holder = "process \(lease.backendProcess) (the other migrator)"
                    #expect(error?.description.contains(holder) == true, "\(String(describing: error))")
                    #expect(log.lines.contains { $0.contains("waiting for another migrator") && $0.contains(holder) })
                }
            }
        }
    }

    @Test("time limits of the role do not interrupt a migration")
    func timeLimits() async throws {
        try await withTestDatabase { target in
            try await withLogin("mig_hasty", "createrole", in: target) { login in
                try await withPool(target) { pool in
                    for setting in [
                        "statement_timeout = '100ms'", "lock_timeout = '1ms'", "search_path = 'public'",
                        "default_transaction_isolation = 'serializable'",
                    ] {
                        _ = try await pool.query(Query("alter role mig_hasty set \(setting)", prepare: false))
                    }
                }
                let slow = Migration(
                    version: Migration.all.count + 1, file: "9999_slow.sql", sql: "select pg_sleep(0.3)")
                let applied = try await Migrator(
                    target: login, migrations: Migration.all + [slow], logger: TestCluster.logger
                ).migrate()
                #expect(applied == Migration.all.map(\.file) + [slow.file])
            }
        }
    }

    @Test("the error for a read-only database names the cause")
    func readOnly() async throws {
        try await withTestDatabase { target in
            let readOnly = target.setting("options", "-c default_transaction_read_only=on")
            let error = await #expect(throws: MigrationError.self) { try await migrator(readOnly).migrate() }
            #expect(error?.description.contains("read-only") == true)
        }
    }

    @Test("databases of other encodings than UTF8 are refused", arguments: ["LATIN1", "SQL_ASCII"])
    func encodings(_ encoding: String) async throws {
        try await withTestDatabase { target in
            let name = "\(try #require(target["dbname"]))_\(encoding.lowercased())"
            try await withPool(target) { pool in
                _ = try await pool.query(
                    Query(
                        "create database \(name) encoding '\(encoding)' template template0 locale 'C'", prepare: false))
                let other = target.setting("dbname", name)
                #expect(try await migrator(other).check() == .unsupportedEncoding(encoding))
                let error = await #expect(throws: MigrationError.self) { try await migrator(other).migrate() }
                #expect(error?.description.contains("encoding 'UTF8'") == true)
                _ = try await pool.query(Query("drop database \(name)", prepare: false))
            }
        }
    }

    @Test("a server that is older than the oldest supported version is refused")
    func oldServer() async throws {
        try await withTestDatabase { target in
            let migrator = Migrator(target: target, versionMin: 990_000, logger: TestCluster.logger)
            guard case .unsupportedServer = try await migrator.check() else {
                Issue.record("the server is accepted")
                return
            }
            let error = await #expect(throws: MigrationError.self) { try await migrator.migrate() }
            #expect(error?.description.contains("is too old: upgrade it to 14 or later") == true)
        }
    }

    @Test("migrate gives the login durable settings, and keeps a chosen weaker commit")
    func loginSettings() async throws {
        try await withTestDatabase { target in
            let database = try #require(target["dbname"])
            try await withLogin("mig_settings", "createrole", in: target) { login in
                func setting(_ name: String) async throws -> String {
                    try await withPool(login) { pool in
                        try await pool.query(Query("select current_setting($1)", [.text(name)]))[0].decode(0)
                    }
                }
                try await withPool(target) { pool in
                    for value in ["synchronous_commit = off", "default_transaction_isolation = serializable"] {
                        _ = try await pool.query(Query("alter database \(database) set \(value)", prepare: false))
                    }
                }
                #expect(try await setting("synchronous_commit") == "off")
                _ = try await migrator(login).migrate()
                #expect(try await setting("synchronous_commit") == "on")
                #expect(try await setting("default_transaction_isolation") == "read committed")
                #expect(try await setting("role") == "none", "the owner must be able to migrate")
                try await withPool(target) { pool in
                    let statement = "alter role mig_settings in database \(database) set synchronous_commit = local"
                    _ = try await pool.query(Query(statement, prepare: false))
                }
                _ = try await migrator(login).migrate()
                #expect(try await setting("synchronous_commit") == "local")
            }
        }
    }

    @Test("the printed SQL migrates an empty database, and may be run again")
    func printed() async throws {
        try await withTestDatabase { target in
            let script = try await migrator(target).script()
            // The server does not accept psql's own commands.
            let sql = script.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("\\") }
            try await withPool(target) { pool in
                try await pool.withConnection { try await $0.script(sql.joined(separator: "\n")) }
            }
            #expect(try await migrator(target).check() == .current(version: Migration.all.count))
            #expect(try await migrator(target).guaranteeFaults() == [])
            let again = try await migrator(target).script()
            #expect(!again.contains("create schema"))
        }
    }
}

/// A log that a test reads.
private final class RecordedLog: LogHandler, Sendable {
    private let recorded = Mutex<[String]>([])

    var lines: [String] { recorded.withLock { $0 } }
    var logger: Logger { Logger(label: "test") { _ in self } }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }

    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) {
        recorded.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") }
    }
}
