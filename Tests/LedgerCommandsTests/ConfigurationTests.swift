import ArgumentParser
import Foundation
import LedgerTestSupport
import Testing

@testable import LedgerCommands

@Suite("Configuration")
struct ConfigurationTests {
    private static func configuration(_ environment: [String: String]) throws -> Configuration {
        try Configuration(environment: environment, filePath: nil)
    }

    private static func withFile<Result>(_ text: String, _ body: (String) throws -> Result) throws -> Result {
        let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).conf").path()
        try Data(text.utf8).write(to: URL(filePath: path))
        defer { TestFiles.remove(path) }
        return try body(path)
    }

    @Test("a file contains KEY=VALUE lines and comments; values keep inner spaces and equal signs")
    func filesAreRead() throws {
        let values = try Configuration.parse(
            "# where it listens\n\n  PROGRESS_LEDGER_PORT = 9000 \r\nPROGRESS_LEDGER_DATABASE=host=db dbname=x y\n",
            path: "f")
        #expect(values[.port] == Configuration.Found(value: "9000", source: "f, line 3"))
        #expect(values[.database]?.value == "host=db dbname=x y")
        #expect(values.count == 2)
    }

    @Test(
        "an error in a file is reported with its line and cause",
        arguments: [
            ("PROGRESS_LEDGER_PORT", "f, line 1: expected KEY=VALUE"),
            ("\nPROGRESS_LEDGER_PROT=1", "f, line 2: PROGRESS_LEDGER_PROT is not a setting"),
            ("PROGRESS_LEDGER_JOB=1", "f, line 1: PROGRESS_LEDGER_JOB is not a setting of this file"),
            ("PROGRESS_LEDGER_PORT=1\nPROGRESS_LEDGER_PORT=2", "f, line 2: PROGRESS_LEDGER_PORT is set twice"),
        ])
    func mistakesAreNamed(text: String, beginning: String) {
        let failure = #expect(throws: CommandFailure.self) { try Configuration.parse(text, path: "f") }
        #expect(failure?.status == .usage)
        #expect(failure?.description.hasPrefix(beginning) == true, "\(String(describing: failure))")
    }

    @Test("flags override the environment, which overrides the file; an empty variable is absent")
    func layersAreOrdered() throws {
        try Self.withFile("PROGRESS_LEDGER_PORT=1\nPROGRESS_LEDGER_HOST=127.0.0.2\nPROGRESS_LEDGER_DATA=/file\n") {
            path in
            let configuration = try Configuration(
                environment: ["PROGRESS_LEDGER_PORT": "2", "PROGRESS_LEDGER_DATA": "", "PROGRESS_LEDGER_CONFIG": path],
                filePath: nil)
            let port = { (flag: String?) in
                try configuration.read(.port, flag: flag, named: "--port", else: 0, as: { Int($0) }, expected: { "" })
            }
            #expect(try port("3") == 3)
            #expect(try port(nil) == 2)
            #expect(configuration.find(.host)?.value == "127.0.0.2")
            #expect(configuration.find(.data)?.value == "/file")
        }
    }

    @Test("an invalid value is refused with its source and the expected format")
    func valuesAreChecked() throws {
        let configuration = try Self.configuration(["PROGRESS_LEDGER_DRAIN_SECONDS": "soon"])
        let failure = #expect(throws: CommandFailure.self) { try ServiceTimes.parse([]).drain(configuration) }
        #expect(
            failure?.description
                == "the environment variable PROGRESS_LEDGER_DRAIN_SECONDS: invalid value 'soon'. "
                + "Expected a whole number of seconds from 0 to 3600.")
    }

    @Test("a missing file is refused by name")
    func missingFilesAreRefused() {
        let failure = #expect(throws: CommandFailure.self) {
            try Configuration(environment: [:], filePath: "/nowhere/ledger.conf")
        }
        #expect(failure?.description.contains("/nowhere/ledger.conf") == true)
    }

    struct Choice: Sendable, CustomTestStringConvertible {
        let environment: [String: String]
        var database: String?
        var data: String?
        var isRoot = false
        let expected: DatabaseChoice
        var testDescription: String { "\(environment) \(database ?? "-") \(data ?? "-") \(isRoot)" }
    }

    @Test(
        "the database comes from a flag, our variable, DATABASE_URL or libpq's; else it is private",
        arguments: [
            Choice(environment: ["DATABASE_URL": "u"], database: "f", expected: .given("f")),
            Choice(environment: ["DATABASE_URL": "u"], data: "/d", expected: .isPrivate(folder: "/d")),
            Choice(environment: ["PROGRESS_LEDGER_DATABASE": "o", "DATABASE_URL": "u"], expected: .given("o")),
            Choice(environment: ["DATABASE_URL": "u", "PGHOST": "h"], expected: .given("u")),
            Choice(environment: ["PGHOST": "h"], expected: .given("")),
            Choice(
                environment: ["PGPORT": "1", "HOME": "/h"],
                expected: .isPrivate(folder: "/h/.local/share/progress-ledger")),
            Choice(environment: ["PROGRESS_LEDGER_DATA": "/e", "HOME": "/h"], expected: .isPrivate(folder: "/e")),
            Choice(
                environment: ["HOME": "/root"], isRoot: true, expected: .isPrivate(folder: "/var/lib/progress-ledger")),
            Choice(
                environment: ["XDG_DATA_HOME": "/x", "HOME": "/h"], expected: .isPrivate(folder: "/x/progress-ledger")),
            Choice(
                environment: ["XDG_DATA_HOME": "x", "HOME": "/h"],
                expected: .isPrivate(folder: "/h/.local/share/progress-ledger")),
        ])
    func databaseIsChosen(choice: Choice) throws {
        let chosen = try DatabaseChoice.choose(
            databaseFlag: choice.database, dataFlag: choice.data,
            configuration: Self.configuration(choice.environment), isRoot: choice.isRoot)
        #expect(chosen == choice.expected)
    }

    @Test("--database with --data, or no folder at all, is refused")
    func contradictionsAreRefused() throws {
        let nothing = try Self.configuration([:])
        for (database, data) in [("a", "b"), (nil, nil)] as [(String?, String?)] {
            #expect(throws: CommandFailure.self) {
                try DatabaseChoice.choose(
                    databaseFlag: database, dataFlag: data, configuration: nothing, isRoot: false)
            }
        }
    }

    @Test(
        "without authentication the server listens only on loopback addresses",
        arguments: [
            ("127.0.0.1", true), ("127.1.2.3", true), ("::1", true), ("localhost", true), ("0.0.0.0", false),
            ("::", false), ("10.0.0.1", false), ("example.org", false), ("127.0.0.1.example.org", false),
            ("127.0.0", false), ("127.0.0.256", false),
        ])
    func onlyLoopbackIsOpen(host: String, isLoopback: Bool) throws {
        let address = ListenAddress(host: host, port: 1)
        if isLoopback {
            try address.check(isProtected: false)
        } else {
            let failure = #expect(throws: CommandFailure.self) { try address.check(isProtected: false) }
            #expect(failure?.description.contains("--insecure-no-authentication") == true)
        }
        try address.check(isProtected: true)
    }
}
