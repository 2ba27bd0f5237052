import FoundationEssentials

// Writes a Swift file that adds the names and texts of files to a type: `embed-files OUTPUT TYPE FILE…`.
//
// An array of bytes would be slow to compile. A text is therefore a raw string with a delimiter that is longer than any
// sequence of `#` in the file.

func delimiter(for text: String) -> String {
    var longest = 0
    var current = 0
    for byte in text.utf8 {
        current = byte == UInt8(ascii: "#") ? current + 1 : 0
        longest = max(longest, current)
    }
    return String(repeating: "#", count: longest + 1)
}

let arguments = CommandLine.arguments
guard arguments.count >= 3 else { fatalError("usage: embed-files OUTPUT TYPE FILE…") }
var source = "extension \(arguments[2]) {\n    static let embedded: [(file: String, text: String)] = [\n"
for path in arguments.dropFirst(3) {
    let bytes = try Data(contentsOf: URL(filePath: path))
    guard let text = String(validating: bytes, as: UTF8.self) else { fatalError("\(path) is not UTF-8") }
    let fence = delimiter(for: text)
    let name = path.split(separator: "/").last.map(String.init) ?? path
    // The last line break belongs to the Swift literal and not to the file.
    source += "        (\n            \"\(name)\",\n\(fence)\"\"\"\n\(text)\n\"\"\"\(fence)\n        ),\n"
}
source += "    ]\n}\n"

// An unchanged output file keeps its date. SwiftPM links this tool again in each build, therefore runs it again, and
// would otherwise recompile everything that depends on the output.
let output = URL(filePath: arguments[1])
let previous = FileManager.default.contents(atPath: output.path)
if previous != Data(source.utf8) { try Data(source.utf8).write(to: output) }
