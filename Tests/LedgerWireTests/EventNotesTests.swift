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
            progress(#""link":"http://[::ffff:1.2.3.4]/?a[]=%2F%C3%A4#%41""#),
            progress(#""link":"https://h.example:65535""#), progress(#""link":"https://h.example:?x:y""#),
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
            (#""link":"https://h:port/""#, "/link", "must be a URL with a valid host and a port up to 65535"),
            (#""link":"https://h:65536/""#, "/link", "must be a URL with a valid host and a port up to 65535"),
            (#""link":"https://h:000080/""#, "/link", "must be a URL with a valid host and a port up to 65535"),
            (#""link":"https://h:80:80/""#, "/link", "must be a URL with a valid host and a port up to 65535"),
            (#""link":"http://[/""#, "/link", "must be a URL with a valid host and a port up to 65535"),
            (#""link":"http://[]/""#, "/link", "must be a URL with a valid host and a port up to 65535"),
            (#""link":"http://[::g]/""#, "/link", "must be a URL with a valid host and a port up to 65535"),
            (#""link":"http://[::1]x/""#, "/link", "must be a URL with a valid host and a port up to 65535"),
            (#""link":"http://a]b/""#, "/link", "must be a URL with a valid host and a port up to 65535"),
            (#""link":"https://h/%zz""#, "/link", "must be a URL in which two hexadecimal digits follow each %"),
            (#""link":"https://h/%4""#, "/link", "must be a URL in which two hexadecimal digits follow each %"),
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

    /// Parses an import of one event with these fields.
    private func importErrors(_ fields: String) -> [FieldError] {
        let zeros = String(repeating: "0", count: 64)
        let header =
            #"{"format":"progress-ledger-export-1","job":"019a0000-0000-7000-8000-000000000001","events":1,"head_hash":"\#(zeros)"}"#
        let event =
            #"{"sequence":1,\#(fields),"recorded_at":"2026-01-31T10:00:00.000000Z","hash":"\#(zeros)"}"#
        do throws(RequestError) {
            _ = try ImportRequest.excerpt(Array("\(header)\n\(event)\n".utf8))
            return []
        } catch {
            guard case .invalid(let errors) = error else { return [FieldError(pointer: "", detail: "\(error)")] }
            return errors
        }
    }

    @Test(
        "an import accepts the fields of an event, and refuses those of other types",
        arguments: [
            (#""type":"execution_started","task":"t","attempt":1,"link":"https://example.com/""#, nil),
            (#""type":"execution_started","task":"t","attempt":1,"message":"m""#, "/0/message"),
            (#""type":"job_finished","outcome":"failed","message":"m""#, nil),
            (#""type":"job_finished","outcome":"failed","link":"https://example.com/""#, "/0/link"),
            (#""type":"execution_finished","task":"t","outcome":"failed","unit":"u""#, "/0/unit"),
            (#""type":"progress","task":"t","done":1,"carried":1,"unit":"u","part":"p""#, nil),
            (#""type":"progress","task":"t","done":1,"carried":2"#, "/0/carried"),
            (#""type":"progress","task":"t","done":1,"link":"https://h:port/""#, "/0/link"),
        ])
    func imported(fields: String, pointer: String?) {
        #expect(importErrors(fields).map(\.pointer) == (pointer.map { [$0] } ?? []), "\(importErrors(fields))")
    }
}
