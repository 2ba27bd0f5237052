import Crypto
import FoundationEssentials
import Ledger
import LedgerWire

/// A signed list of the heads of all jobs at one time.
///
/// If users who can change the database cannot change this file, it proves every event up to these heads.
///
/// The file is a text of lines that end with a line feed: `progress-ledger-anchor-1`; `created` and a time; `key` and
/// the public key in hexadecimal; a line `JOB SEQUENCE HASH` for each job in ascending order; `jobs` and their number;
/// `signature` and the Ed25519 signature, in hexadecimal, of the SHA-256 of everything before its line.
struct AnchorFile {
    let createdAt: Timestamp
    let publicKey: Curve25519.Signing.PublicKey
    let heads: [LedgerHead]

    static let format = "progress-ledger-anchor-1"

    /// The text of a signed anchor file.
    static func text(_ heads: [LedgerHead], at moment: Timestamp, signedBy key: SigningKey) throws -> String {
        var text = "\(format)\ncreated \(RFC3339.text(moment))\n"
        text += "key \(Hexadecimal.text(Array(key.key.publicKey.rawRepresentation)))\n"
        for head in heads {
            guard let position = head.position else { continue }
            text += "\(head.job) \(position.sequence) \(position.hash)\n"
        }
        text += "jobs \(heads.count { $0.position != nil })\n"
        return try sign(text, by: key)
    }

    /// The text with its signature as the last line.
    static func sign(_ text: String, by key: SigningKey) throws -> String {
        let signature = try key.key.signature(for: Data(SHA256.hash(data: Data(text.utf8))))
        return text + "signature \(Hexadecimal.text(Array(signature)))\n"
    }

    /// Reads an anchor and checks its signature.
    ///
    /// - Parameter key: The key that must have signed it; nil accepts the key that the file itself contains.
    /// - Throws: ``CommandFailure`` if the file is not an anchor, or if it was changed after it was signed.
    static func read(_ path: String, signedBy key: Curve25519.Signing.PublicKey?) throws(CommandFailure) -> AnchorFile {
        let text: String
        do { text = try String(contentsOfFile: path, encoding: .utf8) } catch {
            throw CommandFailure(.usage, "Cannot read \(path): check that the file exists and is readable.")
        }
        let anchor = try parse(text, path)
        if let key, key.rawRepresentation != anchor.publicKey.rawRepresentation {
            throw CommandFailure(
                .verificationFailed,
                "\(path) was signed by the key \(anchor.publicKey.fingerprint), not by \(key.fingerprint).")
        }
        return anchor
    }

    static func parse(_ text: String, _ path: String) throws(CommandFailure) -> AnchorFile {
        func refuse(_ reason: String) -> CommandFailure {
            CommandFailure(.verificationFailed, "\(path) is not a valid anchor: \(reason).")
        }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
        guard lines.popLast() == "", lines.count >= 5 else { throw refuse("its end is missing") }
        guard lines.removeFirst() == format else { throw refuse("it does not begin with \(format)") }
        func value(_ name: String, _ line: Substring?) throws(CommandFailure) -> String {
            guard let line, line.hasPrefix("\(name) ") else { throw refuse("it lacks its line '\(name)'") }
            return String(line.dropFirst(name.count + 1))
        }
        guard let createdAt = RFC3339.timestamp(try value("created", lines.popFirst())) else {
            throw refuse("its time cannot be read")
        }
        guard let keyBytes = Hexadecimal.bytes(try value("key", lines.popFirst())) else {
            throw refuse("its key is not hexadecimal")
        }
        let key: Curve25519.Signing.PublicKey
        do { key = try Curve25519.Signing.PublicKey(rawRepresentation: keyBytes) } catch {
            throw refuse("its key is not one of Ed25519: \(error)")
        }
        guard let signature = Hexadecimal.bytes(try value("signature", lines.popLast())) else {
            throw refuse("its signature cannot be read")
        }
        let signed = text.utf8.dropLast("signature ".utf8.count + signature.count * 2 + 1)
        guard key.isValidSignature(Data(signature), for: Data(SHA256.hash(data: Data(signed)))) else {
            throw refuse("its signature does not match, so it was changed after it was signed")
        }
        guard let count = Int(try value("jobs", lines.popLast())) else {
            throw refuse("its number of jobs cannot be read")
        }
        var heads: [LedgerHead] = []
        for line in lines {
            let parts = line.split(separator: " ", omittingEmptySubsequences: false)
            guard parts.count == 3, let job = JobID(String(parts[0])), let sequence = EventSequence(parts[1]),
                sequence > 0,
                let hash = EventHash(String(parts[2])),
                heads.last.map({ $0.job < job }) ?? true
            else { throw refuse("the line '\(VisibleText.escape(String(line)))' cannot be read") }
            heads.append(LedgerHead(job: job, position: ChainPosition(sequence: sequence, hash: hash)))
        }
        guard heads.count == count else {
            throw refuse("it lists \(Count(heads.count, "job")) but states a count of \(count)")
        }
        return AnchorFile(createdAt: createdAt, publicKey: key, heads: heads)
    }
}
