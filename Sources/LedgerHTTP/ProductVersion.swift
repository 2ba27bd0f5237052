internal import CVersion

/// The version and the build of the program.
public struct ProductVersion: Hashable, Sendable, CustomStringConvertible {
    /// The version in `Package.swift`, which the server and its clients share.
    public let number: String
    /// The Git commit of a release build, or `development`.
    public let build: String

    /// The version of this program.
    public static let current = ProductVersion(
        number: String(cString: progress_ledger_version()), build: String(cString: progress_ledger_build()))

    public var description: String { "\(number) (build \(build))" }
}
