/// The format of a remote procedure call: how its message is packed into a body.
///
/// In both formats a call is a `POST` to `/SERVICE/METHOD`, with a message in Protocol Buffers.
public enum CallFormat: Sendable {
    /// Connect, over any version of HTTP: the body is the message.
    ///
    /// Errors are JSON. See https://connectrpc.com/docs/protocol.
    case connect
    /// gRPC, over HTTP/2: the body is a prefix of five bytes and the message.
    ///
    /// The status follows in trailers. See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
    case grpc

    /// The maximum size of a message from a client, in bytes.
    ///
    /// It limits the packed and the unpacked message. A query with 3,000 ids is as long.
    public static let messageBytesMax = 65_536
    /// The media types of requests.
    public static let mediaTypes = ["application/proto", "application/grpc", "application/grpc+proto"]

    private static let prefixBytes = 5

    /// The format of requests with this media type; nil for any other type.
    ///
    /// - Parameter mediaType: In lower case and without parameters.
    public init?(mediaType: String) {
        switch mediaType {
        case "application/proto": self = .connect
        case "application/grpc", "application/grpc+proto": self = .grpc
        default: return nil
        }
    }

    /// The media type of responses.
    public var mediaType: String {
        switch self {
        case .connect: "application/proto"
        case .grpc: "application/grpc"
        }
    }

    /// The header field that names the compression of a request.
    public var encodingField: String {
        switch self {
        case .connect: "content-encoding"
        case .grpc: "grpc-encoding"
        }
    }

    /// Unpacks the message of a request.
    ///
    /// - Parameter encoding: The value of ``encodingField``; nil without it.
    public func message(in body: [UInt8], encoding: String?) throws(CallError) -> [UInt8] {
        switch self {
        case .connect: return try Self.decompressed(body[...], encoding)
        case .grpc:
            guard body.count >= Self.prefixBytes else {
                throw CallError(.invalidArgument, "The request ends within the prefix of its message.")
            }
            let length = body[1..<Self.prefixBytes].reduce(0) { $0 << 8 | Int($1) }
            let message = body[Self.prefixBytes...]
            guard message.count == length else {
                throw CallError(
                    .invalidArgument,
                    "The prefix announces a message of \(length) bytes, but \(message.count) bytes follow it.")
            }
            switch body[0] {
            case 0: return Array(message)
            case 1 where encoding == nil || encoding == "identity":
                throw CallError(
                    .invalidArgument, "The message is marked as compressed, but grpc-encoding names no compression.")
            case 1: return try Self.decompressed(message, encoding)
            default: throw CallError(.invalidArgument, "The prefix begins with \(body[0]) instead of 0 or 1.")
            }
        }
    }

    private static func decompressed(_ bytes: ArraySlice<UInt8>, _ encoding: String?) throws(CallError) -> [UInt8] {
        switch encoding?.lowercased() {
        case nil, "", "identity": return Array(bytes)
        case "gzip":
            switch Gunzip.decompress(bytes, bytesMax: messageBytesMax) {
            case .success(let message): return message
            case .failure(.tooLong):
                throw CallError(.resourceExhausted, "The message exceeds \(messageBytesMax) bytes.")
            case .failure(.invalid): throw CallError(.invalidArgument, "The message is not valid gzip.")
            }
        case let other?:
            throw CallError(
                .unimplemented, "The compression '\(other.prefix(20))' is not supported. Use gzip or identity.")
        }
    }

    /// Packs the message of a response, without compression.
    public func body(_ message: [UInt8]) -> [UInt8] {
        guard case .grpc = self else { return message }
        let length = UInt32(message.count)
        return [0] + (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + message
    }
}
