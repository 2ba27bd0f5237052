import Foundation
import Testing

@Suite("The scripts")
struct ScriptsTests {
    private static let names = ["check", "run", "setup", "test"]

    @Test("each explains itself, and refuses what it does not know", arguments: names)
    func helpIsThere(name: String) async throws {
        let script = "\(projectFolder)/Scripts/\(name)"
        let help = try await CommandRun.run(script, ["--help"], folder: "/")
        #expect(help.status == 0)
        #expect(help.output.contains("Scripts/\(name)"))
        #expect(help.lines.count >= 3)
        #expect(!help.output.contains("set -euo"))
        let refused = try await CommandRun.run(script, ["--nonsense"], folder: "/")
        #expect(refused.status == 1)
        #expect(refused.errors.contains("--nonsense"))
    }

    @Test("continuous integration calls the README's test command")
    func integrationTests() throws {
        let text = try String(contentsOfFile: "\(projectFolder)/.ci/run", encoding: .utf8)
        #expect(text.contains("/../Scripts/test"))
        #expect(FileManager.default.isExecutableFile(atPath: "\(projectFolder)/.ci/run"))
    }
}
