internal import HTTPTypes
internal import Ledger
internal import LedgerWire

/// A table as comma-separated values (RFC 4180).
///
/// Spreadsheets run a text that begins like a formula. Such a text, which comes from a caller, gets an apostrophe
/// before it; the JSON of the same table contains it exactly.
struct CSVText {
    private(set) var text: String

    /// Creates a table with these names of columns.
    init(_ header: [String]) {
        text = header.joined(separator: ",") + "\r\n"
    }

    /// Appends a row; nil is an empty field.
    mutating func append(_ fields: [String?]) {
        text += fields.map { Self.field($0 ?? "") }.joined(separator: ",") + "\r\n"
    }

    private static func field(_ value: String) -> String {
        let isFormula = value.unicodeScalars.first.map { "=+-@\t\r".unicodeScalars.contains($0) } ?? false
        // A number is no formula.
        let text = isFormula && Int128(value) == nil ? "'" + value : value
        guard text.unicodeScalars.contains(where: { "\",\r\n".unicodeScalars.contains($0) }) else { return text }
        return "\"\(text.replacing("\"", with: "\"\""))\""
    }

    static func time(_ moment: Timestamp?) -> String? { moment.map { RFC3339.text($0) } }

    /// A response that browsers save as a file.
    func response(_ file: String) -> LedgerResponse {
        var headers = Page.headers()
        headers[.contentDisposition] = "attachment; filename=\"\(file).csv\""
        return LedgerResponse(
            status: .ok, headers: headers, contentType: "text/csv; charset=utf-8", bytes: Array(text.utf8))
    }
}
