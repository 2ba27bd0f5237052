import Ledger
import LedgerTestSupport
import Testing

@testable import LedgerWire

/// The reader of plain events beside the general one, on the same bytes: what it takes is what that one takes, and there
/// is no other difference than its speed.
@Suite("Events of a body", .ownThread)
struct EventRequestTests {
    /// What came of a body.
    private enum Outcome: Equatable {
        case taken([EventDraft])
        case takenOfJobs([EventDraft], [JobID], places: [String])
        case refused(RequestError)
    }

    private func drafts(_ body: [UInt8], _ format: EventRequest.Format) -> Outcome {
        do throws(RequestError) { return .taken(try EventRequest.drafts(body, format)) } catch {
            return .refused(error)
        }
    }

    private func entries(_ body: [UInt8], _ format: EventRequest.Format) -> Outcome {
        do throws(RequestError) {
            let entries = try EventRequest.entries(body, format)
            return .takenOfJobs(entries.map(\.draft), entries.map(\.job), places: entries.map(\.place.pointer))
        } catch {
            return .refused(error)
        }
    }

    // MARK: The general reader alone

    /// What a body is read as where nothing is read plainly.
    private func read(_ body: [UInt8], _ format: EventRequest.Format, namesJob: Bool) -> Outcome {
        var problems = ProblemList()
        var entries: [(EventRequest.Entry, String)] = []
        do throws(RequestError) {
            let (values, isWhole) = try values(body, format)
            for (index, value) in values.enumerated() {
                let place: EventRequest.Place = isWhole ? .whole : .element(index)
                if let entry = EventRequest.entry(value, place, namesJob: namesJob, &problems) {
                    entries.append((entry, place.pointer))
                }
            }
            if values.isEmpty { problems.add("", "holds no event") }
            guard problems.isEmpty else { throw .invalid(problems.problems) }
        } catch {
            return .refused(error)
        }
        let drafts = entries.map(\.0.draft)
        return namesJob
            ? .takenOfJobs(drafts, entries.compactMap(\.0.job), places: entries.map(\.1)) : .taken(drafts)
    }

