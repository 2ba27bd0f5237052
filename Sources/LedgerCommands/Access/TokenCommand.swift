import ArgumentParser
import Ledger
import LedgerStore
import LedgerWire

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Create, list and revoke access tokens.",
        discussion: """
            A ledger requires no token until it has one; from then on every request needs one, for ever. Create the \
            first token with access to the database, on the machine of the server: \
            'progress-ledger token create NAME --scope admin --direct', with the --data or --database of the server if it has \
            one. Other tokens can also be created through the \
            server, with an admin token in PROGRESS_LEDGER_TOKEN.
            """,
        subcommands: [TokenCreateCommand.self, TokenListCommand.self, TokenRevokeCommand.self])

    /// The warning that no token can administer the ledger any more.
    static let missingAdmin = """
        The ledger has no valid token with the scope admin for all jobs. Create one with access to the database: \
        progress-ledger token create NAME --scope admin --direct.
        """
}

struct TokenCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a token and print it. It cannot be shown again.",
        discussion: """
            Scopes: read (everything about jobs), report (create jobs, append events, start executions) and admin \
            (everything). A token with tags sees only jobs with these tags, and the jobs that it creates get them. A \
            token of one job is for sharing the job's page: give its page's address followed by #share=TOKEN.
            """)

    @Argument(help: "The name, which is recorded with each event. It cannot be reused, even after revocation.")
    var name: String

    @Option(help: "What the token permits: read, report or admin; may be repeated.")
    var scope: [Scope] = []

    @Option(help: ArgumentHelp("Only jobs with this tag; may be repeated.", valueName: "name=value"))
    var tag: [TagOption] = []

    @Option(help: "Only this job, by its id. Such a token must expire.")
    var job: String?

    @Option(
        help: ArgumentHelp(
            "When it expires: after a time such as 12h or 90d, or at a time such as 2027-01-31T00:00:00Z. Default: never, or "
                + "with the token of its creator.",
            valueName: "time"), transform: Expiry.parse)
    var expires: Expiry?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var access: TokenAccess

    func validate() throws {
        guard !scope.isEmpty else { throw ValidationError("Give at least one --scope: read, report or admin.") }
        guard job == nil || expires != nil else {
            throw ValidationError("A token of one job must expire. Add --expires, such as --expires 7d.")
        }
    }

    func run() async throws {
        let request = AccessTokenRequest(
            name: Name(name), scopes: Set(scope),
            confinement: Confinement(
                tags: try TagOption.dictionary(tag), job: try job.map { try JobOptions.parse($0) }),
            expiresAt: expires?.moment(from: .now))
        let (created, target, lacksAdmin) = try await access.with { tokens in
            (try await tokens.create(request), tokens.target, try await tokens.lacksAdmin())
        }
        if json { return Console.standard.print(created.json) }
        Console.standard.print(created.text)
        Console.standard.printToError(
            "This is the token \(VisibleText.escape(name)), id \(created.id), of the ledger at \(VisibleText.escape(target)). Keep it "
                + "secret: it cannot be shown again."
        )
        if lacksAdmin { Console.standard.printToError(TokenCommand.missingAdmin) }
    }
}

struct TokenListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List all tokens, with those that have expired or were revoked.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var access: TokenAccess

    func run() async throws {
        let (tokens, document) = try await access.with { try await $0.list() }
        if json { return Console.standard.print(document) }
        guard !tokens.isEmpty else {
            return Console.standard.print("The ledger has no token, and requires none.")
        }
        var table = Table([
            ("ID", .whole), ("NAME", .left), ("STATE", .whole), ("SCOPES", .whole), ("JOBS", .left),
            ("EXPIRES", .whole), ("LAST USED", .whole),
        ])
        for token in tokens {
            table.add([
                token.id.text, token.name.text, token.state(at: .now).rawValue,
                token.scopes.map(\.rawValue).sorted().joined(separator: ","), Self.jobs(token.confinement),
                token.expiresAt?.textToTheSecond ?? "never", token.lastUsedAt?.textToTheSecond ?? "never",
            ])
        }
        Console.standard.print(table.lines)
    }

    private static func jobs(_ confinement: Confinement) -> String {
        guard !confinement.isUnconfined else { return "all" }
        let tags = confinement.tags.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return ((confinement.job.map { ["\($0)"] } ?? []) + tags).joined(separator: " ")
    }
}

struct TokenRevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke a token for ever. All servers refuse it within two seconds.")

    @Argument(help: "The token's id or name.")
    var token: String

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var access: TokenAccess

    func run() async throws {
        let text = token
        let (revoked, document, lacksAdmin) = try await access.with { tokens in
            let known = try await tokens.list().tokens
            let matches = known.filter { $0.id.text == text || $0.name == Name(text) }
            guard let found = matches.first else {
                throw CommandFailure(.notFound, "There is no token with the id or name '\(VisibleText.escape(text))'.")
            }
            guard matches.count == 1 else {
                throw CommandFailure(
                    .usage,
                    "'\(VisibleText.escape(text))' is the id of a token, and the name of another one. Give the name of the "
                        + "first, or the id of the second.")
            }
            let (revoked, document) = try await tokens.revoke(found.id)
            return (revoked, document, found.isValidAdmin && !known.contains { $0.id != found.id && $0.isValidAdmin })
        }
        Console.standard.print(
            json ? document : "Revoked the token \(VisibleText.escape(revoked.name.text)), id \(revoked.id).")
        if lacksAdmin { Console.standard.printToError(TokenCommand.missingAdmin) }
    }
}

extension AccessToken {
    /// Whether it permits everything on all jobs, now.
    var isValidAdmin: Bool { state(at: .now) == .active && scopes.contains(.admin) && confinement.isUnconfined }
}

/// When a token expires: a time, or a duration from now.
struct Expiry: Hashable {
    private enum Kind: Hashable {
        case at(Timestamp)
        case after(seconds: Int64)
    }

    private let kind: Kind

    private static let unitSeconds: [Character: Int64] = ["m": 60, "h": 3_600, "d": 86_400]
    /// The longest duration, in seconds: a hundred years.
    private static let secondsMax: Int64 = 36_525 * 86_400

    /// Parses a value of the command line.
    ///
    /// - Throws: `ValidationError` with the valid forms.
    static func parse(_ argument: String) throws -> Expiry {
        guard let expiry = Expiry(argument: argument) else {
            throw ValidationError(
                "Expected minutes, hours or days, such as 30m, 12h or 90d, or a time such as 2027-01-31T00:00:00Z.")
        }
        return expiry
    }

    init?(argument: String) {
        if let moment = RFC3339.timestamp(argument) {
            kind = .at(moment)
        } else if let unit = argument.last.flatMap({ Self.unitSeconds[$0] }), let count = Int64(argument.dropLast()),
            count >= 1, count <= Self.secondsMax / unit
        {
            kind = .after(seconds: count * unit)
        } else {
            return nil
        }
    }

    func moment(from now: Timestamp) -> Timestamp {
        switch kind {
        case .at(let moment): moment
        case .after(let seconds): Timestamp(microseconds: now.microseconds + seconds * 1_000_000)
        }
    }
}
