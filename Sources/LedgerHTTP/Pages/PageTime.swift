internal import Ledger
internal import LedgerWire

/// Times on the pages, as elements.
///
/// The server writes all of them in UTC, and the foot of the page says so. `Files/times.js` shows them in the viewer's
/// time zone, in the same form, with the exact time in UTC as their title.
enum PageTime {
    /// A time to the second: `03:14:05`, or `29 Nov 2026 03:14:05` on another day.
    ///
    /// - Parameter now: The time whose day is omitted; nil to show each day.
    static func second(_ moment: Timestamp?, near now: Timestamp? = nil) -> HTML {
        guard let moment else { return "–" }
        return element("second", moment, text(moment, near: now))
    }

    /// A time to the second with its time zone, for sentences.
    ///
    /// For example `29 Nov 2026 03:14:05 UTC`.
    static func stated(_ moment: Timestamp?, near now: Timestamp? = nil) -> HTML {
        guard let moment else { return "–" }
        return element("second", moment, "\(text(moment, near: now)) UTC")
    }

    /// A time to the minute: `29 Nov 03:14`.
    static func minute(_ moment: Timestamp) -> HTML {
        element("minute", moment, "\(dayAndMonth(moment)) \(PageText.clock(moment).prefix(5))")
    }

    /// A time before the present: `12 min ago`.
    ///
    /// The scripts keep it up to date.
    static func ago(_ moment: Timestamp, now: Timestamp) -> HTML {
        element("ago", moment, "\(PageText.age(microseconds: max(0, now.microseconds - moment.microseconds))) ago")
    }

    /// The title of a mark in a figure, which ends with the time of the mark.
    static func title(_ words: String, _ moment: Timestamp) -> HTML {
        "<title data-at=\"\(RFC3339.text(moment))\">\(words)\(PageText.dayAndClock(moment)) UTC</title>"
    }

    /// A day without its year: `29 Nov`.
    static func dayAndMonth(_ moment: Timestamp) -> String {
        let date = RFC3339.text(moment)
        let month = Int(date.dropFirst(5).prefix(2)) ?? 1
        let day = Int(date.dropFirst(8).prefix(2)) ?? 1
        return "\(day) \(months[month - 1])"
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private static func text(_ moment: Timestamp, near now: Timestamp?) -> String {
        let date = RFC3339.text(moment)
        if let now, RFC3339.text(now).prefix(10) == date.prefix(10) { return PageText.clock(moment) }
        return "\(dayAndMonth(moment)) \(date.prefix(4)) \(PageText.clock(moment))"
    }

    private static func element(_ kind: String, _ moment: Timestamp, _ text: String) -> HTML {
        let exact = RFC3339.text(moment)
        return "<time class=\"\(kind)\" datetime=\"\(exact)\" title=\"\(exact)\">\(text)</time>"
    }
}
