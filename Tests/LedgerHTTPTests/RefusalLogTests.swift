import HTTPTypes
import LedgerTestSupport
import Logging
import Testing

@testable import LedgerHTTP

@Suite("The log of refused requests")
struct RefusalLogTests {
    @Test("ten refusals of a reason are logged a second, and the next line counts the missing ones")
    func limited() {
        let (clock, recorder) = (StoppedClock(), LogRecorder(level: .info))
        let log = RefusalLog(now: { clock.now })
        func refuse(_ number: Int, _ refusal: HTTPProblem.Refusal) {
            for _ in 0..<number {
                log.record(
                    HTTPProblem(.forbidden, "Forbidden", "No.").refusing(refusal), of: RequestIdentity(), method: "GET",
                    route: nil, from: nil, recorder.logger)
            }
        }
        refuse(25, .scope)
        refuse(1, .host)
        #expect(recorder.logged.count == 11)
        clock.move(by: .milliseconds(999))
        refuse(1, .scope)
        #expect(recorder.logged.count == 11)
        clock.move(by: .milliseconds(1))
        refuse(2, .scope)
        #expect(recorder.logged.dropFirst(11).map { $0.metadata["refusals.suppressed"] } == ["16", nil])
        let counts = Dictionary(uniqueKeysWithValues: log.counts.map { ($0.reason, $0.count) })
        #expect(counts[.scope] == 28 && counts[.host] == 1 && counts[.token] == 0)
    }
}
