import LedgerWire

/// A tool that an assistant can call. All of them only read.
enum MCPTool: String, CaseIterable, Equatable, Sendable {
    case findJobs = "find_jobs"
    case answer
    case explain
    case failedTasks = "failed_tasks"
    case wait

    private var title: String {
        switch self {
        case .findJobs: "Find jobs"
        case .answer: "Answer about a job"
        case .explain: "Explain a number"
        case .failedTasks: "List failed tasks"
        case .wait: "Wait for a change"
        }
    }

    private var purpose: String {
        switch self {
        case .findJobs:
            "Finds jobs by a part of their name, by their key, or by their state, newest first. Returns their ids."
        case .answer:
            "Answers about one job: how far it is, when it will be done, what holds it up, whether the numbers are up to "
                + "date and verified, and when to ask again. Its text can be quoted as it is."
        case .explain:
            "Accounts for each unit of one indicator of a job: counted, superseded by a newer execution of its task, or "
                + "discarded. Use it if the user doubts a number or asks why it decreased. Also lists the job's labels."
        case .failedTasks: "Lists the tasks of a job with a last execution that failed."
        case .wait:
            "Waits until the state or the percentage of a job changes, for at most 30 seconds, and then answers about it. "
                + "Prefer to ask later, after ask_again_seconds, if the end is minutes away."
        }
    }

    /// A parameter of a tool.
    private struct Parameter {
        let name: String
        let description: String
        var isRequired = false
        var choices: [String]?
        var range: ClosedRange<Int64>?
    }

    private var parameters: [Parameter] {
        let job = Parameter(name: "job", description: "The id of the job, as find_jobs returns it.", isRequired: true)
        switch self {
        case .findJobs:
            return [
                Parameter(name: "text", description: "A part of the name, or the whole key."),
                Parameter(
                    name: "state", description: "Only jobs in this state.",
                    choices: ["running", "completed", "failed", "canceled"]),
                Parameter(name: "limit", description: "The number of jobs; 10 by default.", range: MCPTools.limits),
            ]
        case .answer: return [job]
        case .explain:
            return [
                job,
                Parameter(
                    name: "label",
                    description: "The label of the indicator; without it, the default one, if the job has it."),
            ]
        case .failedTasks:
            return [
                job,
                Parameter(name: "limit", description: "The number of tasks; 10 by default.", range: MCPTools.limits),
            ]
        case .wait:
            return [
                job,
                Parameter(
                    name: "seconds", description: "The longest wait; 30 by default.", range: MCPTools.waitSeconds),
            ]
        }
    }

    /// The names of the arguments.
    var argumentNames: [String] { parameters.map(\.name) }

    /// Writes the description of the tool.
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", rawValue)
            writer.field("title", title)
            writer.field("description", purpose)
            writer.name("inputSchema")
            writer.object { writer in
                writer.field("type", "object")
                writer.name("properties")
                writer.object { writer in
                    for parameter in parameters {
                        writer.name(parameter.name)
                        Self.write(parameter, to: &writer)
                    }
                }
                writer.name("required")
                writer.array(parameters.filter(\.isRequired)) { $0.string($1.name) }
                writer.field("additionalProperties", false)
            }
            writer.name("annotations")
            writer.object { writer in
                writer.field("readOnlyHint", true)
                writer.field("destructiveHint", false)
                writer.field("openWorldHint", false)
            }
        }
    }

    private static func write(_ parameter: Parameter, to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("type", parameter.range == nil ? "string" : "integer")
            writer.field("description", parameter.description)
            if let range = parameter.range {
                writer.field("minimum", range.lowerBound)
                writer.field("maximum", range.upperBound)
            }
            if let choices = parameter.choices {
                writer.name("enum")
                writer.array(choices) { $0.string($1) }
            }
        }
    }
}

/// The result of a tool.
struct MCPToolResult: Sendable {
    /// The result as text: its JSON, or the reason of a failure.
    let text: String
    /// Writes the fields of the result; nil if the tool failed.
    let structured: (@Sendable (inout JSONWriter) -> Void)?

    /// The result with these fields.
    init(_ fields: @escaping @Sendable (inout JSONWriter) -> Void) {
        var writer = JSONWriter()
        writer.object(fields)
        text = String(decoding: writer.bytes, as: UTF8.self)
        structured = fields
    }

    /// The result of a tool that failed.
    init(failure: String) {
        text = failure
        structured = nil
    }
}
