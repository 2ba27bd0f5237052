import Foundation
import LedgerTestSupport

/// The program gzip, which decompresses independently of this project.
enum Gunzip {
    struct Failure: Error {}

    /// Returns the decompressed bytes.
    static func run(_ bytes: [UInt8]) async throws -> [UInt8] {
        let path = FileManager.default.temporaryDirectory.appending(path: "gunzip-\(UUID().uuidString)")
        defer {
            TestFiles.remove(path.path())
            TestFiles.remove("\(path.path()).out")
        }
        try Data(bytes).write(to: path)
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", #"exec gzip --decompress --stdout <"$0" >"$0.out""#, path.path()]
        try process.begin()
        try await eventually { !process.isRunning }
        guard process.terminationStatus == 0 else { throw Failure() }
        return Array(try Data(contentsOf: URL(filePath: "\(path.path()).out")))
    }
}
