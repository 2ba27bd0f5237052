import Ledger
import LedgerWire
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

@Suite("Decisions of the Model Context Protocol")
struct MCPSessionTests {
    private func receive(_ line: String, _ session: inout MCPSession) -> MCPSession.Step {
        session.receive(.text(Array(line.utf8)))
    }

    private func response(_ step: MCPSession.Step) throws -> JSONValue {
        guard case .respond(let bytes) = step else {
            Issue.record("no response but \(step)")
            return .null
        }
        #expect(!bytes.contains(UInt8(ascii: "\n")))
        return try JSONReader.read(bytes)
    }

    private static let statelessMeta = #""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#

    @Test(
        "a line that is no request gets the error of JSON-RPC",
        arguments: [
            ("{", -32_700, "null"), ("\u{FEFF}{}", -32_700, "null"), ("[]", -32_600, "null"),
            (#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32_600, "null"), ("7", -32_600, "null"),
            (#"{"id":1,"method":"ping"}"#, -32_600, "1"), (#"{"jsonrpc":"2.0","id":1}"#, -32_600, "1"),
            (#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32_600, "null"),
            (#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32_600, "null"),
            (#"{"jsonrpc":"2.0","id":"a","method":"ping","params":[]}"#, -32_600, "\"a\""),
            (#"{"jsonrpc":"2.0","id":2,"method":"no/such"}"#, -32_601, "2"),
            (#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete"}}"#, -32_602, "2"),
            (#"{"jsonrpc":"2.0","id":2,"method":"tools/call"}"#, -32_602, "2"),
        ] as [(String, Int128, String)])
    func malformed(line: String, code: Int128, id: String) throws {
        var session = MCPSession()
        let found = try response(receive(line, &session))
        #expect(found["error"]?["code"] == .integer(code) && found["jsonrpc"]?.text == "2.0")
        let expected = try JSONReader.read(Array(id.utf8))
        #expect(found["id"] == expected)
        #expect(found["result"] == nil)
    }

    @Test("a line that is too deeply nested or too long is an error, and the session goes on")
    func hostileLines() throws {
        var session = MCPSession()
        let deep = try response(receive(String(repeating: "[", count: 100_000), &session))
        let long = try response(session.receive(.tooLong))
        let ping = try response(receive(#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#, &session))
        #expect(deep["error"]?["code"] == .integer(-32_700) && long["error"]?["code"] == .integer(-32_700))
        #expect(ping["id"] == .integer(9) && ping["result"] != nil)
    }

    @Test(
        "notifications and responses get no response, even unknown and invalid ones",
        arguments: [
            #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, #"{"jsonrpc":"2.0","method":"no/such"}"#,
            #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}"#,
            #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#,
            #"{"jsonrpc":"2.0","id":3,"result":{}}"#, #"{"jsonrpc":"2.0","id":3,"error":{"code":1,"message":"x"}}"#,
        ])
    func silence(line: String) {
        var session = MCPSession()
        let step = receive(line, &session)
        #expect(step == .ignore)
    }

    @Test("the handshake agrees on the client's version, or offers the newest one")
    func handshake() throws {
        for (requested, agreed) in [
            ("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"), ("2024-11-05", "2025-11-25"),
            ("2026-07-28", "2025-11-25"), ("x", "2025-11-25"),
        ] {
            var session = MCPSession()
            let line = #"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"\#(requested)"}}"#
            let result = try response(receive(line, &session))["result"]
            #expect(result?["protocolVersion"]?.text == agreed)
            #expect(result?["serverInfo"]?["name"]?.text == "progress-ledger")
            #expect(result?["capabilities"]?["tools"] != nil && result?["resultType"] == nil)
        }
    }

    @Test("a client without a handshake names its version in each request, and gets its results")
    func stateless() throws {
        var session = MCPSession()
        let line = #"{"jsonrpc":"2.0","id":0,"method":"server/discover","params":{\#(Self.statelessMeta)}}"#
        let result = try response(receive(line, &session))["result"]
        #expect(result?["supportedVersions"]?.elements == [.string("2026-07-28")])
        #expect(result?["resultType"]?.text == "complete" && result?["ttlMs"] != nil)
        let list = #"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{\#(Self.statelessMeta)}}"#
        let tools = try response(receive(list, &session))["result"]
        #expect(tools?["resultType"]?.text == "complete" && tools?["cacheScope"]?.text == "public")
        let other = list.replacing("2026-07-28", with: "2030-01-01")
        let refused = try response(receive(other, &session))["error"]
        #expect(refused?["code"] == .integer(-32_022))
        #expect(refused?["data"]?["requested"]?.text == "2030-01-01")
        #expect(refused?["data"]?["supported"]?.elements == [.string("2026-07-28")])
    }

    @Test("every tool is listed as one that only reads, with a schema of its arguments")
    func listsTools() throws {
        var session = MCPSession()
        let result = try response(receive(#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, &session))["result"]
        let tools = try #require(result?["tools"]?.elements)
        #expect(
            tools.compactMap { $0["name"]?.text } == ["find_jobs", "answer", "explain", "failed_tasks", "wait"])
        for tool in tools {
            #expect(tool["annotations"]?["readOnlyHint"] == .bool(true))
            #expect(tool["inputSchema"]?["type"]?.text == "object")
            #expect(tool["inputSchema"]?["additionalProperties"] == .bool(false))
        }
    }

    @Test("calls in progress have different ids, are limited, and end once, or are canceled")
    func calls() throws {
        var session = MCPSession()
        func call(_ id: Int) -> MCPSession.Step {
            let line = #"{"jsonrpc":"2.0","id":\#(id),"method":"tools/call","params":{"name":"answer"}}"#
            return receive(line, &session)
        }
        for id in 0..<MCPSession.callsMax {
            guard case .call(.number(Int128(id)), .answer, arguments: .object([]), isStateless: false) = call(id) else {
                Issue.record("call \(id) is not carried out")
                return
            }
        }
        let (again, tooMany) = (try response(call(0)), try response(call(100)))
        #expect(again["error"]?["code"] == .integer(-32_600) && tooMany["error"]?["code"] == .integer(-32_000))
        let cancel = #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#
        let steps = [receive(cancel, &session), receive(cancel, &session)]
        #expect(steps == [.cancel(.number(3)), .ignore])
        let ends = [3, 4, 4].map { session.finish(.number($0)) }
        #expect(ends == [false, true, false], "a canceled call gets no response")
        guard case .call = call(100) else {
            Issue.record("there is no room after the end of a call")
            return
        }
    }

    @Test(
        "wrong arguments are refused with a sentence that names them",
        arguments: [
            (MCPTool.answer, "{}", "job is missing"), (.answer, #"{"job":7}"#, "job is not a text"),
            (.answer, #"{"job":"x"}"#, "job is not an id"), (.answer, "[]", "not an object"),
            (.answer, #"{"job":"0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192","x":1}"#, "Unknown argument \"x\""),
            (.wait, #"{"job":"0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192","seconds":31}"#, "from 1 to 30"),
            (.findJobs, #"{"limit":1000}"#, "from 1 to 50"), (.findJobs, #"{"state":"lost"}"#, "is not one of running"),
        ])
    func arguments(tool: MCPTool, json: String, expected: String) async throws {
        // No request is sent: nothing listens on this port.
        let tools = MCPTools(client: try .init(url: "http://127.0.0.1:9"))
        let result = await tools.call(tool, try JSONReader.read(Array(json.utf8)))
        #expect(result.structured == nil && result.text.contains(expected), "\(result.text)")
    }

    @Test("an excerpt has at most 200 characters, and none that are hidden or end a quotation")
    func excerpts() {
        let hostile = Name("a\u{1B}[2J\n\"quoted\"\u{202E}\u{200B}b")
        #expect(hostile.excerpt == "a [2J \"quoted\"  b")
        #expect(hostile.quotation == "\"a [2J 'quoted'  b\"")
        let long = Name(String(repeating: "\u{1F680}", count: 300)).excerpt
        #expect(long.unicodeScalars.count == 200 && long.unicodeScalars.last == "…")
        let fitting = String(repeating: "x", count: 200)
        #expect(Name(fitting).excerpt == fitting)
    }
}