    private func values(
        _ body: [UInt8], _ format: EventRequest.Format
    ) throws(RequestError) -> (values: [JSONValue], isWhole: Bool) {
        guard format == .lines else {
            do throws(JSONError) {
                let value = try JSONReader.read(body)
                return value.elements.map { ($0, false) } ?? ([value], true)
            } catch {
                throw .unreadable("the body is no JSON: \(error)")
            }
        }
        var values: [JSONValue] = []
        for (index, line) in body.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
        where line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) {
            do throws(JSONError) { values.append(try JSONReader.read(Array(line))) } catch {
                throw .unreadable("line \(index + 1) is no JSON: \(error)")
            }
        }
        return (values, false)
    }

    /// An event as nearly all are.
    private static let plain =
        #"{"type":"progress","task":"task-7","execution":"task-7-1","attempt":1,"report":12,"label":"rows","total":10,"done":3}"#
    private static let named =
        #"{"job":"019a0000-0000-7000-8000-000000000001","type":"progress","task":"a","total":1}"#

    private static let others = [
        #"{"type":"execution_started","task":"é","attempt":1}"#,
        #"{ "task" : "a" , "type" : "execution_started" , "execution" : "x" }"#,
        #"{"type":"execution_finished","task":"a","outcome":"failed","at":"2026-11-23T18:30:00.5+01:00"}"#,
        #"{"type":"job_finished","outcome":"completed","at":"0001-01-01T00:00:00Z"}"#,
        #"{"type":"progress","task":"\u00e9\n","label":"","total":9007199254740991}"#,
        #"{"type":"progress","task":"a","label":null,"done":1e3}"#,
    ]

    @Test("events that are written plainly are read without the general reader")
    func plainEvents() {
        let texts = [Self.plain] + Self.others.dropLast(2)
        for text in texts {
            let bytes = Array(text.utf8)
            let (draft, isWholeLine) = bytes.withUnsafeBufferPointer { bytes in
                var reader = PlainEventReader(bytes, namesJob: false, endsAtLine: true)
                let entry = reader.read()
                return (entry?.draft, reader.takeEndOfLine())
            }
            #expect(isWholeLine)
            #expect(draft != nil, "\(text)")
            #expect(draft == general(bytes, namesJob: false)?.draft)
        }
    }

    @Test(
        "what is out of the ordinary, or wrong, is left to the general reader",
        arguments: [
            "", "{}", "[]", "{", #"{"type":"progress"}"#, #"{"type":"progress","task":""}"#,
            #"{"type":"progress","task":"a","task":"a"}"#, #"{"type":"progress","task":"a","done":-1}"#,
            #"{"type":"progress","task":"a","done":01}"#, #"{"type":"progress","task":"a","done":1.0}"#,
            #"{"type":"progress","task":"a","done":1e0}"#, #"{"type":"progress","task":"a","done":9007199254740992}"#,
            #"{"type":"progress","task":"a","done":18446744073709551617}"#,
            #"{"type":"progress","task":"a","report":0}"#,
            #"{"type":"progress","task":"a","attempt":2147483648}"#, #"{"type":"progress","task":"a","label":null}"#,
            #"{"type":"progress","task":"a\n"}"#, #"{"type":"progress","task":"a","outcome":"failed"}"#,
            #"{"type":"progress","task":"a",}"#, #"{"type":"progress","task":"a","more":1}"#,
            #"{"type":"progress","task":"a","job":"019a0000-0000-7000-8000-000000000001"}"#,
            #"{"type":"progress","task":"a","at":"10000-01-01T00:00:00Z"}"#,
            #"{"type":"progress","task":"a","at":"9999-12-31T23:59:59-01:00"}"#,
            #"{"type":"execution_started","task":"a"}"#,
            #"{"type":"execution_started","task":"a","attempt":1,"done":1}"#,
            #"{"type":"execution_finished","task":"a"}"#,
            #"{"type":"execution_finished","task":"a","outcome":"completed"}"#,
            #"{"type":"job_finished","outcome":"succeeded"}"#,
            #"{"type":"job_finished","outcome":"failed","task":"a"}"#,
            #"{"type":"job_created","name":"a"}"#, "{\"type\":\"progress\",\n\"task\":\"a\"}",
            "{\"type\":\"progress\",\"task\":\"\(String(repeating: "é", count: 101))\"}",
        ])
    func leavesToTheGeneralReader(text: String) {
        let read = Array(text.utf8).withUnsafeBufferPointer { bytes in
            var reader = PlainEventReader(bytes, namesJob: false, endsAtLine: true)
            return reader.read() != nil
        }
        #expect(!read)
    }

    private func general(_ bytes: [UInt8], namesJob: Bool) -> EventRequest.Entry? {
        var problems = ProblemList()
        guard let value = try? JSONReader.read(bytes) else { return nil }
        let entry = EventRequest.entry(value, .whole, namesJob: namesJob, &problems)
        return problems.isEmpty ? entry : nil
    }

    /// Damages a text once or a few times, mostly so that it stays nearly right.
    private func damaged(_ text: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = text
        let pieces: [String] = [
            "\"", "\\", "{", "}", ",", ":", " ", "\n", "\r", "null", "0", "1", "9", "-", ".", "e", "\\n", "é", "\u{0}",
            "task", "type", "\"done\":1,", "true", "\u{7F}",
        ]
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            guard !bytes.isEmpty else { break }
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &generator), at: index)
            case 3: bytes.swapAt(index, bytes.count - 1 - index)
            case 4: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 1...9, using: &generator)))
            default: bytes.insert(contentsOf: pieces.randomElement(using: &generator)!.utf8, at: index)
            }
        }
        return bytes
    }

    @Test(
        "a plain event is what the general reader makes of the same bytes, whatever happened to them",
        arguments: [UInt64(1), 2, 3, 4, 5, 6, 7, 8])
    func agreesOnDamagedEvents(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var taken = 0
        for _ in 0..<10_000 {
            let text = ([Self.plain, Self.named] + Self.others).randomElement(using: &generator)!
            let bytes = damaged(Array(text.utf8), &generator)
            let namesJob = Int.random(in: 0..<4, using: &generator) == 0
            let plain: (EventRequest.Entry, Int)? = bytes.withUnsafeBufferPointer { bytes in
                var reader = PlainEventReader(bytes, namesJob: namesJob, endsAtLine: false)
                return reader.read().map { ($0, reader.position) }
            }
            guard let (entry, end) = plain else { continue }
            taken += 1
            let expected = try #require(general(Array(bytes[..<end]), namesJob: namesJob), "seed \(seed)")
            #expect(entry.draft == expected.draft && entry.job == expected.job, "seed \(seed)")
        }
        // Otherwise nothing was compared.
        #expect(taken > 1_000)
    }

    @Test(
        "bodies lead to the same drafts or to the same problems, at the same places, whoever reads them",
        arguments: [UInt64(11), 12, 13, 14])
    func agreesOnBodies(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<1_500 {
            let isLines = Bool.random(using: &generator)
            let events = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
                let text = ([Self.plain, Self.named] + Self.others).randomElement(using: &generator)!
                let isDamaged = Int.random(in: 0..<3, using: &generator) == 0
                return isDamaged ? damaged(Array(text.utf8), &generator) : Array(text.utf8)
            }
            var body = Array(events.joined(separator: [UInt8(ascii: isLines ? "\n" : ",")]))
            if !isLines, events.count != 1 || Bool.random(using: &generator) {
                body = Array("[".utf8) + body + Array("]".utf8)
            }
            let format: EventRequest.Format = isLines ? .lines : .json
            for namesJob in [false, true] {
                let found = namesJob ? entries(body, format) : drafts(body, format)
                #expect(
                    found == read(body, format, namesJob: namesJob),
                    "seed \(seed): \(String(decoding: body, as: UTF8.self))")
            }
        }
    }

    @Test("events beyond the most that one append has are refused, plain or not", arguments: [plain, others[4]])
    func refusesTooMany(event: String) {
        let most = Array(repeating: event, count: Limits.eventsPerAppendMax)
        for (format, start, separator, end) in [(EventRequest.Format.json, "[", ",", "]"), (.lines, "", "\n", "\n")] {
            let body = start + most.joined(separator: separator)
            guard case .taken(let taken) = drafts(Array((body + end).utf8), format) else {
                Issue.record("was refused")
                continue
            }
            #expect(taken.count == Limits.eventsPerAppendMax)
            #expect(drafts(Array((body + separator + event + end).utf8), format) == .refused(.tooManyEvents))
        }
    }
}
