extension EventDraft {
    /// Returns every error that prevents an append of this draft.
    ///
    /// Empty if the draft is valid. Costs a pass over its texts.
    public func fieldErrors() -> [FieldError] {
        var errors: [FieldError] = []
        if let at, at < .earliest || at > .latest {
            errors.append(FieldError(pointer: "/at", detail: "must be in the years 1 to 9999"))
        }
        errors += reporter?.fieldErrors(pointer: "/reporter", lengths: Limits.reporterLengths) ?? []
        errors += noteErrors()
        switch body {
        case .jobCreated(let description):
            errors += description.fieldErrors()
        case .executionStarted(let reference):
            errors += reference.fieldErrors()
            if reference.execution == nil, reference.attempt == nil {
                errors.append(
                    FieldError(
                        pointer: "/execution", detail: "is missing; a start needs an execution or an attempt, or both"))
            }
        case .progress(let progress):
            errors += progress.fieldErrors()
        case .executionFinished(let reference, _):
            errors += reference.fieldErrors()
        case .jobFinished:
            break
        }
        return errors
    }

    /// Returns the errors of the message and the link.
    private func noteErrors() -> [FieldError] {
        var errors: [FieldError] = []
        if let message {
            switch body {
            case .progress, .executionFinished, .jobFinished:
                errors += message.fieldErrors(pointer: "/message", lengths: Limits.messageLengths)
                errors += message.controlErrors(pointer: "/message", permitsLineFeed: true)
            case .jobCreated, .executionStarted:
                errors.append(
                    FieldError(pointer: "/message", detail: "an event of type \(body.type.name) has no such field"))
            }
        }
        if let link {
            switch body {
            case .progress, .executionStarted, .executionFinished: errors += link.linkErrors(pointer: "/link")
            case .jobCreated, .jobFinished:
                errors.append(
                    FieldError(pointer: "/link", detail: "an event of type \(body.type.name) has no such field"))
            }
        }
        return errors
    }
}

extension JobDescription {
    /// Returns every error of this description; empty if it is valid.
    public func fieldErrors() -> [FieldError] {
        var errors = name.fieldErrors(pointer: "/name", lengths: Limits.jobNameLengths)
        errors += key?.fieldErrors(pointer: "/key", lengths: Limits.jobKeyLengths) ?? []
        if tags.count > Limits.tagsMax {
            errors.append(
                FieldError(pointer: "/tags", detail: "has \(tags.count) tags; the maximum is \(Limits.tagsMax)"))
        }
        for (name, value) in sortedTags {
            errors += name.fieldErrors(
                pointer: "/tags/\(name.jsonPointerToken)", lengths: Limits.tagNameLengths, of: "the name")
            errors += value.fieldErrors(pointer: "/tags/\(name.jsonPointerToken)", lengths: Limits.tagValueLengths)
        }
        return errors
    }
}

extension ExecutionReference {
    fileprivate func fieldErrors() -> [FieldError] {
        var errors = task.fieldErrors(pointer: "/task", lengths: Limits.taskLengths)
        errors += execution?.fieldErrors(pointer: "/execution", lengths: Limits.executionLengths) ?? []
        if let attempt, !Limits.attempts.contains(Int64(attempt)) {
            errors.append(.outside(Limits.attempts, pointer: "/attempt"))
        }
        return errors
    }
}

extension ProgressReport {
    fileprivate func fieldErrors() -> [FieldError] {
        var errors = reference.fieldErrors()
        if let report, !Limits.reports.contains(report) {
            errors.append(.outside(Limits.reports, pointer: "/report"))
        }
        errors += label?.fieldErrors(pointer: "/label", lengths: Limits.labelLengths) ?? []
        if let total, !Limits.increments.contains(total) {
            errors.append(.outside(Limits.increments, pointer: "/total"))
        }
        if let done, !Limits.increments.contains(done) {
            errors.append(.outside(Limits.increments, pointer: "/done"))
        }
        if let carried {
            if !Limits.increments.contains(carried) {
                errors.append(.outside(Limits.increments, pointer: "/carried"))
            } else if carried > done ?? 0 {
                errors.append(FieldError(pointer: "/carried", detail: "must not exceed done, of which it is a part"))
            }
        }
        errors += unit?.fieldErrors(pointer: "/unit", lengths: Limits.unitLengths) ?? []
        errors += unit?.controlErrors(pointer: "/unit") ?? []
        errors += part?.fieldErrors(pointer: "/part", lengths: Limits.partLengths) ?? []
        return errors
    }
}

extension Name {
    /// Returns the errors of this text as the value at this pointer.
    ///
    /// - Parameter part: The part of the value that this text is, such as the name of a tag; nil for the whole.
    func fieldErrors(pointer: String, lengths: ClosedRange<Int>, of part: String? = nil) -> [FieldError] {
        let subject = part.map { "\($0) " } ?? ""
        if containsNUL {
            return [FieldError(pointer: pointer, detail: "\(subject)must not contain U+0000")]
        }
        // A scalar has one to four bytes, so most texts need no counting.
        let bytes = text.utf8.count
        if bytes >= lengths.lowerBound * 4, bytes <= lengths.upperBound { return [] }
        let count = scalarCount
        if count < lengths.lowerBound {
            return [FieldError(pointer: pointer, detail: "\(subject)must not be empty")]
        }
        if count > lengths.upperBound {
            return [
                FieldError(
                    pointer: pointer,
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
