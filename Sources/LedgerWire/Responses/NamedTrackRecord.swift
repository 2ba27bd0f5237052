public import Ledger

/// The track record of the estimates of the jobs with a name.
public struct NamedTrackRecord: Hashable, Sendable {
    public let name: Name
    public let record: TrackRecord

    public init(name: Name, record: TrackRecord) {
        self.name = name
        self.record = record
    }

    /// Writes the record as a JSON object.
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name.text)
            writer.field("jobs", record.jobs)
            writer.field("ended_inside", record.endedInside)
            writer.name("error_factor")
            writer.object { writer in
                writer.field("p50", record.errorFactorP50)
                writer.field("p90", record.errorFactorP90)
            }
            writer.name("coverage")
            writer.object { writer in
                writer.field("p10", record.coverageP10)
                writer.field("p90", record.coverageP90)
            }
        }
    }

    /// Parses the output of ``write(to:)``.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        name = Name(try reader.text("name"))
        record = TrackRecord(
            jobs: try reader.integer("jobs"), endedInside: try reader.integer("ended_inside"),
            errorFactorP50: value["error_factor"]?["p50"]?.number,
            errorFactorP90: value["error_factor"]?["p90"]?.number,
            coverageP10: value["coverage"]?["p10"]?.number, coverageP90: value["coverage"]?["p90"]?.number)
    }
}
