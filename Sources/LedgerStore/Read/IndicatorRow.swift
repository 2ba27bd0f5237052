package import Ledger
package import PQ

/// The decoding of an indicator from its table.
package enum IndicatorRow {
    /// The columns that ``decodeIfPresent(_:)`` expects, in order.
    ///
    /// The statement must call the table `indicator`.
    package static let columns = names.map { "indicator.\($0)" }.joined(separator: ", ")

    private static let names = [
        "sequence", "label", "received_total", "received_done", "counted_total", "counted_done", "superseded_total",
        "superseded_done", "discarded_total", "discarded_done", "counted_events", "superseded_events", "updated_at",
        "carried_done", "unit", "message",
    ]

    /// Decodes the indicator in the next columns; nil if they are null.
    ///
    /// They are null if an outer join found none.
    ///
    /// - Throws: ``PQError/Code/decoding`` if the row is not one that the projection writes.
    package static func decodeIfPresent(_ columns: inout RowColumns) throws(PQError) -> IndicatorState? {
        guard let id = try columns.nextIfPresent(IndicatorID.self) else {
            columns.skip(names.count - 1)
            return nil
        }
        let label = try columns.next(Name.self)
        return IndicatorState(
            id: id, label: label.text.utf8.isEmpty ? nil : label, received: try units(&columns),
            counted: try units(&columns), superseded: try units(&columns), discarded: try units(&columns),
            countedEvents: try columns.next(), supersededEvents: try columns.next(), updatedAt: try columns.next(),
            carried: try columns.next(), unit: try columns.nextIfPresent(), message: try columns.nextIfPresent())
    }

    private static func units(_ columns: inout RowColumns) throws(PQError) -> Units {
        Units(total: try columns.next(), done: try columns.next())
    }
}
