internal import Crypto
internal import FoundationEssentials
public import LedgerSchema
public import Logging
public import PQ

/// The error of a migration that could not be applied.
public struct MigrationError: Error, Sendable, CustomStringConvertible {
    /// The failure and the remedy.
    public let description: String
    /// The underlying error.
    public let cause: PQError?
}

/// Brings the database's schema to the version of this build.
///
/// It only moves forward. Each file is applied in its own transaction together with its record. Only one migrator
/// works at a time.
public struct Migrator: Sendable {
    private static let lockName = "ledger.migrator"
    /// The interval between attempts to get the lock, and between log messages.
    private static let lockIntervals: (look: Duration, log: Duration) = (.milliseconds(200), .seconds(10))
    /// The time limit of one file.
    private static let fileDeadline: Duration = .seconds(3_600)

    private let target: ConnectionTarget
    private let logger: Logger
    private let migrations: [Migration]
    private let lockTimeout: Duration
    private let serviceLogin: String?
    private let versionMin: Int

    /// Creates a migrator of this database.
    ///
    /// The connection's user must be allowed to create schemas and, for the first migration, roles.
    ///
    /// - Parameters:
    ///   - serviceLogin: The user with which the services log in; nil for the connection's user.
    ///   - lockTimeout: The time that another migrator may take before this one gives up.
    public init(
        target: ConnectionTarget, serviceLogin: String? = nil, migrations: [Migration] = Migration.all,
        lockTimeout: Duration = .seconds(120), logger: Logger
    ) {
        self.init(
            target: target, serviceLogin: serviceLogin, migrations: migrations, lockTimeout: lockTimeout,
            versionMin: PostgresVersion.oldest, logger: logger)
    }

    /// Variant with another oldest version of PostgreSQL, for tests.
    init(
        target: ConnectionTarget, serviceLogin: String? = nil, migrations: [Migration] = Migration.all,
        lockTimeout: Duration = .seconds(120), versionMin: Int, logger: Logger
    ) {
        self.target = target
        self.serviceLogin = serviceLogin
        self.versionMin = versionMin
        self.lockTimeout = lockTimeout
        self.logger = logger
        self.migrations = migrations
        for (index, migration) in migrations.enumerated() {
            precondition(migration.version == index + 1, "\(migration.file): migrations are numbered without a gap")
        }
    }

    /// Checks that each connection has a server session of its own.
    ///
    /// Otherwise a lock, a role or a setting of this migrator would reach other clients of a pooler. Needs no schema.
    ///
    /// - Throws: ``PQError/Code/sessionRefused`` with the remedy.
    public func checkSession() async throws(PQError) {
        var settings = self.settings
        settings.connectionsMax = 2
        _ = try await Pool(target: target, settings: settings, logger: logger).checkSession()
    }

    /// Compares the schema and changes nothing. Uses one connection.
    public func check() async throws -> SchemaStatus {
        try await withLease { lease in try await self.status(&lease) }
    }

    /// The ways in which the database fails to keep the ledger append-only.
    ///
    /// Empty if it does, or if it has no schema yet.
    public func guaranteeFaults() async throws -> [String] {
        try await withLease { lease in
            guard case .current = try await self.status(&lease) else { return [] }
            return try GuaranteeReader.faults(try await lease.query(GuaranteeReader.query))
        }
    }

    /// The result of a migration.
    public struct MigrationResult: Sendable, Equatable {
        /// The files that were applied.
        public var applied: [String] = []
        /// The broken guarantees that were repaired.
        public var repaired: [String] = []
        /// The broken guarantees that only an administrator can repair.
        public var faults: [String] = []
        /// The statements that only an administrator may run.
        ///
        /// The ledger works without them: they protect it in case a pooler loses the settings of a session.
        public var administratorSQL: [String] = []
    }

    /// Applies missing migrations and restores the guarantees.
    ///
    /// - Returns: The files that were applied. None if the schema was current.
    /// - Throws: ``MigrationError`` if the database is newer, if a migration was edited, or if one fails. A failed
    ///   file has no effect.
    public func migrate() async throws -> [String] {
        try await migrateAndRepair().applied
    }

