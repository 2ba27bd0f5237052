/// A static file of the pages.
///
/// Files are embedded from `Pages/Files` when the program is built, except those made from a table in Swift.
struct PageFile: Sendable {
    let name: String
    let text: String
    let mediaType: String
    /// A hash of the content.
    let entityTag: String

    /// All files by name.
    static let all: [String: PageFile] = Dictionary(
        uniqueKeysWithValues: (embedded + [("invisible.js", PageText.invisibleModule)]).map {
            ($0.file, PageFile($0.file, $0.text))
        })

    private init(_ name: String, _ text: String) {
        self.name = name
        self.text = text
        let types = ["css": "text/css", "js": "text/javascript", "html": "text/html"]
        mediaType = "\(types[name.split(separator: ".").last.map(String.init) ?? ""] ?? "text/plain"); charset=utf-8"
        // FNV-1a is enough to distinguish versions of the same file.
        let hash = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        entityTag = "\"\(String(hash, radix: 16))\""
    }
}
