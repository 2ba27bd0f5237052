import FoundationEssentials

/// The environment over an optional file.
struct Configuration: Sendable {
    /// A value and where it was found, so that a mistake in it can be named.
    struct Found: Hashable, Sendable {
        let value: String
        let source: String
    }

    private let environment: [String: String]
    private let file: [Setting: Found]

    /// - Parameters:
    ///   - environment: The process's environment.
    ///   - filePath: The file that a flag names; else the environment may name one.
    init(environment: [String: String], filePath: String?) throws(CommandFailure) {
        self.environment = environment
        guard let path = filePath ?? environment[Setting.config.variable], !path.isEmpty else {
            self.file = [:]
            return
        }
        guard let contents = FileManager.default.contents(atPath: path) else {
            throw CommandFailure(.usage, "The configuration file \(path) cannot be read. Is it there, and may you?")
        }
        guard let text = String(validating: contents, as: UTF8.self) else {
            throw CommandFailure(.usage, "The configuration file \(path) is not UTF-8.")
        }
        self.file = try Self.parse(text, path: path)
    }

    /// The value of a setting, from the environment or else the file. An empty variable counts as absent.
    func find(_ setting: Setting) -> Found? {
        if let value = environment[setting.variable], !value.isEmpty {
            return Found(value: value, source: "the environment variable \(setting.variable)")
        }
        return file[setting]
    }

    /// The value of a variable that is not one of ours, such as `DATABASE_URL`.
    func variable(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Reads lines of `KEY=VALUE`; empty lines and those that begin with `#` are skipped. A value goes to the end of
    /// its line, without the spaces around it; nothing is quoted, expanded or continued.
    static func parse(_ text: String, path: String) throws(CommandFailure) -> [Setting: Found] {
        var values: [Setting: Found] = [:]
        // By what Swift calls a newline: a carriage return and a line feed are one character to it.
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let source = "\(path), line \(index + 1)"
            let line = trim(line)
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let separator = line.firstIndex(of: "=") else {
                throw CommandFailure(.usage, "\(source): a line is KEY=VALUE or begins with #.")
            }
            let key = trim(line[..<separator])
            guard let setting = Setting(rawValue: String(key)), setting.isAllowedInFile else {
                let known = Setting.allCases.filter(\.isAllowedInFile).map(\.variable).joined(separator: ", ")
                throw CommandFailure(.usage, "\(source): \(key) is not a setting of this file. Known are: \(known).")
            }
            guard values[setting] == nil else {
                throw CommandFailure(.usage, "\(source): \(key) is set for the second time.")
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
