import FoundationEssentials

/// The configuration: the environment, over an optional file.
struct Configuration: Sendable {
    /// A value and its source, for error messages.
    struct Found: Hashable, Sendable {
        let value: String
        let source: String
    }

    private let environment: [String: String]
    private let file: [Setting: Found]

    /// Reads the configuration file, if one is given.
    ///
    /// - Parameters:
    ///   - environment: The process's environment.
    ///   - filePath: The file given by a flag; if nil, the environment may name a file.
    init(environment: [String: String], filePath: String?) throws(CommandFailure) {
        self.environment = environment
        guard let path = filePath ?? environment[Setting.config.variable], !path.isEmpty else {
            self.file = [:]
            return
        }
        guard let contents = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(
                .usage, "Cannot read configuration file \(path): check that it exists and is readable.")
        }
        guard let text = String(validating: contents, as: UTF8.self) else {
            throw CommandFailure(.usage, "Configuration file \(path) is not UTF-8. Convert it.")
        }
        self.file = try Self.parse(text, path: path)
    }

    /// The value of a setting, from the environment or else the file.
    ///
    /// An empty environment variable counts as absent.
    func find(_ setting: Setting) -> Found? {
        if let value = environment[setting.variable], !value.isEmpty {
            return Found(value: value, source: "the environment variable \(setting.variable)")
        }
        return file[setting]
    }

    /// The value of a variable of another program, such as `DATABASE_URL`.
    func variable(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Parses lines of `KEY=VALUE`.
    ///
    /// Empty lines and lines that begin with `#` are skipped. A value extends to the end of its line, without the
    /// spaces around it; there is no quoting, expansion or continuation.
    static func parse(_ text: String, path: String) throws(CommandFailure) -> [Setting: Found] {
        var values: [Setting: Found] = [:]
        // Swift treats a carriage return and a line feed as one newline character.
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let source = "\(path), line \(index + 1)"
            let line = trim(line)
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let separator = line.firstIndex(of: "=") else {
                throw CommandFailure(.usage, "\(source): expected KEY=VALUE or a comment that begins with #.")
            }
            let key = trim(line[..<separator])
            guard let setting = Setting(rawValue: String(key)), setting.isAllowedInFile else {
                let names = Setting.allCases.filter(\.isAllowedInFile).map(\.variable).joined(separator: ", ")
                throw CommandFailure(.usage, "\(source): \(key) is not a setting of this file. Use one of: \(names).")
            }
            guard values[setting] == nil else {
                throw CommandFailure(.usage, "\(source): \(key) is set twice. Remove one line.")
            }
            values[setting] = Found(
                value: String(trim(line[line.index(after: separator)...])), source: source)
        }
        return values
    }

    private static func trim(_ text: Substring) -> Substring {
        let isSpace = { (character: Character) in character == " " || character == "\t" }
        var text = text.drop(while: isSpace)
        while let last = text.last, isSpace(last) { text.removeLast() }
        return text
    }
}

extension String {
    fileprivate init?(validating data: Data, as encoding: UTF8.Type) {
        self.init(validating: Array(data), as: encoding)
    }
}
