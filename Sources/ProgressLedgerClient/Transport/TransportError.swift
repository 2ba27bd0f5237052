/// Why an HTTP exchange had no answer.
enum TransportError: Error, Sendable {
    /// No connection: nothing was sent.
    case notConnected(String)
    /// The connection was lost after the request had begun to leave: it may or may not have been carried out.
    case lost(String)
    /// The deadline passed. `mayHaveBeenSent` tells whether the request had begun to leave.
    case deadlineExceeded(mayHaveBeenSent: Bool)
    /// Every connection is in use and too many requests wait for one: nothing was sent.
    case tooManyWaiting(Int)
    /// The task was cancelled.
    case cancelled(mayHaveBeenSent: Bool)
    /// The answer's body is larger than the client is ready to hold.
    case answerTooLarge(bytesMax: Int)
}
