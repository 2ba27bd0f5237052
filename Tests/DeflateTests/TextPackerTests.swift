import Deflate
import LedgerTestSupport
import Testing

@Suite("Packed texts")
struct TextPackerTests {
    private static let known = Array(
        #"{"job":"0","name":"","done":0,"total":0,"updated_at":"2026-01-01T00:00:00Z"}"#.utf8)

    @Test("every text comes back byte for byte, whatever its length and however little it is like the known one")
    func backAndForth() throws {
        var random = SeededGenerator(seed: 5)
        var packer = TextPacker(like: Self.known)
        var unpacker = TextUnpacker(like: Self.known)
        for length in [0, 1, 2, 3, 100, 257, 4_095, 4_096, 4_097, 70_000] {
            let noise = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let likeness = Array(repeating: Self.known, count: length / Self.known.count + 1).joined().prefix(length)
            for text in [noise, Array(likeness), Array(repeating: 32, count: length)] {
                let packed = packer.pack(text)
                #expect(unpacker.unpack(packed, count: length) == text)
            }
        }
    }

    @Test("what a text has in common with the known one takes next to no room")
    func small() {
        var packer = TextPacker(like: Self.known)
        var text = Self.known
        text[8] = UInt8(ascii: "7")
        #expect(packer.pack(text).count < 20)
        var stranger = TextPacker(like: [])
        #expect(stranger.pack(text).count > 50)
    }

    @Test("what is no packed text, or one of another length, is not taken for one")
    func damaged() {
        var packer = TextPacker(like: Self.known)
        var unpacker = TextUnpacker(like: Self.known)
        let text = Array("nothing like it".utf8)
        let packed = packer.pack(text)
        #expect(unpacker.unpack(packed, count: text.count) == text)
        #expect(unpacker.unpack(packed, count: text.count - 1) == nil)
        #expect(unpacker.unpack(packed, count: text.count + 1) == nil)
        #expect(unpacker.unpack(Array(packed.dropLast()), count: text.count) == nil)
        #expect(unpacker.unpack(packed + [0], count: text.count) == nil)
        #expect(unpacker.unpack([], count: 0) == nil)
        #expect(unpacker.unpack([0xFF, 0xFF], count: 2) == nil)
        // After all of that it works as before.
        #expect(unpacker.unpack(packed, count: text.count) == text)
    }
}
