/// The body of an error response: `application/problem+json` (RFC 9457).
public struct ProblemDetails: Sendable, Hashable {
    public var title: String
    public var status: Int
    public var detail: String
    /// The id of this occurrence, for finding it in the server's log.
    public var instance: String?
    public var errors: [RequestProblem]

    public init(
        title: String, status: Int, detail: String, instance: String? = nil, errors: [RequestProblem] = []
    ) {
        self.title = title
        self.status = status
        self.detail = detail
        self.instance = instance
        self.errors = errors
    }

    /// Writes the problem as a JSON object.
    ///
    /// - Parameter more: Writes additional members.
    public func write(to writer: inout JSONWriter, more: (inout JSONWriter) -> Void = { _ in }) {
        writer.object { writer in
            writer.field("title", title)
            writer.field("status", status)
            writer.field("detail", detail)
            if let instance { writer.field("instance", instance) }
            if !errors.isEmpty {
                writer.name("errors")
                writer.array(errors.prefix(RequestError.problemsMax)) { writer, problem in
                    writer.object { writer in
                        if let pointer = problem.pointer { writer.field("pointer", pointer) }
                        if let parameter = problem.parameter { writer.field("parameter", parameter) }
                        writer.field("detail", problem.detail)
                    }
                }
            }
            more(&writer)
        }
    }

    /// Parses any problem that has a title and a status; nil for anything else.
    public init?(_ value: JSONValue) {
        guard let title = value["title"]?.text, let status = value["status"]?.integer else { return nil }
        self.init(
            title: title, status: Int(clamping: status), detail: value["detail"]?.text ?? "",
            instance: value["instance"]?.text,
            errors: (value["errors"]?.elements ?? []).compactMap { error in
                guard let detail = error["detail"]?.text else { return nil }
                if let parameter = error["parameter"]?.text {
                    return RequestProblem(parameter: parameter, detail: detail)
                }
                return RequestProblem(pointer: error["pointer"]?.text ?? "", detail: detail)
            })
    }
}
