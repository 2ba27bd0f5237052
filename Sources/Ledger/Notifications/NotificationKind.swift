/// A kind of notification about a job.
public enum NotificationKind: Hashable, Sendable {
    /// The first execution of the job began.
    case started
    /// The job ended, with any outcome.
    ///
    /// A subscription that also names ``failed`` or ``canceled`` gets those kinds instead.
    case finished
    /// The job ended as failed.
    case failed
    /// The job ended as canceled.
    case canceled
    /// A new execution reopened a job that had ended.
    case reopened
    /// The job has stopped advancing.
    case stalled
    /// The job advances again after it was stalled.
    case advancing
    /// An execution was superseded, and the `done` of an indicator decreased.
    case decreased
    /// The job will probably miss its deadline, or take much longer than usual.
    case late
    /// The percentage of the job has reached this threshold.
    case percent(Int)
    /// A test of the subscription.
    case test

    /// The kinds to which a caller may subscribe, except ``percent(_:)``.
    public static let plain: [NotificationKind] = [
        .started, .finished, .failed, .canceled, .reopened, .stalled, .advancing, .decreased, .late,
    ]

    /// The valid thresholds of ``percent(_:)``.
    public static let thresholds = 1...100

    /// The name, without the threshold.
    public var name: String {
        switch self {
        case .started: "started"
        case .finished: "finished"
        case .failed: "failed"
        case .canceled: "canceled"
        case .reopened: "reopened"
        case .stalled: "stalled"
        case .advancing: "advancing"
        case .decreased: "decreased"
        case .late: "late"
        case .percent: "percent"
        case .test: "test"
        }
    }

    /// The names of all kinds.
    public static var names: [String] { plain.map(\.name) + ["percent", "test"] }

    /// The text in subscriptions: the name, and a threshold as in `percent:50`.
    public var text: String {
        if case .percent(let threshold) = self { "\(name):\(threshold)" } else { name }
    }

    /// Parses a ``text``; nil if it is none.
    public init?(_ text: String) {
        if let kind = (Self.plain + [.test]).first(where: { $0.name.utf8.elementsEqual(text.utf8) }) {
            self = kind
        } else if text.hasPrefix("percent:"), let threshold = Int(text.dropFirst("percent:".count)),
            Self.thresholds.contains(threshold), Self.percent(threshold).text == text
        {
            self = .percent(threshold)
        } else {
            return nil
        }
    }
}

extension NotificationKind {
    /// The kind of notification of a job's end.
    public init?(ending state: JobState) {
        switch state {
        case .running: return nil
        case .completed: self = .finished
        case .failed: self = .failed
        case .canceled: self = .canceled
        }
    }
}
