/// The reason why an HTTP exchange has no response.
enum TransportError: Error, Sendable {
    /// There is no connection; nothing was sent.
    case notConnected(String)
    /// The connection was lost after sending had begun.
    ///
    /// The server may or may not have carried out the request.
    case lost(String)
    /// The deadline passed; `mayHaveBeenSent` is whether sending had begun.
    case deadlineExceeded(mayHaveBeenSent: Bool)
    /// All connections are in use and too many requests wait; nothing was sent.
    case tooManyWaiting(Int)
    /// The task was cancelled.
    case cancelled(mayHaveBeenSent: Bool)
    /// The body of the response is larger than the client's limit.
    case responseTooLarge(bytesMax: Int)
}

extension TransportError {
    /// The reason in words.
    var reason: String {
        switch self {
        case .notConnected(let reason): reason
        case .lost(let reason): "the connection was lost (\(reason))"
        case .deadlineExceeded(false): "no connection in time"
        case .deadlineExceeded(true): "no response in time"
        case .tooManyWaiting(let most): "\(most) requests already wait for a connection"
        case .cancelled(let mayHaveBeenSent): "the request was cancelled\(mayHaveBeenSent ? " after it was sent" : "")"
        case .responseTooLarge(let bytesMax): "the response is larger than \(bytesMax) bytes"
        }
    }
}
