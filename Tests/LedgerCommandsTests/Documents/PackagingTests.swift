import ArgumentParser
import Foundation
import Testing

@testable import LedgerCommands

/// Checks the commands and settings in the files for installations.
@Suite("Packaging")
struct PackagingTests {
    private static func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(projectFolder)/Scripts/\(path)", encoding: .utf8)
    }

    @Test(
        "the units start services of this program with the installed configuration",
        arguments: ["progress-ledger", "progress-ledger-worker"])
    func unitsAreValid(name: String) throws {
        let unit = try Self.text("packaging/\(name).service")
        let line = try #require(unit.firstMatch(of: /\nExecStart=\/usr\/bin\/progress-ledger (.*)\n/))
        let command = try ProgressLedgerCommand.parseAsRoot(line.1.split(separator: " ").map(String.init))
        let options =
            name == "progress-ledger" ? (command as? ServeCommand)?.service : (command as? ProjectCommand)?.service
        #expect(options?.config == "/etc/progress-ledger/progress-ledger.conf")
        let exitCode = try #require(unit.firstMatch(of: /\nRestartPreventExitStatus=([0-9]+)\n/))
        #expect(Int32(exitCode.1) == ExitStatus.usage.rawValue)
    }

    @Test("every setting of the installed configuration can be set in a file")
    func configurationIsValid() throws {
        let text = try Self.text("packaging/progress-ledger.conf")
        #expect(try Configuration.parse(text, path: "conf").isEmpty, "an installation configures nothing")
        let enabled = text.split(separator: "\n").map { $0.hasPrefix("#PROGRESS") ? $0.dropFirst() : $0 }
        #expect(try Configuration.parse(enabled.joined(separator: "\n"), path: "conf").count > 8)
    }

    @Test(
        "the containers of the manifests run commands of this program",
        arguments: [
            ("3-migrate", "args", MigrateCommand.self), ("4-worker", "args", ProjectCommand.self),
            ("4-worker", "command", MigrateCommand.self), ("5-server", "args", ServeCommand.self),
        ] as [(String, String, any ParsableCommand.Type)])
    func manifestsAreValid(file: String, key: String, expected: any ParsableCommand.Type) throws {
        let manifest = try Self.text("kubernetes/\(file).yaml")
        let line = try #require(
            manifest.firstMatch(of: try Regex("\n *\(key): \\[(.*)\\]\n", as: (Substring, Substring).self)))
        let words = line.1.split(separator: ", ").map(String.init).drop { $0 == "progress-ledger" }
        #expect(type(of: try ProgressLedgerCommand.parseAsRoot(Array(words))) == expected)
    }
}
