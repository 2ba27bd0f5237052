public import Ledger

/// Reads the body of an import.
public enum ImportRequest {
    /// Reads an excerpt: the line that says what it is, and some events one after the other.
    public static func excerpt(_ body: [UInt8]) throws(RequestError) -> LedgerExcerpt {
        var excerpt: LedgerExcerpt?
        var problems = ProblemList()
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
                throw .unreadable("line \(number) is no JSON: \(error)")
            }
            guard excerpt != nil else {
                excerpt = try header(value)
                continue
            }
            guard number - 1 <= Limits.eventsPerAppendMax else { throw .tooManyEvents }
            if let event = event(value, "/\(number - 2)", &problems) { excerpt?.events.append(event) }
            guard !problems.isFull else { break }
        }
        guard problems.isEmpty else { throw .invalid(problems.problems) }
        guard let excerpt, !excerpt.events.isEmpty else {
            throw .invalid([
                RequestProblem(pointer: "", detail: "holds no event: a line that says what it is, then events")
            ])
        }
        return excerpt
    }

    private static func header(_ value: JSONValue) throws(RequestError) -> LedgerExcerpt {
        do { return try LedgerExcerpt(header: value) } catch {
            throw .invalid([
                RequestProblem(
                    pointer: "/\(error.field)",
                    detail: "is missing or cannot be read: the first line of an export says what it is")
            ])
        }
    }

    private static func event(
        _ value: JSONValue, _ place: String, _ problems: inout ProblemList
    ) -> RecordedEvent? {
        do throws(ResponseError) {
            let recorded = try RecordedEvent(value)
            let wrong = EventDraft(recorded.event.body, at: recorded.event.at).problems()
            for problem in wrong { problems.add("\(place)/\(problem.field)", problem.detail) }
            return wrong.isEmpty ? recorded : nil
        } catch {
            problems.add("\(place)/\(error.field)", "is missing or cannot be read")
            return nil
        }
    }
}
