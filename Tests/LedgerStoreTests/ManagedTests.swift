import Ledger
import LedgerTestSupport
import Logging
import PQ
import Testing

@testable import LedgerStore

/// The ledger on a server like those of database providers.
///
/// It accepts logins by TLS only, no user of the ledger is a superuser, and roles are made by an administrator.
@Suite("Managed PostgreSQL", .serialized, .timeLimit(.minutes(10)))
struct ManagedTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    /// A managed server with a database that belongs to its administrator.
    private struct Managed {
        let tls: TestTLSServer

        /// May create roles and databases, and is no superuser.
        var administrator: ConnectionTarget { tls.target("administrator", password: "of admin", database: "ledger") }
        /// May own a schema. The database belongs to the administrator.
        var owner: ConnectionTarget { tls.target("owner", password: "of owner", database: "ledger") }
        /// The login of the services, which inherits no rights of its roles.
        var service: ConnectionTarget { tls.target("service", password: "p@ss'w\\rd", database: "ledger") }
        /// A login that has a client certificate and no password.
        var certified: ConnectionTarget { tls.target("certified", password: nil, database: "ledger") }
    }

    private func run(_ target: ConnectionTarget, _ statements: [String]) async throws {
        try await TestCluster.run(statements, on: target, logger: Self.silent)
    }

    private func run(_ target: ConnectionTarget, script: String) async throws {
        // The server does not accept psql's own commands.
        let sql = script.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("\\") }
        let pool = Pool(target: target, logger: Self.silent)
        let result: Result<Void, any Error>
        do {
            result = .success(
                try await pool.withConnection { try await $0.script(sql.joined(separator: "\n")) })
        } catch {
            result = .failure(error)
        }
        await pool.close()
        try result.get()
    }

    private func text(_ target: ConnectionTarget, _ sql: String) async throws -> String {
        let pool = Pool(target: target, logger: Self.silent)
        let result: Result<String, any Error>
        do { result = .success(try await pool.query(Query(sql))[0].decode(0)) } catch { result = .failure(error) }
        await pool.close()
        return try result.get()
    }

    private func withManaged(_ body: (Managed) async throws -> Void) async throws {
        try await withTLSServer { tls in
            let managed = Managed(tls: tls)
            try await run(
                tls.server.target,
                ["create role administrator login createrole createdb password 'of admin'"])
            let before = tls.target("administrator", password: "of admin", database: "postgres")
            try await run(
                before,
                [
                    "create database ledger", "create role owner login password 'of owner'",
                    #"create role service login noinherit password E'p@ss\'w\\rd'"#,
                    "create role certified login noinherit",
                ])
            try await body(managed)
        }
    }

    /// The statements in an error, each on a line of its own.
    private static func statements(in error: MigrationError?) -> [String] {
        (error?.description ?? "").split(separator: "\n").dropFirst().map { String($0.drop { $0 == " " }) }
    }

    private func use(_ target: ConnectionTarget) async throws {
        try await PostgresLedger.checkSession(of: target, logger: Self.silent)
        try await withRunningLedger(on: target) { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let report = ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: 1, done: 1)
            #expect(try await ledger.append([EventDraft(.progress(report))], to: job) == 2...2)
            #expect(try await ledger.waitUntilFolded(job, sequence: 2, deadline: .testTimeout))
            let checks = await ledger.readiness().checks
            #expect(checks.allSatisfy { $0.isPassed }, "\(checks)")
            let database = try #require(try await ledger.status().database)
            #expect(database.synchronousStandbys == 0 && database.synchronousStandbyNames.isEmpty)
        }
    }

    @Test("with roles made by an administrator, an owner migrates and another login serves")
    func separateLogins() async throws {
        try await withManaged { managed in
            let migrator = Migrator(target: managed.owner, serviceLogin: "service", logger: Self.silent)
            // The owner may not create the role, so the administrator gets the statements.
            let error = await #expect(throws: MigrationError.self) { try await migrator.migrate() }
            let statements = Self.statements(in: error)
            #expect(statements.contains("create role progress_ledger_service nologin;"), "\(statements)")
            try await run(managed.administrator, statements)

            let first = try await migrator.migrateAndRepair()
            #expect(!first.applied.isEmpty && first.faults.isEmpty)
            // Nor may it change another login, and the ledger works without that.
            #expect(first.administratorSQL.count == 4, "\(first.administratorSQL)")
            try await use(managed.service)

            try await run(managed.administrator, first.administratorSQL)
            let second = try await migrator.migrateAndRepair()
            #expect(second == Migrator.MigrationResult())
            try await use(managed.service)
            // A session that has lost its settings has the role nevertheless, and cannot change events.
            #expect(try await text(managed.service, "select current_user::text") == "progress_ledger_service")
            #expect(
                try await text(managed.service, "select session_user::text") == "service",
                "the login is not the owner")
            let refusal = await #expect(throws: PQError.self) {
                try await run(managed.service, ["delete from ledger.event"])
            }
            #expect(refusal?.sqlState == .insufficientPrivilege)
        }
    }

    @Test("the printed SQL lets an administrator prepare everything, and prints nothing twice")
    func printed() async throws {
        try await withManaged { managed in
            let migrator = Migrator(target: managed.owner, serviceLogin: "service", logger: Self.silent)
            let script = try await migrator.script()
            // The administrator may act as the owner.
            try await run(managed.administrator, ["grant owner to administrator"])
            try await run(managed.administrator, script: script)
            #expect(
                try await text(
                    managed.owner, "select nspowner::regrole::text from pg_namespace where nspname = 'ledger'")
                    == "owner"
            )
            #expect(try await migrator.guaranteeFaults() == [])
            try await use(managed.service)
            #expect(try await migrator.migrateAndRepair() == Migrator.MigrationResult())
            let again = try await migrator.script()
            for word in ["create role progress", "create schema", "alter role", "with admin option", "grant create"] {
                #expect(!again.contains(word), "\(word)")
            }
        }
    }

    @Test("the printed SQL creates a login that does not exist; migrate refuses such a login")
    func missingLogin() async throws {
        try await withManaged { managed in
            let migrator = Migrator(target: managed.owner, serviceLogin: "no body", logger: Self.silent)
            let script = try await migrator.script()
            #expect(script.contains(#"create role "no body" login;"#))
            #expect(script.contains(#"grant progress_ledger_service to "no body";"#))
            let error = await #expect(throws: MigrationError.self) { try await migrator.migrate() }
            #expect(error?.description.contains(#"create role "no body" login"#) == true)
            guard case .behind = try await migrator.check() else {
                Issue.record("the refused migration has changed the database")
                return
            }
        }
    }

    @Test("a login with a client certificate serves")
    func clientCertificate() async throws {
        try await withManaged { managed in
            try await run(managed.administrator, ["grant create on database ledger to owner"])
            let script = try await Migrator(
                target: managed.owner, serviceLogin: "certified", logger: Self.silent
            ).script()
            try await run(managed.administrator, ["grant owner to administrator"])
            try await run(managed.administrator, script: script)
            try await use(managed.certified)
            let other = managed.certified.setting("user", "service")
            let error = await #expect(throws: PQError.self) { try await run(other, ["select 1"]) }
            #expect(error?.code == .connectionFailed)
        }
    }

    @Test("another authority or name, a wrong password and plain text are refused")
    func untrusted() async throws {
        try await withManaged { managed in
            let otherAuthority = managed.tls.certificates.certificate("certified")
            let wrong: [(ConnectionTarget, String)] = [
                (managed.service.setting("sslrootcert", otherAuthority), "certificate verify failed"),
                (managed.service.setting("host", "ledger.example.com"), "does not match host name"),
                (managed.service.setting("password", "p@ss'w"), "authentication failed"),
                (managed.service.setting("sslmode", "disable").setting("channel_binding", "prefer"), "no encryption"),
            ]
            for (target, reason) in wrong {
                let error = await #expect(throws: PQError.self) {
                    try await PostgresLedger.checkSession(of: target, logger: Self.silent)
                }
                #expect(error?.code == .connectionFailed, "\(String(reflecting: error))")
                #expect(error?.message.contains(reason) == true, "\(reason): \(error?.message ?? "")")
                #expect(!String(reflecting: error).contains("p@ss"))
            }
        }
    }
}
