internal import Ledger
internal import PQ

/// The tags of a job as two columns: an array of names and an array of values.
///
/// The database stores tags as `jsonb`. Swift's `String` would treat some different names of a JSON object as equal,
/// so rows contain arrays. Both are null if the tags are null; without tags they are null or empty.
enum TagColumns {
    /// The expressions of the two columns, for tags given by an expression.
    ///
    /// Null costs next to nothing, which suits events: few have tags.
    static func columns(of tags: String) -> String { "\(names(of: tags)), \(values(of: tags))" }

    /// The expression of the names.
    static func names(of tags: String) -> String { array(of: "key", tags) }

    /// The expression of the values, in the order of the names.
    static func values(of tags: String) -> String { array(of: "value", tags) }

    private static func array(of field: String, _ tags: String) -> String {
        "case when \(tags) is not null then array(select \(field) from jsonb_each_text(\(tags))) end"
    }

    /// The two columns of ``join(of:)``.
    static let joinedColumns = "tag.names, tag.contents"

    /// A join that adds the two columns of tags that are never null.
    ///
    /// For pages of jobs: 0.7 µs per row, 2.5 µs with ``columns(of:)``.
    static func join(of tags: String) -> String {
        """
        cross join lateral (
            select array_agg(key) as names, array_agg(value) as contents from jsonb_each_text(\(tags))
        ) as tag
        """
    }

    /// The parameters of `jsonb_object` for these tags: names and values.
    static func parameters(_ tags: [Name: Name]) -> [Parameter] {
        let tags = tags.sorted { $0.key < $1.key }
        return [.texts(tags.map { $0.key.text }), .texts(tags.map { $0.value.text })]
    }

    /// Decodes the tags in the next two columns.
    static func decode(_ columns: inout RowColumns) throws(PQError) -> [Name: Name] {
        guard let names = try columns.nextIfPresent([Name].self) else {
            columns.skip(1)
            return [:]
        }
        return Dictionary(zip(names, try columns.next([Name].self)), uniquingKeysWith: { _, last in last })
    }
}
