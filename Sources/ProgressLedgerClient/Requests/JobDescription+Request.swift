import Ledger
import LedgerWire

extension JobDescription {
    func writeRequest(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name.text)
            if let key { writer.field("key", key.text) }
            guard !tags.isEmpty else { return }
            writer.name("tags")
            writer.object { writer in
                for (name, value) in sortedTags { writer.field(name.text, value.text) }
            }
        }
    }
}
