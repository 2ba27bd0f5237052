/// The exit codes of the process. Scripts depend on the numbers.
enum ExitStatus: Int32, CaseIterable, Sendable {
    /// The command succeeded.
    case done = 0
    /// The command failed for a reason without a specific code.
    case failed = 1
    /// The server refused the request: it is invalid, or it contradicts the ledger.
    case refused = 2
    /// The job does not exist.
    case notFound = 3
    /// A newer execution superseded this one; its worker should stop.
    case superseded = 4
    /// The server or the database is unavailable.
    ///
    /// Nothing was recorded, so the command can be repeated.
    case unavailable = 5
    /// The response was lost; the request may or may not have been recorded.
    case outcomeUnknown = 6
    /// The schema, a pooler or the login does not permit the work.
    case schema = 7
    /// A ledger, an export or an anchor is not as it was recorded.
    case verificationFailed = 8
    /// The projections differ from the events.
    case differs = 9
    /// The watched job failed.
    case jobFailed = 10
    /// The job was canceled: watching ended, or an execution was not started.
    case jobCanceled = 11
    /// The watched job did not advance for the allowed time.
    case jobStalled = 12
    /// The watched job ended before it reached the goal.
    case goalMissed = 13
    /// The command line or the configuration is invalid.
    case usage = 64

    /// The meaning of the code, for `--help` and the README.
    var meaning: String {
        switch self {
        case .done: "success"
        case .failed: "failed"
        case .refused: "refused by the server: the request is invalid or contradicts the ledger"
        case .notFound: "no such job"
        case .superseded: "the execution was superseded by a newer one: stop it"
        case .unavailable: "the server or the database is unavailable: nothing was recorded, try again"
        case .outcomeUnknown: "the response was lost: the request may or may not have been recorded"
        case .schema:
            "the database was refused: its schema does not match this version, a pooler changes sessions, or the login "
                + "is not the owner of the ledger"
        case .verificationFailed: "a ledger, an export or an anchor is not as it was recorded"
        case .differs: "the projections differ from the events"
        case .jobFailed: "the watched job failed"
        case .jobCanceled: "the watched job was canceled, or an execution was not started because its job is"
        case .jobStalled: "the watched job did not advance within --stalled-timeout"
        case .goalMissed: "the watched job ended before it reached the goal of --until"
        case .usage: "the command line or the configuration is invalid"
        }
    }

    /// All codes with their meanings, as a paragraph of `--help`.
    static var help: String {
        "EXIT CODES:\n"
            + allCases.map { "  \($0.rawValue)\($0.rawValue < 10 ? " " : "")  \($0.meaning)" }
            .joined(separator: "\n")
    }
}
