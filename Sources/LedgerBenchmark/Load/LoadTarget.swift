/// A server as a load reaches it.
struct LoadTarget: Sendable {
    let port: UInt16
    /// The certificate that the server uses; nil for plain HTTP.
    let tls: LoadTLS?
    /// The header fields of each request besides those of the script.
    private let fields: [UInt8]

    init(port: UInt16, token: String? = nil, tls: LoadTLS? = nil) {
        self.port = port
        self.tls = tls
        fields = token.map { Array("Authorization: Bearer \($0)\r\n".utf8) } ?? []
    }

    /// Adds the header fields to a request of a script.
    func addFields(to request: inout [UInt8]) {
        guard !fields.isEmpty, let end = request.firstIndex(of: UInt8(ascii: "\n")) else { return }
        request.insert(contentsOf: fields, at: end + 1)
    }
}
