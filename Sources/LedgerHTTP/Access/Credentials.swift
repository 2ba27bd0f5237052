internal import HTTPTypes
internal import Ledger

/// The tokens that a request presents.
struct Credentials {
    /// The cookie of the pages' login.
    static let loginCookie = "progress_ledger_token"

    /// The cookie of a share link.
    ///
    /// Its name contains the job, so that several shared jobs can be open at the same time.
    static func shareCookie(_ job: JobID) -> String { "\(sharePrefix)\(job)" }

    private static let sharePrefix = "progress_ledger_share_"

    private let fields: HTTPFields

    init(_ fields: HTTPFields) {
        self.fields = fields
    }

    /// The token of the `Authorization` header; nil without that header.
    ///
    /// Empty if the header is given twice or has another scheme.
    var bearer: String? {
        let values = fields[values: .authorization]
        guard let value = values.first else { return nil }
        let parts = value.split(separator: " ", maxSplits: 1)
        guard values.count == 1, parts.count == 2, parts[0].lowercased() == "bearer" else { return "" }
        return String(parts[1].drop { $0 == " " })
    }

    /// The value of a cookie; nil if there is none.
    func cookie(_ name: String) -> String? { cookies.first { $0.name == name }.map { String($0.value) } }

    /// The names of the cookies of share links.
    var shareCookies: [String] {
        cookies.filter { pair in
            pair.name.hasPrefix(Self.sharePrefix) && JobID(String(pair.name.dropFirst(Self.sharePrefix.count))) != nil
        }.map { String($0.name) }
    }

    private var cookies: some Sequence<(name: Substring, value: Substring)> {
        fields[values: .cookie].lazy.flatMap { $0.split(separator: ";") }.compactMap { pair in
            let parts = pair.split(separator: "=", maxSplits: 1)
            return parts.count == 2 ? (parts[0].drop { $0 == " " }, parts[1]) : nil
        }
    }
}