    /// Applies missing migrations, restores the guarantees, and returns the result.
    ///
    /// - Throws: The errors of ``migrate()``, and of ``checkSession()``.
    public func migrateAndRepair() async throws -> MigrationResult {
        try await checkSession()
        return try await withLease { lease in
            try await self.checkWritable(&lease)
            try await ServiceLogin(self.serviceLogin, &lease).check()
            try await self.lock(&lease)
            try await self.becomeOwner(&lease)
            var result = MigrationResult()
            switch try await self.status(&lease) {
            case .current:
                try await Preparation.ensureRole(&lease)
            case .behind(let files):
                if files.count == self.migrations.count {
                    try await Preparation.checkFirst(&lease)
                } else {
                    try await Preparation.ensureRole(&lease)
                }
                for migration in self.migrations where files.contains(migration.file) {
                    try await self.apply(migration, &lease)
                }
                result.applied = files
            case let status:
                throw MigrationError(description: status.explanation, cause: nil)
            }
            try await self.restoreGuarantees(&result, &lease)
            result.administratorSQL = try await ServiceLogin(self.serviceLogin, &lease).prepare(&lease)
            try await self.unlock(&lease)
            return result
        }
    }

    /// Returns the SQL equivalent of ``migrateAndRepair()``, for use with psql.
    ///
    /// - Throws: ``MigrationError`` if this build must not change the database.
    public func script() async throws -> String {
        try await withLease { lease in
            let status = try await self.status(&lease)
            let files: [String] =
                switch status {
                case .current: []
                case .behind(let files): files
                case .inaccessible: []
                default: throw MigrationError(description: status.explanation, cause: nil)
                }
            return try await AdministratorScript(
                migrations: self.migrations.filter { files.contains($0.file) }, login: self.serviceLogin, &lease
            ).text
        }
    }

    /// Restores the ``Guarantees``, if a release that has all of them is applied.
    private func restoreGuarantees(_ result: inout MigrationResult, _ lease: inout Lease) async throws {
        guard migrations.count >= Migration.all.count else { return }
        let faults = try GuaranteeReader.faults(try await lease.query(GuaranteeReader.query))
        guard !faults.isEmpty else { return }
        do throws(PQError) {
            try await lease.withTransaction { transaction throws(PQError) in
                _ = try await transaction.commit(
                    after: [Query("set local lock_timeout = '5s'", prepare: false)] + GuaranteeRepair.statements)
            }
        } catch {
            throw MigrationError(
                description: "the ledger is not protected (\(faults.joined(separator: "; "))), and restoring that "
                    + "failed: \(error.description)", cause: error)
        }
        result.faults = try GuaranteeReader.faults(try await lease.query(GuaranteeReader.query))
        result.repaired = faults.filter { !result.faults.contains($0) }
    }

    // MARK: The session

    /// Refuses a standby and a read-only database.
    private func checkWritable(_ lease: inout Lease) async throws {
        let row = try await lease.query(
            Query("select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"))[0]
        guard try !row.decode(0, as: Bool.self) else {
            throw MigrationError(description: "the database is a standby: migrate its primary", cause: nil)
        }
        guard try !row.decode(1, as: Bool.self) else {
            throw MigrationError(
                description: "the database is read-only for this user (default_transaction_read_only)", cause: nil)
        }
    }

    /// Waits for another migrator and logs its session.
    private func lock(_ lease: inout Lease) async throws {
        let started = ContinuousClock.now
        var logged: ContinuousClock.Instant?
        while true {
            let rows = try await lease.query(
                Query("select pg_try_advisory_lock(hashtextextended($1, 0))", [.text(Self.lockName)]))
            if try rows[0].decode(0, as: Bool.self) { return }
            let holder = try await holder(&lease)
            guard started.duration(to: .now) < lockTimeout else {
                throw MigrationError(
                    description: "another migrator is running: \(holder). Wait until it has ended, or end its session",
                    cause: nil)
            }
            if logged.map({ $0.duration(to: .now) >= Self.lockIntervals.log }) ?? true {
                logger.warning("waiting for another migrator", metadata: ["migrator.holder": "\(holder)"])
                logged = .now
            }
            try await Task.sleep(for: Self.lockIntervals.look)
        }
    }

