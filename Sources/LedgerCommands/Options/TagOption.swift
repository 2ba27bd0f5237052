import ArgumentParser
import Ledger

/// A tag on the command line: `NAME=VALUE`.
struct TagOption: ExpressibleByArgument, Hashable {
    let name: Name
    let value: Name

    init?(argument: String) {
        guard let separator = argument.firstIndex(of: "="), separator != argument.startIndex else { return nil }
        name = Name(String(argument[..<separator]))
        value = Name(String(argument[argument.index(after: separator)...]))
    }

    /// The tags by name.
    ///
    /// - Throws: `ValidationError` if a name occurs twice.
    static func dictionary(_ tags: [TagOption]) throws -> [Name: Name] {
        try Dictionary(tags.map { ($0.name, $0.value) }) { _, _ in
            throw ValidationError("A tag is given twice. Give each tag once.")
        }
    }
}
