import ArgumentParser
import FoundationEssentials
import Ledger
import LedgerWire
import ProgressLedgerClient

struct NotifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "notify",
        abstract: "Send notifications about jobs to webhooks.",
        discussion: """
            A subscription sends a signed message (Standard Webhooks) to a URL whenever something happens to a job: it \
            ends, it will probably be late, it reaches a percentage. These commands need a token with the scope admin, \
            if the ledger requires tokens.
            """,
        subcommands: [
            NotifyAddCommand.self, NotifyListCommand.self, NotifyTestCommand.self, NotifyDeliveriesCommand.self,
            NotifyRemoveCommand.self,
        ])

    /// Finds a subscription by its id or by its name.
    ///
    /// A name may be that of several subscriptions, and even the id of another one.
    static func find(_ text: String, _ client: LedgerClient) async throws -> ShownSubscription {
        let (list, _) = try await client.sendForJSON(.subscriptions, as: SubscriptionList.self)
        let matches = list.subscriptions.filter { $0.id.text == text || $0.name == Name(text) }
        guard let found = matches.first else {
            throw CommandFailure(
                .notFound, "There is no subscription with the id or name '\(VisibleText.escape(text))'.")
        }
        guard matches.count == 1 else {
            let ids = matches.map(\.id.text).joined(separator: ", ")
            throw CommandFailure(
                .usage,
                "Several subscriptions have the id or name '\(VisibleText.escape(text))': \(ids). Give the id of one.")
        }
        return found
    }
}

struct NotifyAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Create a subscription and print its secret, which cannot be shown again.",
        discussion: """
            Kinds: \(NotificationKind.plain.map(\.name).joined(separator: ", ")), and percentages such as percent:50. \
            'finished' is any end of a job. The server sends only to https servers with public addresses, unless its \
            --notify-allow names others.
            """)

    @Argument(help: "The name of the subscription.")
    var name: String

    @Option(help: "The URL of the receiver.")
    var url: String

    @Option(help: "A kind of notification, or several separated by commas; may be repeated.")
    var when: [String] = []

    @Option(help: ArgumentHelp("Only jobs with this name.", valueName: "name"))
    var job: String?

    @Option(help: ArgumentHelp("Only jobs with this tag; may be repeated.", valueName: "name=value"))
    var tag: [TagOption] = []

    @Option(help: "The format of the messages: standard, or slack for an incoming webhook of Slack.")
    var format: Subscription.Format = .standard

    @Option(
        help: ArgumentHelp(
            "A file with the secret that signs messages: whsec_ and Base64. Default: a new secret.", valueName: "file"))
    var secretFile: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        var kinds: [NotificationKind] = []
        for text in when.flatMap({ $0.split(separator: ",").map(String.init) }) {
            guard let kind = NotificationKind(text), kind != .test else {
                throw ValidationError(
                    "Invalid kind '\(text)'. Expected \(NotificationKind.plain.map(\.name).joined(separator: ", ")), or "
                        + "percent:1 to percent:100.")
            }
            kinds.append(kind)
        }
        guard !kinds.isEmpty else { throw ValidationError("Give at least one --when, such as --when finished,late.") }
        let request = SubscriptionRequest(
            name: Name(name), url: url, kinds: kinds, jobName: job.map { Name($0) },
            tags: try TagOption.dictionary(tag), secret: try secretFile.map(Self.secret), format: format)
        let (created, document) = try await server.client().sendForJSON(
            .createSubscription(request), as: ShownSubscription.self)
        if json { return Console.standard.print(document) }
        Console.standard.print(created.secret)
        Console.standard.printToError(
            "This is the secret of the subscription \(VisibleText.escape(name)), id \(created.id). The receiver checks "
                + "signatures with it. Keep it: it cannot be shown again. Try it: progress-ledger notify test \(created.id)."
        )
    }

    private static func secret(inFile path: String) throws -> WebhookSecret {
        let text: String
        do { text = try String(contentsOfFile: path, encoding: .utf8) } catch {
            throw CommandFailure(
                .usage, "Cannot read the secret in \(VisibleText.escape(path)). Check its path and its permissions.")
        }
        guard let secret = WebhookSecret(String(text.prefix { !$0.isNewline })) else {
            throw CommandFailure(
                .usage, "\(VisibleText.escape(path)) has no secret: expected whsec_ and the Base64 of 24 to 64 bytes.")
        }
        return secret
    }
}

