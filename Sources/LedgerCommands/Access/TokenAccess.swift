import ArgumentParser
import FoundationEssentials
import Glibc
import Ledger
import LedgerStore
import LedgerWire
import Logging
import PQ
import ProgressLedgerClient

/// The way to the tokens: through the server, or directly in its database.
struct TokenAccess: ParsableArguments {
    @Flag(help: "Use the database of 'serve' directly, instead of the server.")
    var direct = false

    @OptionGroup var server: ServerOptions

    @Option(
        help: ArgumentHelp(
            "Use this database instead of the server, as a libpq connection string.", valueName: "url"))
    var database: String?

    @Option(
        help: ArgumentHelp(
            "Use the private PostgreSQL in this folder instead of the server.", valueName: "folder"))
    var data: String?

    @Option(help: ArgumentHelp("With --direct: the configuration file of 'serve'.", valueName: "file"))
    var config: String?

    func validate() throws {
        guard server.server == nil || !isDirect else {
            throw ValidationError("Give either --server, or any of --direct, --database, --data and --config.")
        }
    }

    private var isDirect: Bool { direct || database != nil || data != nil || config != nil }

    /// Runs the body with the tokens.
    func with<Result: Sendable>(_ body: (any TokenOperations) async throws -> Result) async throws -> Result {
        guard isDirect else { return try await body(ServerTokens(client: try server.client())) }
        let configuration = try Configuration(environment: ProcessInfo.processInfo.environment, filePath: config)
        let choice = try DatabaseChoice.choose(
            databaseFlag: database, dataFlag: data, configuration: configuration, isRoot: geteuid() == 0)
        // A new database would be another ledger, and its tokens would protect nothing.
        if case .isPrivate(let folder) = choice, !DataFolder.containsDatabase(folder) {
            throw CommandFailure(
                .usage, "There is no database in \(folder). Give the --data or the --database of the server.")
        }
        LogFormat.text.install(level: .warning)
        let logger = Logger(label: "progress-ledger")
        return try await DatabaseConnection.with(choice, logger: logger) { database in
            try await SchemaCheck.run(
                database, mayMigrate: false, wait: DatabaseWait(limit: .zero, logger: logger), logger: logger)
            let ledger = PostgresLedger(target: database.target, logger: logger)
            do {
                let result = try await body(DatabaseTokens(ledger: ledger, target: "\(database.target)"))
                await ledger.pool.close()
                return result
            } catch {
                await ledger.pool.close()
                throw error
            }
        }
    }
}

/// The operations on tokens.
///
/// Each also returns the JSON of the server's route.
protocol TokenOperations: Sendable {
    /// The server or the database.
    var target: String { get }

    func create(_ request: AccessTokenRequest) async throws -> CreatedToken
    func list() async throws -> (tokens: [AccessToken], json: String)
    func revoke(_ id: AccessToken.ID) async throws -> (token: AccessToken, json: String)
    /// Whether no valid token permits everything on all jobs.
    func lacksAdmin() async throws -> Bool
}

/// A token that was just created.
struct CreatedToken: Sendable {
    let id: AccessToken.ID
    /// The token's text.
    let text: String
    let json: String
}

/// The tokens of a server.
private struct ServerTokens: TokenOperations {
    let client: LedgerClient

    var target: String { client.address.description }

    func create(_ request: AccessTokenRequest) async throws -> CreatedToken {
        let (created, json) = try await client.sendForJSON(.createToken(request), as: NewAccessToken.self)
        return CreatedToken(id: created.token.id, text: created.text, json: json)
    }

    func list() async throws -> (tokens: [AccessToken], json: String) {
        let (list, json) = try await client.sendForJSON(.tokens, as: AccessTokenList.self)
        return (list.tokens, json)
    }

    func revoke(_ id: AccessToken.ID) async throws -> (token: AccessToken, json: String) {
        let (token, json) = try await client.sendForJSON(.revokeToken(id), as: AccessToken.self)
        return (token, json)
    }

    /// False, because the caller is an administrator, perhaps with a JSON Web Token.
    func lacksAdmin() -> Bool { false }
}

/// The tokens in a database.
private struct DatabaseTokens: TokenOperations {
    let ledger: PostgresLedger
    let target: String

    func create(_ request: AccessTokenRequest) async throws -> CreatedToken {
        let errors = request.fieldErrors(at: .now)
        guard errors.isEmpty else {
            let texts = errors.map { "\($0.location.dropFirst()) \($0.detail)" }
            throw CommandFailure(.usage, "Invalid: \(texts.joined(separator: "; ")).")
        }
        if let job = request.confinement.job, try await ledger.job(job) == nil {
            throw CommandFailure(.notFound, "There is no job \(job).")
        }
        let (token, text) = try await ledger.createToken(request, by: nil)
        // The token is stored. A caller that uses it at once must not be refused by a server that does not know it yet.
        do { try await Task.sleep(for: PostgresLedger.tokenPropagation) } catch {}
        return CreatedToken(id: token.id, text: text, json: Self.json { token.write(to: &$0, now: .now, text: text) })
    }

    func list() async throws -> (tokens: [AccessToken], json: String) {
        let tokens = try await ledger.listTokens(within: .unconfined)
        let json = Self.json { writer in
            writer.object { writer in
                writer.name("tokens")
                writer.array(tokens) { $1.write(to: &$0, now: .now) }
            }
        }
        return (tokens, json)
    }

    func lacksAdmin() async throws -> Bool { !(try await list().tokens.contains(where: \.isValidAdmin)) }

    func revoke(_ id: AccessToken.ID) async throws -> (token: AccessToken, json: String) {
        guard let token = try await ledger.revokeToken(id, within: .unconfined) else {
            throw CommandFailure(.notFound, "There is no token with this id.")
        }
        return (token, Self.json { token.write(to: &$0, now: .now) })
    }

    private static func json(_ write: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        write(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
