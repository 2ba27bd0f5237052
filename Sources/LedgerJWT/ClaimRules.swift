internal import Ledger
internal import LedgerWire

/// The rules that give a JSON Web Token its scopes and its confinement.
///
/// The first rule that matches the token's claims applies. Without one, the token permits nothing.
struct ClaimRules: Hashable, Sendable {
    /// A rule of the file.
    struct Rule: Hashable, Sendable {
        /// The claims that a token must have.
        var conditions: [Condition]
        var scopes: Set<Scope>
        /// The tags of the confinement.
        var tags: [Name: Name]
        /// The claims with the values of further tags of the confinement.
        var tagClaims: [Name: JSONPointer]
    }

    /// A claim and the pattern that it must match.
    ///
    /// In the pattern, `*` matches any text. A claim with several values matches if one of them does.
    struct Condition: Hashable, Sendable {
        let claim: JSONPointer
        let pattern: String
    }

    /// The maximum number of rules.
    static let rulesMax = 1_000

    /// The short name of the issuer, which is part of the reporter of events.
    let issuerName: Name
    let rules: [Rule]

    /// Returns the first matching rule's scopes and confinement.
    ///
    /// Nil if no rule matches, or if a tag of the first one cannot be made.
    func permissions(of claims: JSONValue) -> (scopes: Set<Scope>, confinement: Confinement)? {
        for rule in rules where rule.conditions.allSatisfy({ $0.matches(claims) }) {
            // No later rule applies instead, because it may confine less.
            return rule.confinementTags(claims).map { (rule.scopes, Confinement(tags: $0)) }
        }
        return nil
    }
}

extension ClaimRules.Rule {
    /// Returns the tags of the confinement.
    ///
    /// Nil if a claim is missing or cannot be a tag.
    fileprivate func confinementTags(_ claims: JSONValue) -> [Name: Name]? {
        var tags = tags
        for (tag, claim) in tagClaims {
            guard let text = claim.value(in: claims)?.text else { return nil }
            tags[tag] = Name(text)
        }
        return JobDescription(name: "a job", tags: tags).fieldErrors().isEmpty ? tags : nil
    }
}

extension ClaimRules.Condition {
    func matches(_ claims: JSONValue) -> Bool {
        switch claim.value(in: claims) {
        case .string(let text): matches(text)
        case .bool(let value): matches(value ? "true" : "false")
        case .integer(let value): matches("\(value)")
        case .array(let values): values.contains { $0.text.map(matches) ?? false }
        default: false
        }
    }

    /// Whether the pattern matches the whole text.
    ///
    /// Costs the product of their lengths at most.
    private func matches(_ text: String) -> Bool {
        let (pattern, text) = (Array(pattern.utf8), Array(text.utf8))
        var (p, t) = (0, 0)
        // The last star, and the position in the text to which it extends.
        var star: (pattern: Int, text: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                star = (p, t)
                p += 1
            } else if p < pattern.count, pattern[p] == text[t] {
                p += 1
                t += 1
            } else if let (starPattern, starText) = star {
                star = (starPattern, starText + 1)
                (p, t) = (starPattern + 1, starText + 1)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}

// MARK: The file

extension ClaimRules {
    /// Parses the content of the file.
    init(_ bytes: [UInt8]) throws(RequestError) {
        var errors = FieldErrorList()
        let content: JSONValue
        do { content = try JSONReader.read(bytes) } catch { throw .unreadable("\(error)") }
        guard var fields = FieldReader(content, prefix: "", &errors) else { throw .invalid(errors.list) }
        let name = fields.requiredName("issuer_name", &errors)
        // The reporter of an event is jwt:NAME:SUBJECT, in which the name ends at the first colon.
        if let name, !(1...100).contains(name.scalarCount) || name.text.contains(":") || !name.isPlain {
            errors.add("/issuer_name", "must have 1 to 100 characters, without colons and control characters")
        }
        var rules: [Rule] = []
        let elements = fields.array("rules", &errors)
        if elements.isEmpty, errors.isEmpty { errors.add("/rules", "must not be empty") }
        if elements.count > Self.rulesMax { errors.add("/rules", "has more than \(Self.rulesMax) rules") }
        for (index, element) in elements.enumerated() where !errors.isFull {
            if let rule = Self.rule(element, prefix: "/rules/\(index)", &errors) { rules.append(rule) }
        }
        fields.finish("the file", &errors)
        guard errors.isEmpty, let name else { throw .invalid(errors.list) }
        issuerName = name
        self.rules = rules
    }

    private static func rule(_ value: JSONValue, prefix: String, _ errors: inout FieldErrorList) -> Rule? {
        let before = errors.count
        guard var fields = FieldReader(value, prefix: prefix, &errors) else { return nil }
        let conditions = pointers(fields.tags("claims", &errors), prefix: "\(prefix)/claims", &errors)
        // Some issuers give everybody a token for any audience.
        if conditions.isEmpty, errors.count == before {
            errors.add("\(prefix)/claims", "must contain a claim; a rule without one would match every token")
        }
        let scopes = fields.choices("scopes", Scope.allCases.map { (name: $0.rawValue, value: $0) }, &errors)
        if scopes.isEmpty, errors.count == before { errors.add("\(prefix)/scopes", "must not be empty") }
        let tags = fields.tags("tags", &errors)
        errors.add(JobDescription(name: "a job", tags: tags).fieldErrors(), in: prefix, since: before)
        var tagClaims: [Name: JSONPointer] = [:]
        for (tag, pointer) in fields.tags("tag_claims", &errors) {
            let location = "\(prefix)/tag_claims/\(tag.jsonPointerToken)"
            guard let claim = JSONPointer(pointer.text) else {
                errors.add(location, Self.pointerRule)
                continue
            }
            if tags[tag] != nil { errors.add(location, "is also in tags") }
            tagClaims[tag] = claim
        }
        fields.finish("a rule", &errors)
        guard errors.count == before else { return nil }
        return Rule(conditions: conditions, scopes: Set(scopes), tags: tags, tagClaims: tagClaims)
    }

    private static let pointerRule = "must be a JSON pointer, such as /sub or /kubernetes.io/namespace"

    private static func pointers(
        _ patterns: [Name: Name], prefix: String, _ errors: inout FieldErrorList
    ) -> [Condition] {
        var conditions: [Condition] = []
        for (text, pattern) in patterns.sorted(by: { $0.key < $1.key }) {
            guard let claim = JSONPointer(text.text) else {
                errors.add("\(prefix)/\(text.jsonPointerToken)", pointerRule)
                continue
            }
            conditions.append(Condition(claim: claim, pattern: pattern.text))
        }
        return conditions
    }
}

extension Name {
    /// Whether it contains no control or format characters.
    ///
    /// A name with them could look like another one.
    var isPlain: Bool {
        !text.unicodeScalars.contains { [.control, .format].contains($0.properties.generalCategory) }
    }
}

extension RequestError {
    /// The first faults in words.
    var summary: String {
        switch self {
        case .unreadable(let reason): "it is not JSON: \(reason)"
        case .invalid(let errors): errors.prefix(3).map { "\($0.location) \($0.detail)" }.joined(separator: "; ")
        case .tooManyEvents: "it is too long"
        }
    }
}
