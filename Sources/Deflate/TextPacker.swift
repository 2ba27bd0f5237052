internal import CZlib

// Texts that are much like one that is known beforehand are packed so that what they have in common with it takes next to no
// memory: by zlib, as raw data of DEFLATE (RFC 1951) with that text as its dictionary. What comes out is for memory only: it
// bears neither a checksum nor the name of its dictionary.

/// How far back what is repeated is looked for, as a power of two: the dictionary, and the text so far.
private let windowBits: Int32 = 12

/// Packs texts. It takes some 50 kB.
@safe public struct TextPacker: ~Copyable {
    /// How large the table of what was met is, as zlib counts it: packing each text has to clear it first.
    private static let memoryLevel: Int32 = 5
    /// Longer repetitions than the first that is found are not looked for: it would cost more than it saves.
    private static let effort: Int32 = 1

    private let stream: Stream
    private var scratch: [UInt8] = []

    /// A packer of texts like this one, of which the last 4,096 bytes matter.
    public init(like text: [UInt8]) {
        stream = Stream(like: text)
        let begun = unsafe deflateInit2_(
            stream.zlib, Self.effort, Z_DEFLATED, -windowBits, Self.memoryLevel, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Stream.size)
        precondition(begun == Z_OK, "zlib cannot begin to pack: \(begun)")
    }

    deinit {
        unsafe deflateEnd(stream.zlib)
    }

    /// The text, packed. Costs about 10 µs and 5 ns for each byte.
    public mutating func pack(_ text: [UInt8]) -> [UInt8] {
        unsafe deflateReset(stream.zlib)
        unsafe stream.dictionary.withUnsafeBufferPointer {
            _ = unsafe deflateSetDictionary(stream.zlib, $0.baseAddress, UInt32($0.count))
        }
        let bound = unsafe Int(deflateBound(stream.zlib, UInt(text.count)))
        if scratch.count < bound { scratch = Array(repeating: 0, count: bound) }
        let count = unsafe scratch.withUnsafeMutableBufferPointer { room in
            let (ended, count) = unsafe stream.run(text, into: room) { unsafe deflate($0, Z_FINISH) }
            precondition(ended == Z_STREAM_END, "zlib needs more room than it has said: \(ended)")
            return count
        }
        // A copy, which has no room beyond what it holds.
        return Array(scratch[..<count])
    }
}

/// Unpacks what a ``TextPacker`` of the same known text has packed.
@safe public struct TextUnpacker: ~Copyable {
    private let stream: Stream

    /// An unpacker of texts like this one, of which the last 4,096 bytes matter.
    public init(like text: [UInt8]) {
        stream = Stream(like: text)
        let begun = unsafe inflateInit2_(stream.zlib, -windowBits, ZLIB_VERSION, Stream.size)
        precondition(begun == Z_OK, "zlib cannot begin to unpack: \(begun)")
    }

    deinit {
        unsafe inflateEnd(stream.zlib)
    }

    /// The text of so many bytes that was packed. Costs about 1 µs and 2 ns for each byte.
    ///
    /// - Returns: nil where these are not the bytes that a packer of the same text has made of one of that length.
    public mutating func unpack(_ packed: [UInt8], count: Int) -> [UInt8]? {
        unsafe inflateReset(stream.zlib)
        unsafe stream.dictionary.withUnsafeBufferPointer {
            _ = unsafe inflateSetDictionary(stream.zlib, $0.baseAddress, UInt32($0.count))
        }
        var isWhole = false
        // Zlib wants a place to write to even where nothing will be written.
        let text = unsafe [UInt8](unsafeUninitializedCapacity: max(1, count)) { room, length in
            let place = unsafe UnsafeMutableBufferPointer(start: room.baseAddress, count: count)
            let ended = unsafe stream.run(packed, into: place) { unsafe inflate($0, Z_FINISH) }
            length = ended.count
            isWhole = unsafe ended.status == Z_STREAM_END && length == count && stream.zlib.pointee.avail_in == 0
        }
        return isWhole ? text : nil
    }
}

/// Zlib's stream, which stays where it is since it points to itself, and the known text. A negative size of the window asks
/// zlib for raw data.
@safe private struct Stream: ~Copyable {
    static var size: Int32 { unsafe Int32(MemoryLayout<z_stream>.size) }

    let zlib: UnsafeMutablePointer<z_stream>
    let dictionary: [UInt8]

    init(like text: [UInt8]) {
        dictionary = Array(text.suffix(1 << Int(windowBits)))
        unsafe zlib = .allocate(capacity: 1)
        unsafe zlib.initialize(to: z_stream())
    }

    deinit {
        unsafe zlib.deallocate()
    }

    /// - Returns: What zlib says, and how many bytes it has written.
    func run(
        _ bytes: [UInt8], into room: UnsafeMutableBufferPointer<UInt8>,
        _ body: (UnsafeMutablePointer<z_stream>) -> Int32
    ) -> (status: Int32, count: Int) {
        unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe zlib.pointee.next_in = UnsafeMutablePointer(mutating: bytes.baseAddress)
            unsafe zlib.pointee.avail_in = UInt32(bytes.count)
            unsafe zlib.pointee.next_out = room.baseAddress
            unsafe zlib.pointee.avail_out = UInt32(room.count)
            let status = unsafe body(zlib)
            return unsafe (status, room.count - Int(zlib.pointee.avail_out))
        }
    }
}
