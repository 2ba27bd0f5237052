internal import CZlib

/// Packs texts that are much like one that is known beforehand, so that what they have in common with it takes next to no
/// memory: by zlib, as raw data of DEFLATE (RFC 1951) with that text as its dictionary.
///
/// What comes out is for memory only: it bears neither a checksum nor the name of its dictionary. A packer of its own takes
/// some 50 kB.
@safe public struct TextPacker: ~Copyable {
    /// How far back what is repeated is looked for, as a power of two: the dictionary, and the text so far. With the table
    /// below it is also what packing each text has to clear first.
    private static let windowBits: Int32 = 12
    private static let memoryLevel: Int32 = 5
    /// Longer repetitions than the first that is found are not looked for: it would cost more than it saves.
    private static let effort: Int32 = 1

    // Zlib's streams stay where they are, since they point to themselves.
    private let deflater: UnsafeMutablePointer<z_stream>
    private let inflater: UnsafeMutablePointer<z_stream>
    private let dictionary: [UInt8]
    private var scratch: [UInt8] = []

    /// A packer of texts like this one, of which the last 4,096 bytes matter.
    public init(like text: [UInt8]) {
        dictionary = Array(text.suffix(1 << Int(Self.windowBits)))
        unsafe deflater = .allocate(capacity: 1)
        unsafe inflater = .allocate(capacity: 1)
        unsafe deflater.initialize(to: z_stream())
        unsafe inflater.initialize(to: z_stream())
        let size = unsafe Int32(MemoryLayout<z_stream>.size)
        // A negative size of the window asks for raw data.
        let begun = unsafe deflateInit2_(
            deflater, Self.effort, Z_DEFLATED, -Self.windowBits, Self.memoryLevel, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            size)
        precondition(begun == Z_OK, "zlib cannot begin to pack: \(begun)")
        let begunToo = unsafe inflateInit2_(inflater, -Self.windowBits, ZLIB_VERSION, size)
        precondition(begunToo == Z_OK, "zlib cannot begin to unpack: \(begunToo)")
    }

    deinit {
        unsafe deflateEnd(deflater)
        unsafe inflateEnd(inflater)
        unsafe deflater.deallocate()
        unsafe inflater.deallocate()
    }

    /// The text, packed. Costs about 10 µs and 10 ns for each byte.
    public mutating func pack(_ text: [UInt8]) -> [UInt8] {
        unsafe deflateReset(deflater)
        unsafe dictionary.withUnsafeBufferPointer {
            _ = unsafe deflateSetDictionary(deflater, $0.baseAddress, UInt32($0.count))
        }
        let bound = unsafe Int(deflateBound(deflater, UInt(text.count)))
        if scratch.count < bound { scratch = Array(repeating: 0, count: bound) }
        let count = unsafe scratch.withUnsafeMutableBufferPointer { room in
            unsafe text.withUnsafeBufferPointer { text in
                unsafe deflater.pointee.next_in = UnsafeMutablePointer(mutating: text.baseAddress)
                unsafe deflater.pointee.avail_in = UInt32(text.count)
                unsafe deflater.pointee.next_out = room.baseAddress
                unsafe deflater.pointee.avail_out = UInt32(room.count)
                let ended = unsafe deflate(deflater, Z_FINISH)
                precondition(ended == Z_STREAM_END, "zlib needs more room than it has said: \(ended)")
                return unsafe room.count - Int(deflater.pointee.avail_out)
            }
        }
        // A copy, which has no room beyond what it holds.
        return Array(scratch[..<count])
    }

    /// The text of so many bytes that was packed. Costs about 1 µs and 1 ns for each byte.
    ///
    /// - Returns: nil where these are not the bytes that a packer of the same text has made of one of that length.
    public mutating func unpack(_ packed: [UInt8], count: Int) -> [UInt8]? {
        unsafe inflateReset(inflater)
        unsafe dictionary.withUnsafeBufferPointer {
            _ = unsafe inflateSetDictionary(inflater, $0.baseAddress, UInt32($0.count))
        }
        var isWhole = false
        // Zlib wants a place to write to even where nothing will be written.
        let text = unsafe [UInt8](unsafeUninitializedCapacity: max(1, count)) { room, length in
            unsafe packed.withUnsafeBufferPointer { packed in
                unsafe inflater.pointee.next_in = UnsafeMutablePointer(mutating: packed.baseAddress)
                unsafe inflater.pointee.avail_in = UInt32(packed.count)
                unsafe inflater.pointee.next_out = room.baseAddress
                unsafe inflater.pointee.avail_out = UInt32(count)
                let ended = unsafe inflate(inflater, Z_FINISH)
                length = unsafe count - Int(inflater.pointee.avail_out)
                isWhole = unsafe ended == Z_STREAM_END && length == count && inflater.pointee.avail_in == 0
            }
        }
        return isWhole ? text : nil
    }
}
