/// One statement with its parameters, which are sent apart from it, with their types, and never become part of it.
public struct Query: Sendable {
    /// The statement; parameters are `$1`, `$2` …
    public let sql: String
    /// The values of the parameters.
    public let parameters: [Parameter]
    /// Whether the connection keeps the statement prepared, so that it is parsed and planned once. For statements
    /// whose text is always the same.
    public let isPrepared: Bool

    /// A statement of this text.
    public init(_ sql: String, _ parameters: [Parameter] = [], prepare: Bool = true) {
        self.sql = sql
        self.parameters = parameters
        self.isPrepared = prepare
    }

    static let commit = Query("commit")
    static let rollback = Query("rollback")
}
