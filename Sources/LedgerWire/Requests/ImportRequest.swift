public import Ledger

/// The parser for the body of an import.
public enum ImportRequest {
    /// Parses an excerpt: the header line, and consecutive events.
    public static func excerpt(_ body: [UInt8]) throws(RequestError) -> LedgerExcerpt {
        var excerpt: LedgerExcerpt?
        var errors = FieldErrorList()
        var number = 0
        var rest = body[...]
        while !rest.isEmpty {
            let line = rest.prefix { $0 != 0x0A }
            rest = rest[line.endIndex...].dropFirst()
            guard !line.isEmpty else { continue }
            number += 1
            let value: JSONValue
            do throws(JSONError) {
                var reader = JSONReader(line, valuesMax: EventRequest.valuesMax)
                value = try reader.readWhole()
            } catch {
                throw .unreadable("line \(number) is not JSON: \(error)")
            }
            guard excerpt != nil else {
                excerpt = try header(value)
                continue
            }
            guard number - 1 <= Limits.eventsPerAppendMax else { throw .tooManyEvents }
            if let event = event(value, "/\(number - 2)", &errors) { excerpt?.events.append(event) }
            guard !errors.isFull else { break }
        }
        guard errors.isEmpty else { throw .invalid(errors.list) }
        guard let excerpt, !excerpt.events.isEmpty else {
            throw .invalid([
                FieldError(pointer: "", detail: "contains no event; expected a header line, then events")
            ])
        }
        return excerpt
    }

    private static func header(_ value: JSONValue) throws(RequestError) -> LedgerExcerpt {
        do { return try LedgerExcerpt(header: value) } catch {
            throw .invalid([
                FieldError(
                    pointer: "/\(error.field)",
                    detail: "is missing or invalid; the first line must be the header of an export")
            ])
        }
    }

    private static func event(
        _ value: JSONValue, _ pointer: String, _ errors: inout FieldErrorList
    ) -> RecordedEvent? {
        do throws(ResponseError) {
            let recorded = try RecordedEvent(value)
            let found = EventDraft(recorded.event).fieldErrors()
            for error in found { errors.add("\(pointer)\(error.location)", error.detail) }
            return found.isEmpty ? recorded : nil
        } catch {
            errors.add("\(pointer)/\(error.field)", "is missing or invalid")
            return nil
        }
    }
}