struct NotifyListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List all subscriptions, without their secrets.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let (list, document) = try await server.client().sendForJSON(.subscriptions, as: SubscriptionList.self)
        if json { return Console.standard.print(document) }
        guard !list.subscriptions.isEmpty else { return Console.standard.print("The ledger has no subscription.") }
        var table = Table([
            ("ID", .whole), ("NAME", .left), ("STATE", .whole), ("WHEN", .left), ("JOBS", .left), ("URL", .left),
        ])
        for one in list.subscriptions {
            let tags = one.tags.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            let jobs = (one.jobName.map { [$0.text] } ?? []) + tags
            table.add([
                one.id.text, one.name.text, one.disabledReason.map { "disabled: \($0)" } ?? "active",
                one.kinds.joined(separator: ","), jobs.isEmpty ? "all" : jobs.joined(separator: " "), one.url,
            ])
        }
        Console.standard.print(table.lines)
    }
}

struct NotifyTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Send a test to the receiver of a subscription.",
        discussion: "The exit code is 0 only if the receiver has accepted the test.")

    @Argument(help: "The subscription's id or name.")
    var subscription: String

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let found = try await NotifyCommand.find(subscription, client)
        let (delivery, document) = try await client.sendForJSON(.testSubscription(found.id), as: Delivery.self)
        if json { Console.standard.print(document) }
        let name = VisibleText.escape(found.name.text)
        switch delivery.state {
        case .delivered:
            if !json {
                Console.standard.print(
                    "The receiver of \(name) has accepted the test with \(delivery.responseStatus ?? 0).")
            }
        case .failed:
            throw CommandFailure(.failed, "The test of \(name) failed: \(delivery.error ?? "no response").")
        case .pending:
            throw CommandFailure(
                .unavailable,
                "The test of \(name) has no result yet. Check that a worker is running, and look at: progress-ledger "
                    + "notify deliveries \(found.id).")
        }
    }
}

struct NotifyDeliveriesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deliveries", abstract: "List the deliveries of a subscription, newest first.",
        discussion: "Ended deliveries are kept for seven days.")

    @Argument(help: "The subscription's id or name.")
    var subscription: String

    @Option(parsing: .unconditional, help: ArgumentHelp("The most deliveries, up to 1000.", valueName: "number"))
    var limit: Int = 100

    @Option(help: ArgumentHelp("The next_cursor of the previous page (--json).", valueName: "cursor"))
    var cursor: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let found = try await NotifyCommand.find(subscription, client)
        let (page, document) = try await client.sendForJSON(
            .deliveries(of: found.id, limit: limit, cursor: cursor), as: DeliveryPage.self)
        if json { return Console.standard.print(document) }
        guard !page.deliveries.isEmpty else { return Console.standard.print("There are no deliveries.") }
        var table = Table([
            ("CREATED", .whole), ("KIND", .whole), ("JOB", .whole), ("STATE", .whole), ("ATTEMPTS", .right),
            ("NEXT", .whole), ("ERROR", .left),
        ])
        for delivery in page.deliveries {
            table.add([
                delivery.createdAt.textToTheSecond, delivery.cause.kind.text,
                delivery.cause.job?.description ?? "–", delivery.state.rawValue, String(delivery.attempts),
                delivery.nextAt?.textToTheSecond ?? "–", delivery.error ?? "",
            ])
        }
        Console.standard.print(table.lines)
    }
}

struct NotifyRemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove a subscription with its deliveries.")

    @Argument(help: "The subscription's id or name.")
    var subscription: String

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let found = try await NotifyCommand.find(subscription, client)
        let (removed, document) = try await client.sendForJSON(
            .removeSubscription(found.id), as: ShownSubscription.self)
        Console.standard.print(
            json
                ? document : "Removed the subscription \(VisibleText.escape(removed.name.text)), id \(removed.id).")
    }
}
