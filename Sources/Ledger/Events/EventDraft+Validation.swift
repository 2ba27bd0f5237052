extension EventDraft {
    /// Returns every reason why this draft cannot be appended.
    ///
    /// Empty if the draft is valid. Costs a pass over its texts.
    public func problems() -> [FieldError] {
        var problems: [FieldError] = []
        if let at, at < .earliest || at > .latest {
            problems.append(FieldError(field: "at", detail: "must be in the years 1 to 9999"))
        }
        switch body {
        case .jobCreated(let description):
            problems += description.problems()
        case .executionStarted(let reference):
            problems += reference.problems()
            if reference.execution == nil, reference.attempt == nil {
                problems.append(
                    FieldError(
                        field: "execution", detail: "is missing; a start needs an execution or an attempt, or both"))
            }
        case .progress(let progress):
            problems += progress.problems()
        case .executionFinished(let reference, _):
            problems += reference.problems()
        case .jobFinished:
            break
        }
        return problems
    }
}

extension JobDescription {
    /// Returns every reason why this description is invalid; empty if it is valid.
    public func problems() -> [FieldError] {
        var problems = name.problems(field: "name", lengths: Limits.jobNameLengths)
        problems += key?.problems(field: "key", lengths: Limits.jobKeyLengths) ?? []
        if tags.count > Limits.tagsMax {
            problems.append(
                FieldError(field: "tags", detail: "has \(tags.count) tags; the maximum is \(Limits.tagsMax)"))
        }
        for (name, value) in sortedTags {
            problems += name.problems(
                field: "tags/\(name.jsonPointerToken)", lengths: Limits.tagNameLengths, of: "the name")
            problems += value.problems(field: "tags/\(name.jsonPointerToken)", lengths: Limits.tagValueLengths)
        }
        return problems
    }
}

extension ExecutionReference {
    fileprivate func problems() -> [FieldError] {
        var problems = task.problems(field: "task", lengths: Limits.taskLengths)
        problems += execution?.problems(field: "execution", lengths: Limits.executionLengths) ?? []
        if let attempt, !Limits.attempts.contains(Int64(attempt)) {
            problems.append(.outside(Limits.attempts, field: "attempt"))
        }
        return problems
    }
}

extension ProgressReport {
    fileprivate func problems() -> [FieldError] {
        var problems = reference.problems()
        if let report, !Limits.reports.contains(report) {
            problems.append(.outside(Limits.reports, field: "report"))
        }
        problems += label?.problems(field: "label", lengths: Limits.labelLengths) ?? []
        if let total, !Limits.increments.contains(total) {
            problems.append(.outside(Limits.increments, field: "total"))
        }
        if let done, !Limits.increments.contains(done) {
            problems.append(.outside(Limits.increments, field: "done"))
        }
        return problems
    }
}

extension Name {
    /// Returns the errors of this text as the value of a field.
    ///
    /// - Parameter part: The part of the field that this text is, such as the name of a tag; nil for the whole field.
    func problems(field: String, lengths: ClosedRange<Int>, of part: String? = nil) -> [FieldError] {
        let subject = part.map { "\($0) " } ?? ""
        if containsNUL {
            return [FieldError(field: field, detail: "\(subject)must not contain U+0000")]
        }
        // A scalar has one to four bytes, so most texts need no counting.
        let bytes = text.utf8.count
        if bytes >= lengths.lowerBound * 4, bytes <= lengths.upperBound { return [] }
        let count = scalarCount
        if count < lengths.lowerBound {
            return [FieldError(field: field, detail: "\(subject)must not be empty")]
        }
        if count > lengths.upperBound {
            return [
                FieldError(
                    field: field,
                    detail: "\(subject)has \(count) characters (Unicode scalars); the maximum is \(lengths.upperBound)")
            ]
        }
        return []
    }

    /// The text as one token of a JSON pointer (RFC 6901, section 3).
    public var jsonPointerToken: String {
        var token = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "~": token += "~0"
            case "/": token += "~1"
            default: token.unicodeScalars.append(scalar)
            }
        }
        return token
    }
}
