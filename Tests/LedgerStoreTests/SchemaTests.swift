import Ledger
import LedgerSchema
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("Schema and migrations")
struct SchemaTests {
    private func migrator(_ target: ConnectionTarget, _ migrations: [Migration] = Migration.all) -> Migrator {
        Migrator(target: target, migrations: migrations, logger: TestCluster.logger)
    }

    private func withPool<R>(_ target: ConnectionTarget, _ body: (Pool) async throws -> R) async throws -> R {
        let pool = Pool(target: target, logger: TestCluster.logger)
        let result = try await body(pool)
        await pool.close()
        return result
    }

    @Test("migrating an empty database applies all files, and migrating again applies none")
    func fromEmptyAndTwice() async throws {
        try await withTestDatabase { target in
            let status = try await migrator(target).check()
            #expect(status == .behind(files: Migration.all.map(\.file)))
            let applied = try await migrator(target).migrate()
            #expect(applied == Migration.all.map(\.file))
            let again = try await migrator(target).migrate()
            #expect(again.isEmpty)
            let after = try await migrator(target).check()
            #expect(after == .current(version: Migration.all.count))
        }
    }

    @Test("migrating from each released version leads to the current one")
    func fromEachVersion() async throws {
        for version in 1...Migration.all.count {
            try await withTestDatabase { target in
                _ = try await migrator(target, Array(Migration.all.prefix(version))).migrate()
                let applied = try await migrator(target).migrate()
                #expect(applied == Migration.all.dropFirst(version).map(\.file))
            }
        }
    }

    @Test("two migrators at once apply each file once")
    func twoAtOnce() async throws {
        try await withTestDatabase { target in
            let applied = try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<4 { group.addTask { try await self.migrator(target).migrate() } }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(applied.sorted() == Migration.all.map(\.file).sorted())
        }
    }

    @Test("a migration that fails leaves neither objects nor a record")
    func failingFile() async throws {
        try await withTestDatabase { target in
            let bad = Migration(
                version: Migration.all.count + 1, file: "9999_bad.sql",
                sql: "create table ledger.half (n int); select 1/0;")
            await #expect(throws: MigrationError.self) { try await migrator(target, Migration.all + [bad]).migrate() }
            let status = try await migrator(target).check()
            #expect(status == .current(version: Migration.all.count))
            try await withPool(target) { pool in
                let found = try await pool.query(Query("select to_regclass('ledger.half') is null"))
                #expect(try found[0].decode(0, as: Bool.self))
            }
        }
    }

    @Test("an edited migration, a newer database and a foreign schema are refused")
    func refusals() async throws {
        try await withTestDatabase { target in
            _ = try await migrator(target).migrate()
            var edited = Migration.all
            edited[0] = Migration(version: 1, file: edited[0].file, sql: edited[0].sql + "\n-- edited")
            let status = try await migrator(target, edited).check()
            #expect(status == .edited(file: edited[0].file))
            await #expect(throws: MigrationError.self) { try await migrator(target, edited).migrate() }
            let more = (1...2).map {
                Migration(version: Migration.all.count + $0, file: "999\($0)_more.sql", sql: "select 1")
            }
            _ = try await migrator(target, Migration.all + more).migrate()
            let older = try await migrator(target).check()
            #expect(older == .newer(version: Migration.all.count + 2))
            await #expect(throws: MigrationError.self) { try await migrator(target).migrate() }
        }
        try await withTestDatabase { target in
            try await withPool(target) { _ = try await $0.query(Query("create schema ledger")) }
            let status = try await migrator(target).check()
            #expect(status == .foreign)
        }
    }

