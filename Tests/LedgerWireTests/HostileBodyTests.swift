import Ledger
import LedgerTestSupport
import Testing

@testable import LedgerWire

/// Bodies that are designed to be expensive.
///
/// The time to parse them is proportional to their length, and the errors are still reported.
@Suite("Hostile bodies", .ownThread, .timeLimit(.minutes(1)))
struct HostileBodyTests {
    private static let count = 200_000

    private func errors(_ body: String, _ format: EventRequest.Format = .json) -> [FieldError] {
        do throws(RequestError) { _ = try EventRequest.drafts(Array(body.utf8), format) } catch {
            guard case .invalid(let errors) = error else { return [] }
            return errors
        }
        return []
    }

    @Test("200,000 unknown fields are refused in linear time, and 100 of them are named")
    func unknownFields() {
        let fields = (0..<Self.count).map { "\"f\($0)\":1" }.joined(separator: ",")
        let errors = errors(#"{"type":"progress","task":"t",\#(fields)}"#)
        #expect(errors.count == RequestError.errorsMax)
        #expect(errors.first?.pointer == "/f0")
    }

    @Test("a field that is repeated 200,000 times is refused in linear time")
    func repeatedField() {
        let fields = Array(repeating: #""done":1"#, count: Self.count).joined(separator: ",")
        #expect(errors(#"{"type":"progress","task":"t",\#(fields)}"#).map(\.pointer).contains("/done"))
    }

    @Test("200,000 tags are refused in linear time")
    func tags() {
        let tags = (0..<Self.count).map { "\"k\($0)\":\"\"" }.joined(separator: ",")
        #expect(throws: RequestError.self) {
            try EventRequest.description(Array(#"{"name":"n","tags":{\#(tags)}}"#.utf8))
        }
    }

    @Test("a field with a million values is refused, and few of them are kept in memory")
    func largeValue() throws {
        let body = Array(
            (#"{"type":"progress","task":"t","label":["# + String(repeating: "0,", count: 1_000_000) + "0]}").utf8)
        var reader = JSONReader(body[...], valuesMax: EventRequest.valuesMax)
        let value = try reader.readWhole()
        #expect(try #require(value["label"]?.elements).count < EventRequest.valuesMax)
        #expect(errors(String(decoding: body, as: UTF8.self)).map(\.pointer) == ["/label"])
    }

    @Test("an object with more values than are kept is always refused")
    func tooManyValues() {
        let many = 2 * EventRequest.valuesMax
        let values = [
            String(repeating: "[],", count: many) + "[]", String(repeating: "{},", count: many) + "{}",
            String(repeating: #"{"a":[1]},"#, count: many) + "1",
        ]
        for value in values {
            for field in ["label", "total", "at", "nonsense", "execution", "type"] {
                #expect(!errors(#"{"type":"progress","task":"t","\#(field)":[\#(value)]}"#).isEmpty)
            }
        }
        let nulls = (0..<many).map { "\"f\($0)\":null" }.joined(separator: ",")
        #expect(!errors(#"{\#(nulls),"type":"progress","task":"t"}"#).isEmpty)
    }

    @Test("many bad events and empty lines take linear time, and 100 errors are named")
    func badEvents() {
        let bad = #"{"type":"progress","task":"","total":-1,"done":1.5,"a":1,"b":2}"#
        let array = "[" + Array(repeating: bad, count: 10_000).joined(separator: ",") + "]"
        #expect(errors(array).count == RequestError.errorsMax)
        let lines = Array(repeating: bad + "\n\n\n\n", count: 10_000).joined()
        #expect(errors(lines, .lines).count == RequestError.errorsMax)
    }

    @Test("an import of a million short lines is refused at the first bad one")
    func importLines() {
        let body = Array(String(repeating: "0\n", count: 1_000_000).utf8)
        #expect(throws: RequestError.self) { try ImportRequest.excerpt(body) }
    }

    @Test("reading stops when its task is cancelled")
    func cancellation() async {
        let body = Array(("[" + String(repeating: "0,", count: 100_000) + "0]").utf8)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try JSONReader.read(body)
        }
        await #expect(throws: JSONError.self) { try await task.value }
    }

    @Test("every bad field of an object is named")
    func everyField() throws {
        #expect(
            Set(errors(#"{"type":"progress","task":"","total":1.5,"done":-1}"#).map(\.pointer))
                == ["/task", "/total", "/done"])
        #expect(
            errors(#"{"type":"execution_finished","task":"","attempt":0,"outcome":"x"}"#).compactMap(\.pointer)
                .sorted()
                == ["/attempt", "/outcome", "/task"])
        #expect(errors(#"{"type":"progress","done":-1}"#).compactMap(\.pointer).sorted() == ["/done", "/task"])
        #expect(
            errors(#"{"type":"progress","task":"a\u0000","label":7,"at":"x"}"#).compactMap(\.pointer).sorted()
                == ["/at", "/label", "/task"])
        let start = #expect(throws: RequestError.self) {
            try EventRequest.start(Array(#"{"task":"","attempt":0,"more":1}"#.utf8))
        }
        let job = #expect(throws: RequestError.self) {
            try EventRequest.description(Array(#"{"key":"","tags":{"":"x","a":1}}"#.utf8))
        }
        #expect(pointers(start) == ["/attempt", "/more", "/task"])
        #expect(pointers(job) == ["/key", "/name", "/tags/", "/tags/a"])
    }

    private func pointers(_ error: RequestError?) -> [String] {
        guard case .invalid(let errors) = error else { return [] }
        return errors.compactMap(\.pointer).sorted()
    }

    @Test(
        "a number is an integer if and only if its value is one",
        arguments: [
            ("1e-400", nil), ("1e400", nil), ("0e-400", 0), ("-0.0", 0), ("1.0", 1), ("1.5", nil), ("1e3", 1_000),
            ("120e-1", 12), ("125e-1", nil), ("1.00000000000000000000000000000000000001", nil),
            ("1.00000000000000000000000000000000000000", 1), ("0.1e1", 1), ("10000000000000000000000e-22", 1),
            ("9007199254740991.0", 9_007_199_254_740_991), ("9007199254740992.5", nil),
            ("1e-99999999999999999999", nil), ("0.000e99999999999999999999", 0), ("-25E+2", -2_500),
        ] as [(String, Int128?)])
    func exactIntegers(text: String, value: Int128?) throws {
        #expect(try JSONReader.read(Array(text.utf8)).integer == value)
    }
}