    /// Releases the lock, which a pooler may otherwise keep with the session.
    private func unlock(_ lease: inout Lease) async throws(PQError) {
        _ = try await lease.query(
            Query("select pg_advisory_unlock(hashtextextended($1, 0))", [.text(Self.lockName)]))
    }

    private func holder(_ lease: inout Lease) async throws(PQError) -> String {
        let rows = try await lease.query(
            Query(
                """
                select
                    held.pid, coalesce(session.usename::text, 'unknown'), coalesce(session.application_name, ''),
                    coalesce(host(session.client_addr), 'the same machine'),
                    coalesce(extract(epoch from clock_timestamp() - session.backend_start), 0)::bigint
                from pg_locks as held
                left join pg_stat_activity as session on session.pid = held.pid
                where held.locktype = 'advisory' and held.granted and held.objsubid = 1
                    and held.database = (select oid from pg_database where datname = current_database())
                    and ((held.classid::bigint << 32) | held.objid::bigint) = hashtextextended($1, 0)
                """, [.text(Self.lockName)]))
        guard let row = rows.first else { return "it has just ended" }
        let process = try row.decode(0, as: Int32.self)
        let (user, application) = (try row.decode(1, as: String.self), try row.decode(2, as: String.self))
        let (machine, seconds) = (try row.decode(3, as: String.self), try row.decode(4, as: Int64.self))
        return "process \(process) (\(application.isEmpty ? "unnamed" : application)) of user \(user) from \(machine), "
            + "connected for \(seconds) s"
    }

    /// Takes the role that owns the schema, if this user may.
    ///
    /// New objects then belong to that role.
    private func becomeOwner(_ lease: inout Lease) async throws(PQError) {
        let rows = try await lease.query(
            Query(
                """
                select pg_get_userbyid(nspowner)::text
                from pg_namespace
                where nspname = 'ledger' and pg_get_userbyid(nspowner) <> current_user
                    and pg_has_role(current_user, nspowner, 'MEMBER')
                """))
        guard let owner = try rows.first?.decode(0, as: String.self) else { return }
        _ = try await lease.query(Query("select set_config('role', $1, false)", [.text(owner)]))
    }

    /// Overrides settings of the user or database that a migration depends on.
    ///
    /// They determine how long a migration may take and how its names are resolved.
    private static let overrides = Query(
        """
        select set_config(requested.name, requested.value, false)
        from (
            values
                ('statement_timeout', '0'), ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
                ('idle_session_timeout', '0'), ('transaction_timeout', '0'), ('search_path', 'pg_catalog, pg_temp'),
                ('default_transaction_isolation', 'read committed'), ('timezone', 'UTC'), ('row_security', 'off'),
                ('standard_conforming_strings', 'on'), ('check_function_bodies', 'on'), ('jit', 'off')
        ) as requested (name, value)
        join pg_settings as existing on existing.name = lower(requested.name) or existing.name = requested.name
            or (existing.name = 'TimeZone' and requested.name = 'timezone')
        """, prepare: false)

    private var settings: Pool.Settings {
        var settings = Pool.Settings()
        settings.connectionsMax = 1
        settings.applicationName = "progress-ledger migrate"
        settings.session.acceptsAnyEncoding = true
        return settings
    }

    func withLease<R>(_ body: (inout Lease) async throws -> R) async throws -> R {
        let pool = Pool(target: target, settings: settings, logger: logger)
        do {
            let result = try await pool.withConnection { lease in
                // This statement comes first and separately, because the limit that it lifts also applies to the next
                // one.
                try await lease.script("set statement_timeout = 0")
                _ = try await lease.query(Self.overrides)
                return try await body(&lease)
            }
            await pool.close()
            return result
        } catch {
            await pool.close()
            throw error
        }
    }