    @Test("released migrations are never edited")
    func frozen() {
        // The SHA-256 of each released file. A change here means that deployed databases no longer match.
        let released = [
            "0001_ledger.sql": Self.frozenLedger, "0002_discards_by_execution.sql": Self.frozenDiscards,
            "0003_replays.sql": Self.frozenReplays, "0004_workers.sql": Self.frozenWorkers,
            "0005_guarantees.sql": Self.frozenGuarantees, "0006_stale_writes.sql": Self.frozenStaleWrites,
            "0007_access_tokens.sql": Self.frozenTokens, "0008_reporters.sql": Self.frozenReporters,
            "0009_idempotency_keys.sql": Self.frozenIdempotencyKeys, "0010_retirement.sql": Self.frozenRetirement,
            "0011_estimates.sql": Self.frozenEstimates,
            "0012_estimates_by_part.sql": "72bda49125fe604e31f6aa35ad779bd4e9c9d5a6e42a633a3000412a7b8a1e32",
            "0013_notifications.sql": Self.frozenNotifications, "0014_messages.sql": Self.frozenMessages,
            "0015_retirement_of_notifications.sql": "1b39d399ab9e1f2f2c9b36343c8929f4a7e3fa75aa92c3ff32580200713e903a",
            "0016_parts.sql": "54d86b7838031eacba1da5fa55a20dd98a5eb603be5d51b2dfc0f782d3850d9d",
            "0017_distribution.sql": "4ac23509b6eb33388ca0cee6681c6c70896d9840a0c4748aecb91b460f743489",
            "0018_shards.sql": "e9e5c5c147d8e919c144465fbfb451f6ce8a402457c18a5f8be370d76281fd01",
            "0019_moved_jobs.sql": "2fafda8021d2b1c8f327ef721a3569abfb953bcf954d7ddfeb349ea4bbdf2cbb",
        ]
        for migration in Migration.all {
            #expect(
                released[migration.file] == migration.sha256, "\(migration.file) was edited, or is new and not listed")
        }
    }

    private static let frozenMessages = "3ce8c84704e16a7020751cfb878ced160aa6afe72062f1f86fe0a7415f5e7717"
    private static let frozenNotifications = "248e0f1ef74ae4086db36d98b6469546d9de8be79284d7260ba718494ab22cb9"
    private static let frozenEstimates = "4e9262674ff98c33d9e7c90336dad1202fa51f71fc45aafcb6eeecbb3ec412a8"
    private static let frozenRetirement = "a07a3804e1945fdca59c00e599da985b71ca8e37ccb7a82929ae40823cca6d00"
    private static let frozenIdempotencyKeys = "0055238ce634bca19e32b404c1d5aa74cf35054eb939640cff48180de8d73d9f"
    private static let frozenReporters = "5c0e11cd4c7cbffcc798ad67779d6bdd39a76b12ef5d845a807081cf81af477e"
    private static let frozenTokens = "b0315acfe395928ea7fccb10147572ed43ab2e3aed68feb38fb5dba9062c8dd9"
    private static let frozenStaleWrites = "0b7a1e486b0bbef9898c16014a42f1a6e29e41a9e7d7e08a7321e92305c46b36"
    private static let frozenGuarantees = "079938afd8398cfc2621d0bf4c255616ceac0932e1d6f84d51cb860c3859dbbe"
    private static let frozenReplays = "5dd92af9062ecf5601879ab646197d691ac47ff9233e3a463746edcc3aebfb8c"
    private static let frozenWorkers = "12f8d3e2fc852f61558fda97d759143d876f1ecd800ec656c3aed0d08ad97b9b"
    private static let frozenDiscards = "62bc9d233a1fad1c9dfd9d86ff233a988d8f1b224d6e5d67c0b42ee4e47f4ee0"
    private static let frozenLedger = "b29ee91d235679022e861fb71e7f48ddfbaf33eae6b883d6fcb7390f69fff666"

    @Test(
        "UPDATE, DELETE and TRUNCATE on events fail for owner and service, in every trigger mode"
    )
    func eventsAreImmutable() async throws {
        try await withLedgerDatabase { target in
            try await withPool(target) { pool in
                let partition = try await pool.query(
                    Query(
                        "select inhrelid::regclass::text from pg_inherits where inhparent = 'ledger.event'::regclass limit 1"
                    ))
                let part = try partition[0].decode(0, as: String.self)
                for table in ["ledger.event", part] {
                    for statement in ["update \(table) set task = 'x'", "delete from \(table)", "truncate \(table)"] {
                        for mode in ["origin", "replica"] {
                            let error = await #expect(throws: PQError.self) {
                                try await pool.pipeline([
                                    Query("set local session_replication_role = \(mode)", prepare: false),
                                    Query(statement, prepare: false),
                                ])
                            }
                            #expect(error?.sqlState?.rawValue == "LG001", "\(statement) in mode \(mode)")
                        }
                        let refused = await #expect(throws: PQError.self) {
                            try await pool.pipeline([
                                Query("set local role progress_ledger_service", prepare: false),
                                Query(statement, prepare: false),
                            ])
                        }
                        #expect(refused?.sqlState == .insufficientPrivilege, "\(statement) as the service")
                    }
                }
                let job = await #expect(throws: PQError.self) { try await pool.query(Query("delete from ledger.job")) }
                #expect(job?.sqlState?.rawValue == "LG001")
            }
        }
    }

    @Test("a single row of the event table cannot be changed either")
    func rowsAreImmutable() async throws {
        try await withLedger { ledger in
            _ = try await ledger.createJob(.init(name: "n"))
            let error = await #expect(throws: PQError.self) {
                try await ledger.pool.query(Query("update ledger.event set task = 'x'"))
            }
            #expect(error?.sqlState == .insufficientPrivilege)
        }
    }

    @Test("partitions are created once per month, ahead of time, but not for absurd times")
    func partitions() async throws {
        try await withLedgerDatabase { target in
            try await withPool(target) { pool in
                func make(_ moment: String) async throws -> Bool {
                    try await pool.query(
                        Query("select ledger.make_event_partition($1::text::timestamptz)", [.text(moment)]))[0]
                        .decode(0)
                }
                let first = try await make("2031-12-31T23:59:59Z")
                let second = try await make("2031-12-01T00:00:00Z")
                #expect(first && !second)
                await #expect(throws: PQError.self) { try await make("1970-01-01T00:00:00Z") }
                let ahead = try await pool.query(Query("select ledger.make_event_partitions(6)"))
                #expect(try ahead[0].decode(0, as: Int.self) == 3)
            }
        }
    }
}
