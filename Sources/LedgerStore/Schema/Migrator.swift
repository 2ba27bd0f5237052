internal import Crypto
internal import FoundationEssentials
public import LedgerSchema
public import Logging
public import PQ

/// How a database's schema compares with the one that this build needs.
public enum SchemaStatus: Sendable, Equatable {
    /// All migrations of this build are there, and no others.
    case current(version: Int)
    /// These files are still to be applied.
    case behind(files: [String])
    /// A newer build has migrated the database: this one must not touch it.
    case newer(version: Int)
    /// A migration was applied with another content than this build has.
    case edited(file: String)
    /// There is a schema `ledger` that no migrator made.
    case foreign

    /// What it means and what to do, in a sentence.
    public var explanation: String {
        switch self {
        case .current(let version): "the schema is at version \(version), as this build needs it"
        case .behind(let files):
            "the schema lacks \(files.joined(separator: ", ")): run `progress-ledger migrate`"
        case .newer(let version):
            "the database is at version \(version), which is newer than this build knows: run a newer build"
        case .edited(let file):
            "\(file) was applied with another content than this build has: a released migration must never be edited"
        case .foreign:
            "there is a schema named ledger without records of migrations: it was made by other means, and is left alone"
        }
    }
}

/// A migration that could not be applied.
public struct MigrationError: Error, Sendable, CustomStringConvertible {
    /// What went wrong and what to do.
    public let description: String
    /// What failed underneath.
    public let cause: PQError?
}

/// Brings the database's schema to the version of this build: forward only, each file in a transaction of its own
/// together with its record, one migrator at a time.
public struct Migrator: Sendable {
    private static let lockName = "ledger.migrator"
    /// How long another migrator may take before this one gives up.
    private static let lockDeadline: Duration = .seconds(120)
    /// How long one file may take.
    private static let fileDeadline: Duration = .seconds(3_600)

    private let target: ConnectionTarget
    private let logger: Logger
    private let migrations: [Migration]

    /// A migrator of this database. The user it connects as must be allowed to make schemas and, for the first
    /// migration, roles.
    public init(target: ConnectionTarget, migrations: [Migration] = Migration.all, logger: Logger) {
        self.target = target
        self.logger = logger
        self.migrations = migrations
        for (index, migration) in migrations.enumerated() {
            precondition(migration.version == index + 1, "\(migration.file): migrations are numbered without a gap")
        }
    }

    /// Compares, and changes nothing. One connection.
    public func check() async throws -> SchemaStatus {
        try await withLease { lease in try await self.status(&lease) }
    }

    /// Applies what is missing.
    ///
    /// - Returns: The files that were applied; none where the schema was current.
    /// - Throws: ``MigrationError`` where the database is newer, a migration was edited or one fails; then nothing of
    ///   that file remains.
    public func migrate() async throws -> [String] {
        try await withLease { lease in
            _ = try await lease.query(
                Query("select pg_advisory_lock(hashtextextended($1, 0))", [.text(Self.lockName)]),
                deadline: Self.lockDeadline)
            let status = try await self.status(&lease)
            guard case .behind(let files) = status else {
                if case .current = status { return [] }
                throw MigrationError(description: status.explanation, cause: nil)
            }
            for migration in self.migrations where files.contains(migration.file) {
                try await self.apply(migration, &lease)
            }
            return files
        }
    }

    private func withLease<R>(_ body: (inout Lease) async throws -> R) async throws -> R {
        var settings = Pool.Settings()
        settings.connectionsMax = 1
        settings.applicationName = "progress-ledger migrate"
        let pool = Pool(target: target, settings: settings, logger: logger)
        do {
            let result = try await pool.withConnection(body)
            await pool.close()
            return result
        } catch {
            await pool.close()
            throw error
        }
    }

    private func status(_ lease: inout Lease) async throws(PQError) -> SchemaStatus {
        let found = try await lease.query(
            Query("select to_regnamespace('ledger') is not null, to_regclass('ledger.schema_migration') is not null"))
        guard try found[0].decode(0, as: Bool.self) else { return .behind(files: migrations.map(\.file)) }
        guard try found[0].decode(1, as: Bool.self) else { return .foreign }
        let rows = try await lease.query(
            Query("select version, sha256 from ledger.schema_migration order by version"))
        guard !rows.isEmpty else { return .foreign }
        for row in rows {
            let version = try row.decode(0, as: Int.self)
            guard version <= migrations.count else { return .newer(version: version) }
            let migration = migrations[version - 1]
            guard try row.decode(1, as: String.self) == migration.sha256 else { return .edited(file: migration.file) }
        }
        let pending = migrations.dropFirst(rows.count)
        return pending.isEmpty ? .current(version: rows.count) : .behind(files: pending.map(\.file))
    }

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
            // The connection is closed with its transaction open, which rolls it back.
            throw MigrationError(
                description: "\(migration.file) failed and was undone: \(error.description)"
                    + (error.server?.hint.map { ". \($0)" } ?? ""), cause: error)
        }
        logger.info("applied a migration", metadata: ["migration.file": "\(migration.file)"])
    }
}

extension Migration {
    /// The SHA-256 of its text, in hexadecimal.
    public var sha256: String {
        SHA256.hash(data: Data(sql.utf8)).map { byte in
            let digits = String(byte, radix: 16)
            return digits.utf8.count == 1 ? "0" + digits : digits
        }.joined()
    }
}
