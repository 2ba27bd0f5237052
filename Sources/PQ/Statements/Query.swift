/// One SQL statement with its parameters.
///
/// The parameters are sent separately with their types and never become part of the text.
public struct Query: Sendable {
    /// The text of the statement, with parameters `$1`, `$2` and so on.
    public let sql: String
    /// The values of the parameters.
    public let parameters: [Parameter]
    /// Whether the connection keeps the statement prepared.
    ///
    /// A prepared statement is parsed and planned once. Use it for statements with a constant text.
    public let isPrepared: Bool

    /// Creates a statement with this text.
    public init(_ sql: String, _ parameters: [Parameter] = [], prepare: Bool = true) {
        self.sql = sql
        self.parameters = parameters
        self.isPrepared = prepare
    }

    static let commit = Query("commit")
    static let rollback = Query("rollback")
}
