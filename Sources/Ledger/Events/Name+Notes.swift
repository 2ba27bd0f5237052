extension Name {
    /// Whether it contains a control character (Unicode category Cc).
    ///
    /// - Parameter permitsLineFeed: Whether line feeds are permitted.
    public func containsControl(permitsLineFeed: Bool = false) -> Bool {
        var previous: UInt8 = 0
        for byte in text.utf8 {
            // In UTF-8, U+0080 to U+009F begin with the byte C2.
            let isControl =
                byte < 0x20 ? !(permitsLineFeed && byte == 0x0A) : byte == 0x7F || (previous == 0xC2 && byte < 0xA0)
            if isControl { return true }
            previous = byte
        }
        return false
    }

    /// Returns the error of a text with control characters.
    func controlErrors(pointer: String, permitsLineFeed: Bool = false) -> [FieldError] {
        // U+0000 is reported already.
        guard !containsNUL, containsControl(permitsLineFeed: permitsLineFeed) else { return [] }
        let exception = permitsLineFeed ? " other than line feeds" : ""
        return [FieldError(pointer: pointer, detail: "must not contain control characters\(exception)")]
    }

    /// The reason why the text is not a link; nil if it is one.
    ///
    /// A link is a URL with the scheme `http` or `https`, a host and no user information. Its characters are those of
    /// RFC 3986, so that no parser can find another host in it; other characters must be percent-encoded. Costs two
    /// passes over the text. The clients apply the same rule.
    public var linkFault: String? {
        let scheme = ["https://", "http://"].first { scheme in
            // Schemes are case-insensitive. The bit of lower case is set in all of their characters.
            text.utf8.count > scheme.utf8.count && zip(text.utf8, scheme.utf8).allSatisfy { $0 | 0x20 == $1 }
        }
        guard let scheme else { return "must be a URL that begins with https:// or http://" }
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !#"\"<>^`{|}"#.utf8.contains($0) }) else {
            return "must be a URL, with other characters than those of RFC 3986 percent-encoded"
        }
        let authority = text.utf8.dropFirst(scheme.utf8.count).prefix { !"/?#".utf8.contains($0) }
        if authority.contains(UInt8(ascii: "@")) { return "must not contain a user or a password" }
        if authority.isEmpty || authority.first == UInt8(ascii: ":") { return "must be a URL with a host" }
        if !Self.isAuthority(authority) { return "must be a URL with a valid host and a port up to 65535" }
        if !hasWholeEscapes { return "must be a URL in which two hexadecimal digits follow each %" }
        return nil
    }

    /// Whether the text is a host, or an IPv6 address in brackets, perhaps with a port.
    private static func isAuthority(_ text: Substring.UTF8View) -> Bool {
        let isAddress = text.first == UInt8(ascii: "[")
        let end = text.firstIndex(of: UInt8(ascii: isAddress ? "]" : ":")) ?? text.endIndex
        if isAddress {
            guard end != text.endIndex, text[..<end].count > 1 else { return false }
            guard text[..<end].dropFirst().allSatisfy({ $0.isHexadecimalDigit || ":.".utf8.contains($0) }) else {
                return false
            }
        } else if text[..<end].contains(where: { "[]".utf8.contains($0) }) {
            return false
        }
        let rest = isAddress ? text[end...].dropFirst() : text[end...]
        guard let separator = rest.first else { return true }
        let port = rest.dropFirst()
        guard separator == UInt8(ascii: ":"), port.count <= 5, port.allSatisfy(\.isDecimalDigit) else { return false }
        return port.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) } <= Int(UInt16.max)
    }

    /// Whether two hexadecimal digits follow each `%`.
    private var hasWholeEscapes: Bool {
        var missing = 0
        for byte in text.utf8 {
            if missing > 0 {
                guard byte.isHexadecimalDigit else { return false }
                missing -= 1
            } else if byte == UInt8(ascii: "%") {
                missing = 2
            }
        }
        return missing == 0
    }

    /// Returns the errors of this text as a link.
    func linkErrors(pointer: String) -> [FieldError] {
        let errors = fieldErrors(pointer: pointer, lengths: Limits.linkLengths)
        guard errors.isEmpty, let fault = linkFault else { return errors }
        return [FieldError(pointer: pointer, detail: fault)]
    }
}

extension UInt8 {
    fileprivate var isDecimalDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

    fileprivate var isHexadecimalDigit: Bool {
        // The bit of lower case is set in all letters.
        isDecimalDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20)
    }
}
