/// The address of a page of this server, with its parameters.
struct PageLink: Sendable {
    let path: String
    private(set) var parameters: [(name: String, value: String)] = []

    init(_ path: String, _ parameters: [(name: String, value: String)] = []) {
        self.path = path
        self.parameters = parameters
    }

    /// A copy with this parameter, or without it if the value is nil.
    func with(_ name: String, _ value: String?) -> PageLink {
        var link = self
        link.parameters.removeAll { $0.name == name }
        if let value { link.parameters.append((name, value)) }
        return link
    }

    /// A copy with a further parameter, which may have the name of another one.
    func adding(_ name: String, _ value: String) -> PageLink { PageLink(path, parameters + [(name, value)]) }

    func without(_ names: String...) -> PageLink {
        var link = self
        link.parameters.removeAll { names.contains($0.name) }
        return link
    }

    var text: String {
        guard !parameters.isEmpty else { return path }
        return path + "?"
            + parameters.map { "\(Self.encode($0.name))=\(Self.encode($0.value))" }.joined(separator: "&")
    }

    /// Hidden form fields with the parameters.
    var hiddenFields: HTML {
        HTML(parameters.map { "<input type=\"hidden\" name=\"\($0.name)\" value=\"\($0.value)\">" })
    }

    /// Percent-encodes all but the unreserved characters of RFC 3986.
    static func encode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.append(byte)
            default: encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
