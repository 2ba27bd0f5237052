internal import CZlib

/// Decompresses gzip (RFC 1952) with a limit.
enum Gunzip {
    /// The reasons for which bytes are not decompressed.
    enum Failure: Error {
        /// The result exceeds the limit. No more than the limit was decompressed.
        case tooLong
        /// The bytes are not one complete gzip member with the right checksum.
        case invalid
    }

    /// Returns the decompressed bytes.
    ///
    /// - Parameter bytesMax: The maximum number of decompressed bytes, all of which are allocated.
    static func decompress(_ bytes: ArraySlice<UInt8>, bytesMax: Int) -> Result<[UInt8], Failure> {
        var stream = z_stream()
        var input = Array(bytes)
        var result: Int32 = Z_OK
        // One more byte tells a message of the maximum length from a longer one.
        let output = [UInt8](unsafeUninitializedCapacity: bytesMax + 1) { output, count in
            // Its address must not change, because zlib keeps it.
            withUnsafeMutablePointer(to: &stream) { stream in
                result = progress_ledger_begin_gunzip(stream)
                guard result == Z_OK else { return }
                defer { inflateEnd(stream) }
                input.withUnsafeMutableBufferPointer { input in
                    stream.pointee.next_in = input.baseAddress
                    stream.pointee.avail_in = UInt32(input.count)
                    stream.pointee.next_out = output.baseAddress
                    stream.pointee.avail_out = UInt32(output.count)
                    result = inflate(stream, Z_FINISH)
                }
                count = output.count - Int(stream.pointee.avail_out)
            }
        }
        guard output.count <= bytesMax else { return .failure(.tooLong) }
        // The checksum and the length at the end of the member have been compared. Nothing may follow it.
        guard result == Z_STREAM_END, stream.avail_in == 0 else { return .failure(.invalid) }
        return .success(output)
    }
}
