import Ledger
import LedgerTestSupport
import LedgerWire
import PQ
import Testing

@testable import LedgerCommands

@Suite("migrate --login and --print", .timeLimit(.minutes(10)))
struct MigrateLoginTests {
    private func run(_ target: ConnectionTarget, _ statement: String) async throws {
        let pool = Pool(target: target, logger: TestCluster.logger)
        _ = try await pool.query(Query(statement, prepare: false))
        await pool.close()
    }

    private func withLogin(_ body: (_ login: String, ConnectionTarget) async throws -> Void) async throws {
        try await withTestDatabase { target in
            let login = "app_\(UInt32.random(in: 0 ... .max))"
            try await run(target, "create role \(login) login noinherit")
            let result: Result<Void, any Error>
            do { result = .success(try await body(login, target)) } catch { result = .failure(error) }
            for statement in ["drop owned by \(login)", "drop role \(login)"] { try await run(target, statement) }
            try result.get()
        }
    }

    @Test("migrate prepares another login, which can then serve")
    func otherLogin() async throws {
        try await withLogin { login, target in
            let migrated = try await CommandRun.ledger(
                "migrate", "--json", "--login", login, "--database", target.description)
            #expect(migrated.status == 0, "\(migrated.errors)")
            let result = try JSONReader.read(Array(migrated.output.utf8))
            #expect(result["applied"]?.elements?.isEmpty == false)
            #expect(result["administrator_sql"]?.elements?.isEmpty == true, "\(migrated.output)")
            let database = target.setting("user", login).description
            let check = try await CommandRun.ledger("migrate", "--check", "--database", database)
            #expect(check.status == 0, "\(check)")
            let tokens = try await CommandRun.ledger("token", "list", "--database", database)
            #expect(tokens.status == 0, "\(tokens.errors)")
            let unknown = try await CommandRun.ledger(
                "migrate", "--login", "nobody-here", "--database", target.description)
            #expect(unknown.status == ExitStatus.failed.rawValue)
            #expect(unknown.errors.contains(#"create role "nobody-here" login"#), "\(unknown.errors)")
        }
    }

    @Test("psql accepts the printed SQL as it is, and the login can then serve")
    func printed() async throws {
        try await withLogin { login, target in
            let script = #""$0" migrate --print --login "$1" --database "$2" | psql --quiet --no-psqlrc "$2""#
            let printed = try await CommandRun.run(
                "/bin/bash", ["-o", "pipefail", "-c", script, ServerProcess.binary, login, target.description])
            #expect(printed.status == 0, "\(printed.errors)")
            let check = try await CommandRun.ledger(
                "migrate", "--check", "--database", target.setting("user", login).description)
            #expect(check.status == 0, "\(check)")
        }
    }
}
