import ArgumentParser
import Ledger
import LedgerNotifications

/// The options for sending notifications.
struct NotificationOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A receiver of notifications besides https servers with public addresses: a host, a host with a port, or a "
                + "network such as 10.0.0.0/8; may be repeated. Default: PROGRESS_LEDGER_NOTIFY_ALLOW, separated by "
                + "commas, else none.",
            valueName: "host-or-network"))
    var notifyAllow: [String] = []

    func settings(_ configuration: Configuration) throws(CommandFailure) -> NotificationSettings {
        let flag = notifyAllow.isEmpty ? nil : notifyAllow.joined(separator: ",")
        var settings = NotificationSettings()
        var fault = ""
        settings.targets = try configuration.read(
            .notifyAllow, flag: flag, named: "--notify-allow", else: .usual
        ) { text in
            do throws(WebhookTargets.InvalidRule) {
                return try WebhookTargets(text.split(separator: ",").map { $0.filter { $0 != " " } })
            } catch {
                fault = "; '\(VisibleText.escape(error.rule))' \(error.reason)"
                return nil
            }
        } expected: {
            "hosts, hosts with ports or networks, such as hooks.example.com, localhost:9000 or 10.0.0.0/8\(fault)"
        }
        return settings
    }
}
