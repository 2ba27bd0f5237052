import Testing

@testable import LedgerStore

@Suite("Notifications to other processes")
struct HintPublisherTests {
    /// As long as the id of a job with a sequence.
    private static func items(_ count: Int) -> [String] {
        (0..<count).map { "019a0000-0000-7000-8000-\(String(1_000_000_000_000 + $0).dropFirst())=\($0)" }
    }

    private static func named(by payloads: [String]) -> [String] {
        payloads.flatMap { $0.split(separator: " ").dropFirst().map(String.init) }
    }

    @Test("nothing to announce needs no notification, and a few items need one")
    func few() {
        #expect(HintPublisher.payloads(of: "me", []).isEmpty)
        #expect(HintPublisher.payloads(of: "me", ["a", "b"]) == ["me a b"])
    }

    @Test("items that exceed one payload are divided, each named once", arguments: [200, 1_000, 15_000])
    func many(count: Int) {
        let items = Self.items(count)
        let payloads = HintPublisher.payloads(of: "me", items)
        #expect(payloads.count > 1)
        #expect(payloads.allSatisfy { $0.hasPrefix("me ") && $0.utf8.count <= HintPublisher.payloadMax })
        #expect(Self.named(by: payloads) == items)
        // Only the last payload has room for another item.
        #expect(payloads.dropLast().allSatisfy { $0.utf8.count > HintPublisher.payloadMax - 50 })
    }

    @Test("a payload is filled to its last byte")
    func boundary() {
        let room = HintPublisher.payloadMax - "me ".utf8.count
        let (first, second) = (String(repeating: "a", count: room - 2), "b")
        #expect(HintPublisher.payloads(of: "me", [first, second]).count == 1)
        #expect(HintPublisher.payloads(of: "me", [first + "a", second]).count == 2)
    }

    @Test("more items than the notifications of one transaction name become everything")
    func tooMany() {
        #expect(HintPublisher.payloads(of: "me", Self.items(30_000)) == ["me *"])
    }
}
