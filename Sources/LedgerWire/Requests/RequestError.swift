public import Ledger

/// The reason why a request is refused.
public enum RequestError: Error, Sendable, Equatable {
    /// It is not JSON: 400. The text names the line if the body is NDJSON.
    case unreadable(String)
    /// It is JSON but not a valid request: 422.
    case invalid([FieldError])
    /// It has more events than an append may have: 413.
    case tooManyEvents

    /// The maximum number of errors in one response.
    public static let errorsMax = 100
}
