internal import Crypto
internal import Ledger

/// The headers that identify and sign a message (Standard Webhooks 1.0).
enum WebhookSignature {
    /// Returns the headers of an attempt to deliver a message.
    ///
    /// - Parameters:
    ///   - id: The id of the message, the same in every attempt.
    ///   - moment: The time of the attempt. A receiver refuses old ones, so that they cannot be replayed.
    static func headers(
        id: String, at moment: Timestamp, body: [UInt8], _ secret: WebhookSecret
    ) -> [(name: String, value: String)] {
        let seconds = moment.microseconds / 1_000_000
        let code = HMAC<SHA256>.authenticationCode(
            for: Array("\(id).\(seconds).".utf8) + body, using: SymmetricKey(data: secret.key))
        return [
            ("webhook-id", id), ("webhook-timestamp", "\(seconds)"),
            ("webhook-signature", "v1,\(WebhookSecret.encode(Array(code)))"),
        ]
    }
}
