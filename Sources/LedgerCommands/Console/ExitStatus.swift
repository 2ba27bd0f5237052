/// How the process ends. Scripts depend on the numbers: they are interface.
enum ExitStatus: Int32, CaseIterable, Sendable {
    /// It did what was asked.
    case done = 0
    /// It failed, for a reason that none of the others names.
    case failed = 1
    /// The server refused the request as invalid, or as contradicting what the ledger holds.
    case refused = 2
    /// There is no such job.
    case notFound = 3
    /// The execution has been superseded: whoever reports for it should stop.
    case superseded = 4
    /// The server, or the database, cannot be reached or cannot work for now. Nothing was taken: try again.
    case unavailable = 5
    /// The answer was lost: it may or may not have been recorded.
    case outcomeUnknown = 6
    /// The database's schema is not the one of this version.
    case schema = 7
    /// A ledger is not as it was recorded.
    case notWhole = 8
    /// What is shown is not what the events amount to.
    case differs = 9
    /// The job that was watched has failed.
    case jobFailed = 10
    /// The job that was watched was canceled.
    case jobCanceled = 11
    /// Nothing has advanced in the job that was watched for as long as it may.
    case jobStalled = 12
    /// The job that was watched has ended before it was as far as it was waited for.
    case goalMissed = 13
    /// The command line, or the configuration, cannot be understood.
    case usage = 64

    /// What it means, for `--help`.
    var meaning: String {
        switch self {
        case .done: "done"
        case .failed: "failed"
        case .refused: "refused by the server: invalid, or contradicts what the ledger holds"
        case .notFound: "no such job"
        case .superseded: "the execution has been superseded by a newer one: stop"
        case .unavailable:
            "the server, or the database, cannot be reached or cannot work for now: nothing was taken, try again"
        case .outcomeUnknown: "the answer was lost: it may or may not have been recorded"
        case .schema: "the database's schema is not the one of this version"
        case .notWhole: "a ledger is not as it was recorded"
        case .differs: "what is shown is not what the events amount to"
        case .jobFailed: "watched to its end: the job has failed"
        case .jobCanceled: "watched to its end: the job was canceled"
        case .jobStalled: "the job has not advanced for as long as --stalled-timeout allows"
        case .goalMissed: "the job has ended before it was as far as --until waits for"
        case .usage: "the command line or the configuration cannot be understood"
        }
    }

    /// All of them, as a paragraph of `--help`.
    static var help: String {
        "EXIT CODES:\n"
            + allCases.map { "  \($0.rawValue)\($0.rawValue < 10 ? " " : "")  \($0.meaning)" }
            .joined(separator: "\n")
    }
}
