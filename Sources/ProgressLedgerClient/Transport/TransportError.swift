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
