public import Foundation
internal import Synchronization

extension Process {
    private static let starting = Mutex(())

    /// Starts the program while this process starts no other one.
    ///
    /// Foundation notices a program's end by a socket that the program inherits. Another program that starts at the
    /// same moment would inherit the socket too, and Foundation would notice the end only after both have ended.
    public func begin() throws {
        try Self.starting.withLock { _ in try run() }
    }
}
