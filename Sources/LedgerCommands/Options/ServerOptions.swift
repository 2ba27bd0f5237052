import ArgumentParser
import FoundationEssentials
import ProgressLedgerClient

/// The server of a command, with its timeouts.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The server's URL. Default: PROGRESS_LEDGER_URL, else http://127.0.0.1:8080.", valueName: "url"))
    var server: String?

    @Option(parsing: .unconditional, help: ArgumentHelp("The time to wait for a response.", valueName: "seconds"))
    var timeout: Int = 30

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The time to retry while the server is unreachable or overloaded. Default: 0; 10 for reports and imports.",
            valueName: "seconds"))
    var patience: Int?

    func validate() throws {
        guard (1...3_600).contains(timeout) else { throw ValidationError("--timeout must be from 1 to 3600 seconds.") }
        guard (0...86_400).contains(patience ?? 0) else {
            throw ValidationError("--patience must be from 0 to 86400 seconds.")
        }
    }

    /// The server's URL.
    var url: String {
        if let server { return server }
        let configured = ProcessInfo.processInfo.environment[Setting.url.variable] ?? ""
        return configured.isEmpty ? "http://127.0.0.1:8080" : configured
    }

    /// Creates a client of the server.
    ///
    /// - Parameter usualPatience: The time to retry, in seconds, unless the command line contains one. A user can
    ///   repeat a query; a report in a script must survive a restart of the server.
    func client(defaultPatience: Int = 0, connectionsMin: Int = 0) throws(LedgerClientError) -> LedgerClient {
        var settings = try LedgerClient.Settings.fromEnvironment()
        settings.connectionsMax = max(settings.connectionsMax, connectionsMin)
        settings.deadline = .seconds(timeout)
        settings.patience = .seconds(patience ?? defaultPatience)
        return try LedgerClient(url: url, settings: settings)
    }
}
