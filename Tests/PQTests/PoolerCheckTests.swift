import Testing

@testable import PQ

@Suite("The check for poolers")
struct PoolerCheckTests {
    private typealias Observation = PoolerCheck.Observation
    private let check = PoolerCheck(token: "t")

    private func ours(_ process: String, _ token: String = "t") -> Observation {
        Observation(process: process, token: token)
    }

    private func theirs(_ process: String, _ token: String = "") -> Observation {
        Observation(process: process, token: token)
    }

    @Test("two connections with sessions of their own are accepted")
    func separate() {
        #expect(check.fault(first: [ours("1"), ours("1")], other: [theirs("2"), theirs("2", "earlier")]) == nil)
    }

    @Test("each effect of a pooler is recognised, whatever it shows of the server process")
    func effects() {
        #expect(check.fault(first: [ours("1")], other: [theirs("1")]) == .sharesSessions)
        #expect(check.fault(first: [ours("1")], other: [theirs("2", "t")]) == .sharesSessions)
        #expect(check.fault(first: [ours("1"), ours("3")], other: [theirs("2"), theirs("2")]) == .changesSessions)
        #expect(check.fault(first: [ours("1"), ours("1")], other: [theirs("2"), theirs("3")]) == .changesSessions)
        #expect(check.fault(first: [ours("1"), ours("2")], other: [theirs("2"), theirs("1")]) == .sharesSessions)
        #expect(check.fault(first: [ours("1", "")], other: [theirs("2")]) == .dropsSettings)
    }
}
