import FoundationEssentials
import LedgerTestSupport
import Testing

@testable import LedgerCommands

@Suite("Options for JSON Web Tokens")
struct JWTOptionsTests {
    @Test("a server does not start with unusable keys or rules, and names what is wrong")
    func unusable() async throws {
        let issuer = try TestIssuer()
        let (keys, rules) = (issuer.keysPath, issuer.rulesPath)
        let claims = ["--jwt-issuer", "https://issuer.test", "--jwt-audience", "ledger"]
        let data = "/tmp/ledger-jwt-\(UInt64.random(in: 0 ... .max))"
        for (arguments, reason) in [
            (["--jwks", keys], "need all of --jwks"), (["--jwt-map", rules] + claims, "need all of --jwks"),
            (
                ["--jwks", "/none", "--jwt-map", rules] + claims,
                "Cannot use /none for JSON Web Tokens: it cannot be read"
            ),
            (["--jwks", rules, "--jwt-map", rules] + claims, "it has no array"),
            (["--jwks", keys, "--jwt-map", keys] + claims, "/issuer_name is missing"),
            (["--jwks", "http://issuer.test/keys", "--jwt-map", rules] + claims, "must begin with https://"),
            (["--jwks", "ftp://issuer.test/keys", "--jwt-map", rules] + claims, "is not supported"),
        ] {
            let run = try await CommandRun.run(
                ServerProcess.binary, ["serve", "--port", "0", "--data", data] + arguments)
            #expect(run.status == ExitStatus.usage.rawValue, "\(arguments): \(run.errors)")
            #expect(run.errors.contains(reason), "\(arguments): \(run.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: data))
    }
}
