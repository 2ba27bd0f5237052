public import Foundation

/// The output of a process, in a file.
///
/// A pipe would not do: a program that another thread starts at the same moment can inherit its write end, and a read
/// to the end of the pipe then blocks its thread until that program has ended too.
public final class ProcessOutput: Sendable {
    private let path = "/tmp/progress-ledger-output-\(UUID().uuidString)"

    /// Creates an empty file.
    public init() throws { try Data().write(to: URL(fileURLWithPath: path)) }

    deinit {
        do { try FileManager.default.removeItem(atPath: path) } catch { print("cannot remove \(path)") }
    }

    /// Opens the file for a process to write to.
    public func open() throws -> FileHandle { try FileHandle(forWritingTo: URL(fileURLWithPath: path)) }

    /// The output so far.
    public var text: String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
