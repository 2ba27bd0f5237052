import Foundation
import LedgerTestSupport
import Testing

@testable import LedgerCommands

@Suite("Output files")
struct OutputFileTests {
    private static func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "output-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { TestFiles.remove(folder.path()) }
        try body(folder.path())
    }

    @Test("a file is created completely or not at all")
    func writesAreAtomic() throws {
        try Self.withFolder { folder in
            let path = folder + "/file"
            try OutputFile.write("before", to: path)
            do {
                let file = try OutputFile(path)
                try file.write(Array("half".utf8))
            }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "before")
            #expect(chmod(path, 0o600) == 0)
            try OutputFile.write("after", to: path)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "after")
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["file"])
        }
    }

    @Test("a link's target is written, and the link stays")
    func links() throws {
        try Self.withFolder { folder in
            let (path, link) = (folder + "/file", folder + "/link")
            try OutputFile.write("before", to: path)
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "file")
            try OutputFile.write("after", to: link)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "after")
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "file")
            let toNothing = folder + "/to-nothing"
            try FileManager.default.createSymbolicLink(atPath: toNothing, withDestinationPath: "new")
            try OutputFile.write("new", to: toNothing)
            #expect(try String(contentsOfFile: folder + "/new", encoding: .utf8) == "new")
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: toNothing) == "new")
        }
    }

    @Test("a pipe or a device is written directly and not replaced")
    func pipes() throws {
        try Self.withFolder { folder in
            let path = folder + "/pipe"
            #expect(mkfifo(path, 0o600) == 0)
            let reader = open(path, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            try OutputFile.write("lines", to: path)
            var bytes = [UInt8](repeating: 0, count: 16)
            let count = read(reader, &bytes, bytes.count)
            #expect(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self) == "lines")
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.type] as? FileAttributeType == .typeUnknown, "the pipe was replaced")
        }
    }
}
