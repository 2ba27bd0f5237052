import Foundation
import Ledger
import Testing

@testable import LedgerCommands

@Suite("Keys and anchors")
struct AnchorTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "anchor-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        let result = Result { try body(folder.path()) }
        try FileManager.default.removeItem(at: folder)
        try result.get()
    }

    @Test("a key is written with its public key, or not at all", arguments: ["", ".pub"])
    func keysAreWrittenWhole(suffix: String) throws {
        try withFolder { folder in
            let path = "\(folder)/key"
            try "existing".write(toFile: path + suffix, atomically: false, encoding: .utf8)
            let error = #expect(throws: CommandFailure.self) { try SigningKey.make().write(path) }
            #expect(error?.description == "Cannot create \(path)\(suffix): file exists.")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["key\(suffix)"])
            #expect(try String(contentsOfFile: path + suffix, encoding: .utf8) == "existing")
            try FileManager.default.removeItem(atPath: path + suffix)
            try SigningKey.make().write(path)
            let signed = try AnchorFile.text([], at: Timestamp(microseconds: 0), signedBy: try SigningKey.read(path))
            let signer = try AnchorFile.parse(signed, "FILE").publicKey
            #expect(try SigningKey.readPublic(path + ".pub").fingerprint == signer.fingerprint)
        }
    }

    @Test("an anchor with an unreadable or wrong number of jobs is refused with the reason")
    func numbersOfJobs() throws {
        let key = SigningKey.make()
        let head = LedgerHead(
            job: JobID(high: 1, low: 2),
            position: ChainPosition(sequence: 7, hash: EventHash(1, 2, 3, 4)))
        let text = try AnchorFile.text([head], at: Timestamp(microseconds: 0), signedBy: key)
        #expect(try AnchorFile.parse(text, "FILE").heads == [head])
        for (number, reason) in [
            ("x", "its number of jobs cannot be read"), ("", "its number of jobs cannot be read"),
            ("99999999999999999999", "its number of jobs cannot be read"),
            ("2", "it lists 1 job but states a count of 2"), ("0", "it lists 1 job but states a count of 0"),
        ] {
            let start = try #require(text.range(of: "jobs 1\n")?.lowerBound)
            let forged = try AnchorFile.sign("\(text[..<start])jobs \(number)\n", by: key)
            let error = #expect(throws: CommandFailure.self) { try AnchorFile.parse(forged, "FILE") }
            #expect(error?.description == "FILE is not a valid anchor: \(reason).", "\(number)")
        }
    }
}