    private func status(_ lease: inout Lease) async throws(PQError) -> SchemaStatus {
        let found = try await lease.query(Self.findings)
        let version = try found[0].decode(5, as: Int.self)
        guard version >= versionMin else {
            return .unsupportedServer(version: try found[0].decode(6, as: String.self))
        }
        let encoding = try found[0].decode(0, as: String.self)
        guard encoding == "UTF8" else { return .unsupportedEncoding(encoding) }
        guard try found[0].decode(1, as: Bool.self) else { return .behind(files: migrations.map(\.file)) }
        if try !found[0].decode(2, as: Bool.self) {
            // A login that inherits no privileges must take the role first.
            guard try found[0].decode(3, as: Bool.self) else {
                return .inaccessible(user: try found[0].decode(4, as: String.self))
            }
            _ = try await lease.query(
                Query("select set_config('role', $1, false)", [.text(Guarantees.serviceRole)]))
        }
        let tables = try await lease.query(Self.tables)
        guard try tables[0].decode(0, as: Bool.self) else { return .foreign }
        let rows = try await lease.query(
            Query("select version, sha256 from ledger.schema_migration order by version"))
        guard !rows.isEmpty else { return .foreign }
        let newest = try rows[rows.count - 1].decode(0, as: Int.self)
        for row in rows {
            let version = try row.decode(0, as: Int.self)
            guard version <= migrations.count else { return .newer(version: newest) }
            let migration = migrations[version - 1]
            guard try row.decode(1, as: String.self) == migration.sha256 else { return .edited(file: migration.file) }
        }
        let pending = migrations.dropFirst(rows.count)
        return pending.isEmpty ? .current(version: rows.count) : .behind(files: pending.map(\.file))
    }

    private static let findings = Query(
        """
        select
            pg_encoding_to_char(database.encoding)::text, schema.oid is not null,
            coalesce(has_schema_privilege(schema.oid, 'usage'), false),
            coalesce(pg_has_role(service.oid, \(Preparation.setRole)), false), current_user::text,
            current_setting('server_version_num')::bigint, current_setting('server_version')
        from pg_database as database
        left join pg_namespace as schema on schema.nspname = 'ledger'
        left join pg_roles as service on service.rolname = $1
        where database.datname = current_database()
        """, [.text(Guarantees.serviceRole)])

    /// Whether a migrator created the schema, and the catalog of Citus, if present.
    ///
    /// Citus lists distributed tables in that catalog.
    private static let tables = Query(
        """
        select
            exists (
                select from pg_class where relname = 'schema_migration' and relnamespace = 'ledger'::regnamespace
            )
        """)

    private func apply(_ migration: Migration, _ lease: inout Lease) async throws {
        let started = ContinuousClock.now
        do throws(PQError) {
            try await lease.script("begin; set local lock_timeout = '5s'; set local client_min_messages = warning")
            try await lease.script(migration.sql, deadline: Self.fileDeadline)
            let (seconds, attoseconds) = started.duration(to: .now).components
            _ = try await lease.query(
                Query(
                    """
                    insert into ledger.schema_migration (version, file, sha256, duration_microseconds)
                    values ($1, $2, $3, $4)
                    """,
                    [
                        .int4(Int32(migration.version)), .text(migration.file), .text(migration.sha256),
                        .int8(seconds * 1_000_000 + attoseconds / 1_000_000_000_000),
                    ]))
            try await lease.script("commit")
        } catch {
            // Closing the connection rolls back its open transaction.
            throw MigrationError(
                description: "\(migration.file) failed and was undone: \(error.description)"
                    + (error.server?.hint.map { ". \($0)" } ?? ""), cause: error)
        }
        logger.info("applied a migration", metadata: ["migration.file": "\(migration.file)"])
    }
}

extension Migration {
    /// The SHA-256 of the SQL, in hexadecimal.
    public var sha256: String {
        SHA256.hash(data: Data(sql.utf8)).map { byte in
            let digits = String(byte, radix: 16)
            return digits.utf8.count == 1 ? "0" + digits : digits
        }.joined()
    }
}
