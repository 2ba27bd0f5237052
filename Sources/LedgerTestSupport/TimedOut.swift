internal import FoundationEssentials

extension Duration {
    /// The time after which a test gives up waiting.
    ///
    /// It is long, because a small machine may be busy with many other tests.
    public static let testTimeout: Duration = .seconds(120)
}

/// The error of ``eventually(within:file:line:_:)`` after its time limit.
public struct TimedOut: Error, CustomStringConvertible {
    /// The time limit.
    public let limit: Duration
    /// The file and line of the wait.
    public let place: String
    /// The source text of the wait; nil if the source cannot be read.
    public let condition: String?
    /// The last value or error; nil for a condition without a value.
    public let last: String?
    /// The number of times that the value was read.
    public let attempts: Int

    /// The characters of the last value in the description: an error, not a whole log.
    private static let shownMax = 2_000
    private static let linesMax = 20

    init(limit: Duration, file: String, line: Int, last: String?, attempts: Int) {
        self.limit = limit
        place = "\(file):\(line)"
        condition = Self.source(of: file, at: line)
        self.last = last.map { $0.count > Self.shownMax ? "… " + $0.suffix(Self.shownMax) : $0 }
        self.attempts = attempts
    }

    public var description: String {
        var text = "waited \(limit) in vain at \(place), in \(attempts) attempts"
        if let condition { text += ", for:\n\(condition)" }
        if let last { text += "\nThe last value was: \(last)" }
        return text
    }

    /// The statement that begins at a line and ends with its last bracket.
    private static func source(of file: String, at line: Int) -> String? {
        guard let bytes = FileManager.default.contents(atPath: file) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.indices.contains(line - 1) else { return nil }
        var text: [Substring] = []
        var depth = 0
        for line in lines[(line - 1)...].prefix(linesMax) {
            text.append(line)
            for character in line {
                if "({[".contains(character) { depth += 1 } else if ")}]".contains(character) { depth -= 1 }
            }
            if depth <= 0 { break }
        }
        return text.joined(separator: "\n")
    }
}

/// Polls a condition until it is true.
///
/// Use it for events of another process or task that cannot be awaited directly. If there is a value that explains a
/// failure, use a variant that reads a value.
public func eventually(
    within limit: Duration = .testTimeout, file: String = #filePath, line: Int = #line,
    _ condition: () async throws -> Bool
) async throws {
    try await poll(within: limit, retriesErrors: false, file, line, condition) { $0 }
}

/// Polls a value until it equals the expected one.
///
/// - Parameter retriesErrors: Whether an error of the closure means that the value cannot be read yet.
public func eventually<Value: Equatable>(
    equals expected: Value, within limit: Duration = .testTimeout, retriesErrors: Bool = false,
    file: String = #filePath, line: Int = #line, _ read: () async throws -> Value
) async throws {
    _ = try await poll(within: limit, retriesErrors: retriesErrors, file, line, read) { $0 == expected }
}

/// Polls a value until the condition accepts it, and returns it.
///
/// - Parameter retriesErrors: Whether an error of the closure means that the value cannot be read yet.
@discardableResult
public func eventually<Value>(
    _ isReached: (Value) -> Bool, within limit: Duration = .testTimeout, retriesErrors: Bool = false,
    file: String = #filePath, line: Int = #line, _ read: () async throws -> Value
) async throws -> Value {
    try await poll(within: limit, retriesErrors: retriesErrors, file, line, read, until: isReached)
}

/// The longest pause between two reads of a polled value.
private let pauseMax: Duration = .milliseconds(100)

@discardableResult
private func poll<Value>(
    within limit: Duration, retriesErrors: Bool, _ file: String, _ line: Int, _ read: () async throws -> Value,
    until isReached: (Value) -> Bool
) async throws -> Value {
    let end = ContinuousClock.now + limit
    var attempts = 0
    var pause: Duration = .milliseconds(2)
    while true {
        attempts += 1
        let last: Result<Value, any Error>
        do { last = .success(try await read()) } catch {
            guard retriesErrors, !(error is CancellationError) else { throw error }
            last = .failure(error)
        }
        if case .success(let value) = last, isReached(value) { return value }
        guard ContinuousClock.now < end else {
            throw TimedOut(limit: limit, file: file, line: line, last: describe(last), attempts: attempts)
        }
        try await Task.sleep(for: pause)
        // Longer and longer pauses: many tests that poll would leave no time for what they wait for.
        pause = min(pause * 5 / 4, pauseMax)
    }
}

private func describe(_ last: Result<some Any, any Error>) -> String? {
    switch last {
    case .success(let value): value is Bool ? nil : String(describing: value)
    case .failure(let error): "an error: \(error)"
    }
}
