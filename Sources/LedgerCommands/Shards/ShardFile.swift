import FoundationEssentials
import LedgerStore
import PQ

/// The file that names the databases of a divided ledger.
///
/// Each line is `NUMBER = CONNECTION STRING`. Empty lines and lines that begin with `#` are skipped. The file may
/// contain passwords, so it should be readable by the services only.
struct ShardFile: Sendable {
    /// The databases by the numbers of their shards.
    let targets: [Int: ConnectionTarget]

    static func read(_ path: String) throws(CommandFailure) -> ShardFile {
        guard let contents = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(
                .usage, "Cannot read the file of shards \(path): check that it exists and is readable.")
        }
        guard let text = String(validating: Array(contents), as: UTF8.self) else {
            throw CommandFailure(.usage, "The file of shards \(path) is not UTF-8. Convert it.")
        }
        return try ShardFile(text, path: path)
    }

    init(_ text: String, path: String) throws(CommandFailure) {
        var targets: [Int: ConnectionTarget] = [:]
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let source = "\(path), line \(index + 1)"
            let line = Self.trim(line)
            if line.isEmpty || line.hasPrefix("#") { continue }
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let number = Int(Self.trim(parts[0])), (0..<ShardMap.shardsMax).contains(number)
            else {
                throw CommandFailure(
                    .usage,
                    "\(source): expected NUMBER = CONNECTION STRING, with a number from 0 to \(ShardMap.shardsMax - 1)."
                )
            }
            guard targets[number] == nil else {
                throw CommandFailure(.usage, "\(source): shard \(number) is given twice. Remove one line.")
            }
            let string = String(Self.trim(parts[1]))
            try DatabaseURL.check(string)
            do throws(PQError) { targets[number] = try ConnectionTarget(string) } catch {
                throw CommandFailure(.usage, "\(source): \(error.message)")
            }
        }
        guard !targets.isEmpty else { throw CommandFailure(.usage, "\(path) names no shard.") }
        self.targets = targets
    }

    private static func trim(_ text: Substring) -> Substring {
        let isSpace = { (character: Character) in character == " " || character == "\t" }
        var text = text.drop(while: isSpace)
        while let last = text.last, isSpace(last) { text.removeLast() }
        return text
    }
}
