import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerCommands

@Suite("The notify command", .timeLimit(.minutes(10)))
struct NotifyCommandTests {
    @Test("a subscription is added, tested, listed with its deliveries, and removed")
    func lifecycle() async throws {
        let receiver = try WebhookReceiver()
        defer { receiver.close() }
        try await withServer("--notify-allow", "localhost") { url, _ in
            func notify(_ arguments: String...) async throws -> CommandRun {
                try await CommandRun.run(ServerProcess.binary, ["notify"] + arguments + ["--server", url])
            }
            #expect(try await notify("list").output.contains("no subscription"))
            let bad = try await notify("add", "s", "--url", receiver.url(), "--when", "done")
            #expect(bad.status == ExitStatus.usage.rawValue && bad.errors.contains("percent:1"), "\(bad.errors)")
            let refused = try await notify("add", "s", "--url", "https://10.0.0.1/", "--when", "late")
            #expect(
                refused.status == ExitStatus.refused.rawValue && refused.errors.contains("public address"),
                "\(refused.errors)")
            let added = try await notify("add", "night", "--url", receiver.url(), "--when", "finished,percent:50")
            let secret = try #require(added.lines.first)
            #expect(added.status == 0 && added.lines.count == 1 && secret.hasPrefix("whsec_"), "\(added.errors)")
            let list = try await notify("list")
            #expect(list.output.contains("night") && list.output.contains("finished,percent:50"), "\(list.output)")
            #expect(!list.output.contains("/hook") && !list.output.contains(secret))

            let accepted = try await notify("test", "night")
            #expect(accepted.status == 0 && accepted.output.contains("204"), "\(accepted)")
            #expect(receiver.requests.count == 1)
            receiver.behave(.respond(500))
            let failed = try await notify("test", "night")
            #expect(failed.status == ExitStatus.failed.rawValue && failed.errors.contains("500"), "\(failed)")
            let deliveries = try await notify("deliveries", "night")
            #expect(
                deliveries.lines.count == 3 && deliveries.output.contains("delivered")
                    && deliveries.output.contains("failed"), "\(deliveries.output)")
            let json = try JSONReader.read(Array(try await notify("deliveries", "night", "--json").output.utf8))
            #expect(json["deliveries"]?.elements?.count == 2)
            let status = try await CommandRun.ledger("status", "--server", url)
            #expect(status.output.contains("1 subscription, 0 notifications wait"), "\(status.output)")
            #expect(try await notify("test", "nothing").status == ExitStatus.notFound.rawValue)

            // A secret of the subscriber, in a file.
            let file = FileManager.default.temporaryDirectory.appending(path: "secret-\(UUID().uuidString)").path()
            try Data("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n".utf8).write(to: URL(filePath: file))
            defer { TestFiles.remove(file) }
            let own = try await notify(
                "add", "night", "--url", receiver.url(), "--when", "late", "--secret-file", file, "--json")
            let created = try JSONReader.read(Array(own.output.utf8))
            #expect(created["secret"]?.text == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            #expect(try await notify("remove", "night").errors.contains("Several"))
            let id = try #require(created["id"]?.text)
            // The name of one is the id of another one.
            #expect(try await notify("add", id, "--url", receiver.url(), "--when", "late").status == 0)
            let ambiguous = try await notify("remove", id)
            #expect(ambiguous.status == ExitStatus.usage.rawValue && ambiguous.errors.contains(id), "\(ambiguous)")
            for one in try JSONReader.read(Array(try await notify("list", "--json").output.utf8))["subscriptions"]?
                .elements ?? [] where one["name"]?.text == id
            {
                #expect(try await notify("remove", one["id"]?.text ?? "").status == 0)
            }
            #expect(try await notify("remove", id).status == 0)
            #expect(try await notify("remove", "night").status == 0)
            #expect(try await notify("list").output.contains("no subscription"))
        }
    }

    @Test("the check of signatures in the documentation accepts a real message, and no other")
    func documentedCheck() async throws {
        let page = try Document("Sources/LedgerHTTP/LedgerHTTP.docc/Notifications.md")
        let check = try #require(page.samples.first { $0.language == "python" }).lines.joined(separator: "\n")
        let receiver = try WebhookReceiver()
        defer { receiver.close() }
        try await withServer("--notify-allow", "localhost") { url, _ in
            let added = try await CommandRun.ledger(
                "notify", "add", "s", "--url", receiver.url(), "--when", "late", "--server", url)
            let secret = try #require(added.lines.first)
            #expect(try await CommandRun.ledger("notify", "test", "s", "--server", url).status == 0)
            let request = try #require(receiver.requests.first)
            func isAuthentic(_ secret: String, _ change: String = "") async throws -> String {
                let program =
                    check + """

                        import os
                        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
                        headers = {name: os.environ[name.replace("-", "_")] for name in names}
                        \(change)
                        print(is_authentic(os.environ["secret"], headers, os.environ["body"].encode()))
                        """
                var environment = ["secret": secret, "body": String(decoding: request.body, as: UTF8.self)]
                for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
                    environment[name.replacing("-", with: "_")] = request.headers[name]
                }
                let run = try await CommandRun.run(
                    "/usr/bin/env", ["python3", "-B", "-c", program], environment: environment)
                #expect(run.errors.isEmpty, "\(run.errors)")
                return run.lines.first ?? ""
            }
            #expect(try await isAuthentic(secret) == "True")
            #expect(try await isAuthentic(WebhookSecret.random().text) == "False")
            #expect(try await isAuthentic(secret, "os.environ['body'] += ' '") == "False")
            #expect(try await isAuthentic(secret, "headers['webhook-id'] += 'x'") == "False")
            let old = "headers['webhook-timestamp'] = str(int(headers['webhook-timestamp']) - 400)"
            #expect(try await isAuthentic(secret, old) == "False")
        }
    }
}
