import Dispatch
import LedgerWire

/// Carries out the steps of a session of the Model Context Protocol.
///
/// Calls run at the same time, so that a waiting one delays no other. Responses are written one after the other; while
/// the client does not read them, no further line is read.
actor MCPServer {
    private var session = MCPSession()
    private var calls: [MCPRequestID: Task<Void, Never>] = [:]
    private let tools: MCPTools
    private let input: MCPInput
    private let write: @Sendable ([UInt8]) async -> Void

    /// - Parameter write: Writes a line and its line feed.
    init(_ tools: MCPTools, input: MCPInput, write: @escaping @Sendable ([UInt8]) async -> Void) {
        self.tools = tools
        self.input = input
        self.write = write
    }

    /// Returns a writer of lines to standard output.
    ///
    /// It blocks a thread of its own while the client does not read.
    static func standardOutput() -> @Sendable ([UInt8]) async -> Void {
        let queue = DispatchQueue(label: "mcp-output")
        return { line in
            await withCheckedContinuation { continuation in
                queue.async {
                    Console.standard.write(String(decoding: line, as: UTF8.self) + "\n")
                    continuation.resume()
                }
            }
        }
    }

    /// Serves until the input ends. Then it cancels the calls in progress.
    func run() async {
        while true {
            let line = await input.next()
            if line == .end { break }
            switch session.receive(line) {
            case .respond(let response): await write(response)
            case .call(let id, let tool, let arguments, let isStateless):
                calls[id] = Task(name: "mcp-call") { [tools] in
                    let result = await tools.call(tool, arguments)
                    await finish(id, MCPSession.response(id, result, isStateless: isStateless))
                }
            case .cancel(let id): calls.removeValue(forKey: id)?.cancel()
            case .ignore: break
            }
        }
        let rest = calls.values
        for call in rest { call.cancel() }
        for call in rest { await call.value }
    }

    private func finish(_ id: MCPRequestID, _ response: [UInt8]) async {
        guard !Task.isCancelled, session.finish(id) else { return }
        calls[id] = nil
        await write(response)
    }
}
