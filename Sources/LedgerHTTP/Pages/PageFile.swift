/// A file that browsers get as it is. It stands in `Pages/Files` and is embedded when the program is built.
struct PageFile: Sendable {
    let name: String
    let text: String
    let mediaType: String
    /// Changes with every change of the file.
    let entityTag: String

    /// All of them, by name.
    static let all: [String: PageFile] = Dictionary(
        uniqueKeysWithValues: embedded.map { ($0.file, PageFile($0.file, $0.text)) })

    private init(_ name: String, _ text: String) {
        self.name = name
        self.text = text
        let types = ["css": "text/css", "js": "text/javascript", "html": "text/html"]
        mediaType = "\(types[name.split(separator: ".").last.map(String.init) ?? ""] ?? "text/plain"); charset=utf-8"
        // FNV-1a: it has to tell our own versions apart, and nothing else.
        let hash = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        entityTag = "\"\(String(hash, radix: 16))\""
    }
}
