internal import CZlib
internal import Synchronization

/// A compressed stream in the format of gzip (RFC 1952).
///
/// The parts of a response are compressed one after the other.
final class GzipStream: Sendable {
    /// The compression level: half as fast as level 1, nearly as small as level 9.
    private static let level: Int32 = 5
    private static let outputBytes = 16_384

    // Its address must not change, because zlib keeps it.
    private let stream: Mutex<UnsafeMutablePointer<z_stream>>

    init() {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let result = progress_ledger_begin_gzip(stream, Self.level)
        precondition(result == Z_OK, "zlib cannot begin a stream: \(result)")
        self.stream = Mutex(stream)
    }

    deinit {
        stream.withLock { stream in
            deflateEnd(stream)
            stream.deallocate()
        }
    }

    /// Compresses a part of the content.
    ///
    /// - Parameter isLast: Whether this is the last part. Otherwise the output can be decompressed at once.
    func compress(_ bytes: [UInt8], isLast: Bool) -> [UInt8] {
        stream.withLock { stream in
            var bytes = bytes
            var output: [UInt8] = []
            bytes.withUnsafeMutableBufferPointer { input in
                stream.pointee.next_in = input.baseAddress
                stream.pointee.avail_in = UInt32(input.count)
                repeat {
                    let part = [UInt8](unsafeUninitializedCapacity: Self.outputBytes) { buffer, count in
                        stream.pointee.next_out = buffer.baseAddress
                        stream.pointee.avail_out = UInt32(buffer.count)
                        deflate(stream, isLast ? Z_FINISH : Z_SYNC_FLUSH)
                        count = buffer.count - Int(stream.pointee.avail_out)
                    }
                    output += part
                } while stream.pointee.avail_out == 0
                stream.pointee.next_in = nil
            }
            return output
        }
    }
}
