import ArgumentParser
import FoundationEssentials
import LedgerJWT

/// The options for accepting JSON Web Tokens.
struct JWTOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Accept JSON Web Tokens signed with the keys (a JWK set) in this file or at this https address. Default: "
                + "PROGRESS_LEDGER_JWKS, else none.",
            valueName: "file-or-url"))
    var jwks: String?

    @Option(
        help: ArgumentHelp(
            "The issuer of the JSON Web Tokens (claim iss). Default: PROGRESS_LEDGER_JWT_ISSUER.", valueName: "issuer"))
    var jwtIssuer: String?

    @Option(
        help: ArgumentHelp(
            "The audience of the JSON Web Tokens (claim aud). Default: PROGRESS_LEDGER_JWT_AUDIENCE.",
            valueName: "audience"))
    var jwtAudience: String?

    @Option(
        help: ArgumentHelp(
            "The JSON file with the rules that give the JSON Web Tokens scopes and tags by their claims. Default: "
                + "PROGRESS_LEDGER_JWT_MAP.",
            valueName: "file"))
    var jwtMap: String?

    /// Returns the settings; nil if no JSON Web Tokens are accepted.
    ///
    /// - Throws: ``CommandFailure`` if one is missing, or if a file cannot be used.
    func settings(_ configuration: Configuration) throws(CommandFailure) -> JWTSettings? {
        func value(_ setting: Setting, _ flag: String?, _ name: String) throws(CommandFailure) -> String? {
            try configuration.readText(setting, flag: flag, named: name, expected: "a text that is not empty")
        }
        let keys = try value(.jwks, jwks, "--jwks")
        let issuer = try value(.jwtIssuer, jwtIssuer, "--jwt-issuer")
        let audience = try value(.jwtAudience, jwtAudience, "--jwt-audience")
        let map = try value(.jwtMap, jwtMap, "--jwt-map")
        guard let keys, let issuer, let audience, let map else {
            guard [keys, issuer, audience, map].allSatisfy({ $0 == nil }) else {
                throw CommandFailure(
                    .usage, "JSON Web Tokens need all of --jwks, --jwt-issuer, --jwt-audience and --jwt-map.")
            }
            return nil
        }
        do throws(JWTSettingsError) {
            // Only this variable of clients: the others do not concern the server.
            let caFile = ProcessInfo.processInfo.environment["PROGRESS_LEDGER_CA_FILE"] ?? ""
            let settings = JWTSettings(
                keys: keys.contains("://") ? .url(keys) : .file(keys), issuer: issuer, audience: audience, rules: map,
                caFile: caFile.isEmpty ? nil : caFile)
            _ = try JWTVerifier(settings)
            return settings
        } catch {
            throw CommandFailure(.usage, error.description)
        }
    }
}
