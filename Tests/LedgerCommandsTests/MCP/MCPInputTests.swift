import Foundation
import Testing

@testable import LedgerCommands

@Suite("Lines of the Model Context Protocol")
struct MCPInputTests {
    private func lines(of pieces: [[UInt8]]) async throws -> [MCPInput.Line] {
        let pipe = Pipe()
        let writing = Task {
            for piece in pieces { try pipe.fileHandleForWriting.write(contentsOf: piece) }
            try pipe.fileHandleForWriting.close()
        }
        let input = MCPInput(descriptor: pipe.fileHandleForReading.fileDescriptor)
        var lines: [MCPInput.Line] = []
        while true {
            let line = await input.next()
            if line == .end { break }
            lines.append(line)
        }
        #expect(await input.next() == .end)
        try await writing.value
        return lines
    }

    @Test("lines end with a line feed or at the end, and blank ones are skipped")
    func lines() async throws {
        let found = try await lines(of: ["a\n\r\n \nb", "c\r\n", "\nd"].map { Array($0.utf8) })
        #expect(found == ["a", "bc\r", "d"].map { .text(Array($0.utf8)) })
        #expect(try await lines(of: []).isEmpty)
    }

    @Test("a line that is too long is skipped in bounded memory, and the next one is read")
    func longLines() async throws {
        let limit = MCPInput.lineBytesMax
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: limit)
        let found = try await lines(of: [piece, piece, piece, Array("\nnext\n".utf8)])
        #expect(found == [.tooLong, .text(Array("next".utf8))])
        #expect(try await lines(of: [piece, Array("\n".utf8)]) == [.text(piece)])
        #expect(try await lines(of: [piece, Array("x\n".utf8)]) == [.tooLong])
        #expect(try await lines(of: [piece, Array("xy".utf8)]) == [.tooLong])
    }
}
