public import Foundation
internal import Synchronization

extension Process {
    private static let starting = Mutex(())

    /// Starts the program while no other one is being started here. Foundation learns of a program's end by a socket that it
    /// hands to it, and so does another one that is started at that moment: then it would learn of the end when both have
    /// ended.
    public func begin() throws {
        try Self.starting.withLock { _ in try run() }
    }
}
