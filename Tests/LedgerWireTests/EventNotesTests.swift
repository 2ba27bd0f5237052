import Ledger
import LedgerTestSupport
import Testing

@testable import LedgerWire

/// The values of the optional fields of events, and the errors of invalid ones.
@Suite("Messages, links, units, parts and carried units", .ownThread)
struct EventNotesTests {
    private static func progress(_ fields: String) -> String { #"{"type":"progress","task":"t","done":5,\#(fields)}"# }

    private func errors(_ text: String) -> [FieldError] {
        do throws(RequestError) {
            _ = try EventRequest.drafts(Array(text.utf8), .json)
            return []
        } catch {
            guard case .invalid(let errors) = error else { return [FieldError(pointer: "", detail: "\(error)")] }
            return errors
        }
    }

    private static let long = String(repeating: "é", count: 1_000)

    @Test(
        "valid values are accepted",
        arguments: [
            progress(#""message":"a\nb","link":"HTTPS://example.com","unit":"bytes","part":" ","carried":5"#),
            progress(#""message":"\#(long)","link":"http://[::1]:8080/a@b?c=@#d","unit":"é","carried":0"#),
            progress(#""message":null,"link":null,"unit":null,"part":null,"carried":null"#),
            #"{"type":"execution_started","task":"t","attempt":1,"link":"https://example.com/"}"#,
            #"{"type":"execution_finished","task":"t","outcome":"failed","message":"m","link":"https://example.com/"}"#,
            #"{"type":"job_finished","outcome":"failed","message":"m"}"#,
        ])
    func valid(text: String) {
        #expect(errors(text) == [])
    }

    @Test(
        "an invalid value is refused, and the error names the field",
        arguments: [
            (#""message":"""#, "/message", "must not be empty"),
            (#""message":"\#(long)é""#, "/message", "has 1001 characters (Unicode scalars); the maximum is 1000"),
            (#""message":"a\tb""#, "/message", "must not contain control characters other than line feeds"),
            (#""message":"a\u0085b""#, "/message", "must not contain control characters other than line feeds"),
            (#""message":"a\u0000b""#, "/message", "must not contain U+0000"),
            (#""message":7"#, "/message", "must be a string, not an integer"),
            (#""unit":"a\nb""#, "/unit", "must not contain control characters"),
            (
                #""unit":"123456789012345678901234567890123""#, "/unit",
                "has 33 characters (Unicode scalars); the maximum is 32"
            ),
            (#""part":"""#, "/part", "must not be empty"),
            (#""carried":6"#, "/carried", "must not exceed done, of which it is a part"),
            (#""carried":-1"#, "/carried", "must be an integer from 0 to 9007199254740991"),
            (#""link":"javascript:alert(1)""#, "/link", "must be a URL that begins with https:// or http://"),
            (#""link":"//example.com/""#, "/link", "must be a URL that begins with https:// or http://"),
            (#""link":"https://u:p@example.com/""#, "/link", "must not contain a user or a password"),
            (#""link":"https://example.com@evil.example/""#, "/link", "must not contain a user or a password"),
            (#""link":"https://""#, "/link", "must be a URL that begins with https:// or http://"),
            (#""link":"https:///path""#, "/link", "must be a URL with a host"),
            (
                #""link":"https://example.com/a b""#, "/link",
                "must be a URL, with other characters than those of RFC 3986 percent-encoded"
            ),
            (
                #""link":"https://example.com\\@evil.example/""#, "/link",
                "must be a URL, with other characters than those of RFC 3986 percent-encoded"
            ),
            (#""links":"x""#, "/links", "an event of type progress has no such field"),
        ])
    func invalid(fields: String, pointer: String, detail: String) {
        #expect(errors(Self.progress(fields)) == [FieldError(pointer: pointer, detail: detail)])
    }

    @Test(
        "a field is refused on the types of events that have none",
        arguments: [
            (#"{"type":"execution_started","task":"t","attempt":1,"message":"m"}"#, "/message"),
            (#"{"type":"job_finished","outcome":"failed","link":"https://example.com/"}"#, "/link"),
            (#"{"type":"execution_finished","task":"t","outcome":"failed","unit":"u"}"#, "/unit"),
            (#"{"type":"execution_finished","task":"t","outcome":"failed","part":"p"}"#, "/part"),
            (#"{"type":"execution_started","task":"t","attempt":1,"carried":0}"#, "/carried"),
            (#"{"type":"progress","task":"t","reporter":"token:a"}"#, "/reporter"),
        ])
    func wrongType(text: String, pointer: String) {
        let type = text.split(separator: "\"")[3]
        #expect(errors(text) == [FieldError(pointer: pointer, detail: "an event of type \(type) has no such field")])
    }

    @Test("an import refuses a field on an event of another type")
    func imported() {
        let draft = EventDraft(
            .executionStarted(ExecutionReference(task: "t", attempt: 1)), message: "m", link: "https://example.com/")
        #expect(
            draft.fieldErrors() == [
                FieldError(pointer: "/message", detail: "an event of type execution_started has no such field")
            ])
        let end = EventDraft(.jobFinished(.failed), message: "m", link: "https://example.com/")
        #expect(end.fieldErrors().map(\.pointer) == ["/link"])
    }
}
