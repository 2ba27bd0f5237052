import ArgumentParser

struct MCPCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mcp",
        abstract: "Answer an assistant's questions about jobs: Model Context Protocol on standard input and output.",
        discussion: """
            Serves versions \((MCPSession.versions + MCPSession.handshakeVersions).joined(separator: ", ")) with tools \
            that only read: \(MCPTool.allCases.map(\.rawValue).joined(separator: ", ")). Texts that come from jobs are \
            marked as data, cut to 200 characters, and without control characters. It ends with 0 when its input ends. \
            Register it in an assistant's configuration as the command 'progress-ledger mcp', with PROGRESS_LEDGER_URL \
            and, if the ledger requires a token, PROGRESS_LEDGER_TOKEN_FILE in its environment.
            """)

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let tools = MCPTools(client: try server.client(connectionsMin: MCPSession.callsMax))
        await MCPServer(tools, input: MCPInput(), write: MCPServer.standardOutput()).run()
    }
}
