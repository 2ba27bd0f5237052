import FoundationEssentials

// Writes a Swift file that gives a type the names and texts of files: `embed-files OUTPUT TYPE FILE…`.
//
// An array of bytes would be slow to compile, so a text is a raw string
// whose delimiter is longer than any run of `#` after a quote in the file.

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
    // The closing line break belongs to the Swift literal, not to the file.
    source += "        (\n            \"\(name)\",\n\(fence)\"\"\"\n\(text)\n\"\"\"\(fence)\n        ),\n"
}
source += "    ]\n}\n"

// An unchanged file keeps its date: SwiftPM links this tool anew in each of its builds, runs it again for that, and would
// compile everything that depends on the file.
let output = URL(filePath: arguments[1])
let previous = FileManager.default.contents(atPath: output.path)
if previous != Data(source.utf8) { try Data(source.utf8).write(to: output) }
