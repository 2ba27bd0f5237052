public import Ledger

/// The body of an error response: `application/problem+json` (RFC 9457).
public struct ProblemDetails: Sendable, Hashable {
    public var title: String
    public var status: Int
    public var detail: String
    /// The id of the request, by which the server's log names it.
    public var requestID: String?
    /// The id of the distributed trace that the request belongs to.
    public var traceID: String?
    public var errors: [FieldError]

    public init(
        title: String, status: Int, detail: String, errors: [FieldError] = [], requestID: String? = nil,
        traceID: String? = nil
    ) {
        self.title = title
        self.status = status
        self.detail = detail
        self.errors = errors
        self.requestID = requestID
        self.traceID = traceID
    }

    /// Writes the problem as a JSON object.
    ///
    /// - Parameter more: Writes additional members.
    public func write(to writer: inout JSONWriter, more: (inout JSONWriter) -> Void = { _ in }) {
        writer.object { writer in
            writer.field("title", title)
            writer.field("status", status)
            writer.field("detail", detail)
            if !errors.isEmpty {
                writer.name("errors")
                writer.array(errors.prefix(RequestError.errorsMax)) { writer, error in
                    writer.object { writer in
                        if let pointer = error.pointer { writer.field("pointer", pointer) }
                        if let parameter = error.parameter { writer.field("parameter", parameter) }
                        writer.field("detail", error.detail)
                    }
                }
            }
            if let requestID { writer.field("request_id", requestID) }
            if let traceID { writer.field("trace_id", traceID) }
            more(&writer)
        }
    }

    /// Parses any problem that has a title and a status; nil for anything else.
    public init?(_ value: JSONValue) {
        guard let title = value["title"]?.text, let status = value["status"]?.integer else { return nil }
        self.init(
            title: title, status: Int(clamping: status), detail: value["detail"]?.text ?? "",
            errors: (value["errors"]?.elements ?? []).compactMap { error in
                guard let detail = error["detail"]?.text else { return nil }
                if let parameter = error["parameter"]?.text {
                    return FieldError(parameter: parameter, detail: detail)
                }
                return FieldError(pointer: error["pointer"]?.text ?? "", detail: detail)
            }, requestID: value["request_id"]?.text, traceID: value["trace_id"]?.text)
    }
}
