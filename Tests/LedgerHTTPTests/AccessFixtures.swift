import Ledger
import LedgerStore
import LedgerWire
import Testing

/// Tokens, teams and their jobs.
enum AccessFixtures {
    /// The confinement of callers of team a.
    static let teamA: [Name: Name] = ["team": "a"]

    /// The header that presents a token.
    static func bearer(_ token: String) -> [String: String] { ["Authorization": "Bearer \(token)"] }

    /// Creates a token, and returns its text.
    static func token(
        _ name: String, _ scopes: Set<Scope>, _ tags: [Name: Name] = [:], of ledger: any LedgerService
    ) async throws -> String {
        try await ledger.createToken(
            AccessTokenRequest(name: Name(name), scopes: scopes, confinement: Confinement(tags: tags)), by: nil
        ).text
    }

    /// Runs the closure with a server with two jobs: one of team a, and one of team b.
    static func withTeams(
        _ body: (RawClient, any LedgerService, _ own: String, _ other: String) async throws -> Void
    ) async throws {
        try await withServer { client, ledger in
            func create(_ team: String) async throws -> String {
                let body = #"{"name":"job of \#(team)","key":"key of \#(team)","tags":{"team":"\#(team)"}}"#
                return try #require(try await client.post("/v1/jobs", body).json["job"]?.text)
            }
            try await body(client, ledger, try await create("a"), try await create("b"))
        }
    }
}
