import Ledger
import Testing

@Suite("Months and the steps of their retirement")
struct MonthTests {
    @Test("a month is parsed and printed as a year and a month, and advances over years")
    func months() throws {
        let december = try #require(Month("2025-12"))
        #expect(december.description == "2025-12" && december.advanced(by: 1).description == "2026-01")
        #expect(december.advanced(by: -12) < december && december.advanced(by: -12).description == "2024-12")
        for text in ["2025-13", "2025-00", "25-01", "2025-1", "2025-01-01", "1999-12", "2200-01", "+025-01", ""] {
            #expect(Month(text) == nil, "\(text)")
        }
    }

    @Test("from every state the steps lead to a retired month without dropping events of other jobs")
    func steps() {
        for table in [MonthRetirement.Table.attached, .detaching, .detached, .absent] {
            for hasSetAside in [false, true] {
                for hasOpenJobs in [false, true] where !(table == .absent && hasOpenJobs) {
                    var state = MonthRetirement(table: table, hasSetAside: hasSetAside, hasOpenJobs: hasOpenJobs)
                    var steps = 0
                    while let step = state.nextStep(drops: true), steps < 20 {
                        steps += 1
                        switch step {
                        case .export, .record: state.hasOpenJobs = false
                        case .detach:
                            #expect(state.table == .attached && !state.hasOpenJobs)
                            state.table = .detaching
                        case .finishDetaching: state.table = .detached
                        case .attach: state.table = .attached
                        case .setAside:
                            #expect(!state.hasOpenJobs && !state.hasSetAside)
                            (state.table, state.hasSetAside) = (.absent, true)
                        case .drop: state.hasSetAside = false
                        }
                    }
                    #expect(state == MonthRetirement(table: .absent, hasSetAside: false, hasOpenJobs: false))
                }
            }
        }
    }
}
