import ArgumentParser
import FoundationEssentials
import ProgressLedgerClient

/// Which server a command asks, and for how long.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The server. PROGRESS_LEDGER_URL; http://127.0.0.1:8080.", valueName: "url"))
    var server: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("How long to wait for an answer.", valueName: "seconds"))
    var timeout: Int = 30

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How long to try again while the server cannot be reached or cannot take more (0: not at all; for reports: 10).",
            valueName: "seconds"))
    var patience: Int?

    func validate() throws {
        guard (1...3_600).contains(timeout) else { throw ValidationError("--timeout is from 1 to 3600 seconds.") }
        guard (0...86_400).contains(patience ?? 0) else {
            throw ValidationError("--patience is from 0 to 86400 seconds.")
        }
    }

    /// The server's URL.
    var url: String {
        if let server { return server }
        let configured = ProcessInfo.processInfo.environment[Setting.url.variable] ?? ""
        return configured.isEmpty ? "http://127.0.0.1:8080" : configured
    }

    /// A client of the server.
    ///
    /// - Parameter usualPatience: How long to try again, in seconds, unless the command line tells: a question is
    ///   asked again by its user; a report in a script has to outlive a server that starts anew.
    func client(usualPatience: Int = 0) throws(LedgerClientError) -> LedgerClient {
        var settings = LedgerClient.Settings()
        settings.deadline = .seconds(timeout)
        settings.patience = .seconds(patience ?? usualPatience)
        return try LedgerClient(url: url, settings: settings)
    }
}
