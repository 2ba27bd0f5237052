import LedgerTestSupport
import Testing

@testable import PQ

@Suite("Opening connections")
struct ConnectorTests {
    @Test(
        "a refused connection has the server's SQLSTATE",
        arguments: [("dbname", "no-such-database", "3D000"), ("user", "no-such-role", "28000")])
    func refusedConnection(key: String, value: String, expected: String) async throws {
        try await withTestDatabase { target in
            let error = await #expect(throws: PQError.self) {
                _ = try await Connector.connect(to: target.setting(key, value), deadline: .seconds(10))
            }
            #expect(error?.code == .connectionFailed)
            #expect(error?.sqlState?.rawValue == expected)
            // The message is the short one.
            #expect(error?.message.contains("LOCATION") == false && error?.message.contains(expected) == false)
        }
    }

    @Test("a connection without a server has no SQLSTATE")
    func noServer() async {
        let error = await #expect(throws: PQError.self) {
            _ = try await Connector.connect(to: ConnectionTarget("host=/nowhere dbname=d"), deadline: .seconds(10))
        }
        #expect(error?.code == .connectionFailed && error?.sqlState == nil)
    }

    @Test("the SQLSTATE does not depend on the language of the server")
    func languages() {
        let prefix = #"connection to server at "127.0.0.1", port 54321 failed: "#
        for (text, expected) in [
            (
                #"FATAL:  28P01: password authentication failed for user "x"; LOCATION:  auth_failed, auth.c:338"#,
                "28P01"
            ),
            (
                #"ВАЖНО:  28P01: пользователь "x" не прошёл проверку подлинности; ПОЛОЖЕНИЕ:  auth_failed, auth.c:338"#,
                "28P01"
            ),
            ("FATAL:  53300: désolé, trop de clients sont déjà connectés", "53300"),
        ] { #expect(Connector.sqlState(in: prefix + text)?.rawValue == expected) }
        #expect(Connector.sqlState(in: prefix + "timeout expired") == nil)
        let two = prefix + "FATAL:  57P03: starting up; LOCATION:  x, y.c:1; " + prefix + "FATAL:  3D000: no database"
        #expect(Connector.sqlState(in: two)?.rawValue == "3D000")
    }
}
