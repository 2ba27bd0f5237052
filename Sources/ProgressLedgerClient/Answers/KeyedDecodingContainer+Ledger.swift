import Ledger

// The ledger's values in answers. Members that this version does not know are ignored: a server may add some.

extension KeyedDecodingContainer {
    func name(_ key: Key) throws -> Name {
        Name(try decode(String.self, forKey: key))
    }

    func nameIfPresent(_ key: Key) throws -> Name? {
        try decodeIfPresent(String.self, forKey: key).map { Name($0) }
    }

    func jobID(_ key: Key) throws -> JobID {
        let text = try decode(String.self, forKey: key)
        guard let job = JobID(text) else {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: self, debugDescription: "\(text) is no id of a job")
        }
        return job
    }

    /// One of a closed set of words.
    func word<Word: RawRepresentable<String>>(_ key: Key) throws -> Word {
        let text = try decode(String.self, forKey: key)
        guard let word = Word(rawValue: text) else {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: self, debugDescription: "\(text) is no \(Word.self)")
        }
        return word
    }

    func wordIfPresent<Word: RawRepresentable<String>>(_ key: Key) throws -> Word? {
        guard try contains(key) && !decodeNil(forKey: key) else { return nil }
        return try word(key) as Word
    }

    func sequences(_ first: Key, _ last: Key) throws -> ClosedRange<Int64> {
        let (lower, upper) = (try decode(Int64.self, forKey: first), try decode(Int64.self, forKey: last))
        guard lower <= upper else {
            throw DecodingError.dataCorruptedError(forKey: last, in: self, debugDescription: "it precedes the first")
        }
        return lower...upper
    }
}
