import Foundation

/// A Markdown file of the project, with its samples, links and headings.
struct Document {
    /// A fenced block.
    struct Sample {
        let language: String
        let lines: [String]
    }

    /// A link to a file of the project, to a heading, or to both.
    struct Link: Hashable {
        /// The path of the file below the project's folder.
        let path: String
        let anchor: String?
    }

    static let readme = "README.md"
    static let walkthrough = "Sources/LedgerHTTP/LedgerHTTP.docc/Walkthrough.md"
    static let audit = "Sources/Ledger/Ledger.docc/Audit.md"
    static let reports = "Sources/LedgerCommands/LedgerCommands.docc/Reports.md"
    static let configuration = "Sources/LedgerCommands/LedgerCommands.docc/Configuration.md"
    static let metrics = "Sources/LedgerCommands/LedgerCommands.docc/Metrics.md"
    static let decisions = "Sources/LedgerBenchmark/LedgerBenchmark.docc/Decisions.md"

    /// The paths of all documents.
    ///
    /// The README, the pages beside the code, and the READMEs of the clients.
    static let paths: [String] = {
        let modules = names(in: "Sources").map { "Sources/\($0)" }
        let folders = modules + modules.flatMap { module in subfolders(of: module, named: ".docc") }
        let pages = folders.flatMap { folder in
            names(in: folder).filter { $0.hasSuffix(".md") }.map { "\(folder)/\($0)" }
        }
        return [readme] + pages.sorted()
    }()

    /// Prefixes of absolute links to this project, used by its packages.
    private static let roots = ["blob", "tree"].map { "https://github.com/progress-ledger/progress-ledger/\($0)/main/" }

    /// The path below the project's folder.
    let path: String
    let text: String
    let samples: [Sample]
    /// The lines outside samples.
    let prose: [String]

    init(_ path: String) throws {
        self.path = path
        text = try String(contentsOfFile: "\(projectFolder)/\(path)", encoding: .utf8)
        var samples: [Sample] = []
        var prose: [String] = []
        var language: String?
        var lines: [String] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            let isFence = line.hasPrefix("```")
            switch language {
            case let known? where isFence:
                samples.append(Sample(language: known, lines: lines))
                (language, lines) = (nil, [])
            case .some: lines.append(line)
            case nil where isFence: language = String(line.dropFirst(3))
            case nil: prose.append(line)
            }
        }
        self.samples = samples
        self.prose = prose
    }

    /// The links of the prose, except those to other projects.
    var links: [Link] {
        let text = prose.map { $0.replacing(/`[^`]*`/, with: "") }.joined(separator: "\n")
        let targets =
            text.matches(of: /\]\(([^)\s]+)\)/).map { String($0.1) }
            + text.matches(of: /(?m)^\[[^\]]+\]: (\S+)$/).map { String($0.1) }
        return targets.compactMap(link)
    }

    private func link(_ target: String) -> Link? {
        let root = Self.roots.first { target.hasPrefix($0) }
        guard root != nil || !target.contains("://") else { return nil }
        let parts = target.dropFirst(root?.count ?? 0)
            .split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let anchor = parts.count > 1 ? String(parts[1]) : nil
        guard !parts[0].isEmpty else { return Link(path: path, anchor: anchor) }
        // Resolved as a path, without the file system.
        let folder = root == nil ? path.split(separator: "/").dropLast().map(String.init) : []
        var resolved = folder
        for part in parts[0].split(separator: "/") {
            if part == ".." { _ = resolved.popLast() } else if part != "." { resolved.append(String(part)) }
        }
        return Link(path: resolved.joined(separator: "/"), anchor: anchor)
    }

    /// The anchors of the headings, as GitHub makes them.
    var anchors: Set<String> {
        var anchors: Set<String> = []
        for line in prose {
            guard let heading = line.wholeMatch(of: /#{1,6} +(.+)/)?.1 else { continue }
            let name = String(
                heading.lowercased().compactMap { character -> Character? in
                    if character == " " { return "-" }
                    return character.isLetter || character.isNumber || "-_".contains(character) ? character : nil
                })
            var number = 0
            var anchor = name
            while !anchors.insert(anchor).inserted {
                number += 1
                anchor = "\(name)-\(number)"
            }
        }
        return anchors
    }

    /// Code that may name commands.
    ///
    /// The command lines of `console` and `sh` samples, and the code spans of the prose.
    var commandLines: [String] {
        let sampled = samples.flatMap { sample -> [String] in
            switch sample.language {
            case "console": sample.lines.filter { $0.hasPrefix("$ ") || $0.hasPrefix("> ") }
            case "sh": sample.lines
            default: []
            }
        }
        return sampled + prose.flatMap { $0.matches(of: /`([^`]*)`/).map { String($0.1) } }
    }

    private static func names(in folder: String) -> [String] {
        // A file is no folder. If no document were found, the test of the documents with examples would fail.
        (try? FileManager.default.contentsOfDirectory(atPath: "\(projectFolder)/\(folder)")) ?? []
    }

    private static func subfolders(of folder: String, named suffix: String) -> [String] {
        names(in: folder).filter { $0.hasSuffix(suffix) }.map { "\(folder)/\($0)" }
    }
}
