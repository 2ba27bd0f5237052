/// The sizes of stored ledgers, in three directions.
///
/// The first size of each direction is the one that the others are compared with.
public struct Scaling: Sendable {
    /// The content of one ledger before it is measured.
    struct Size: Sendable {
        let name: String
        let jobs: Int
        let history: StoredHistory
    }

    /// The sizes in one direction.
    struct Axis: Sendable {
        let name: String
        let sizes: [Size]
    }

    /// The number of tasks in each job that the load reports on.
    ///
    /// A job has at least as many tasks.
    static let loadedTasks = 10

    let axes: [Axis]

    /// Creates the three directions.
    ///
    /// - Parameters:
    ///   - events: Events in a hundred jobs.
    ///   - tasks: Tasks of one job, with one event each.
    ///   - jobs: Jobs, with ten events each.
    private init(events: [Int], tasks: [Int], jobs: [Int]) {
        axes = [
            Axis(
                name: "events",
                sizes: events.map { count in
                    Size(
                        name: "\(count) events stored", jobs: 100,
                        history: StoredHistory(tasks: Self.loadedTasks, reports: count / 100 / Self.loadedTasks))
                }),
            Axis(
                name: "tasks",
                sizes: tasks.map { count in
                    Size(name: "a job of \(count) tasks", jobs: 1, history: StoredHistory(tasks: count, reports: 1))
                }),
            Axis(
                name: "jobs",
                sizes: jobs.map { count in
                    Size(
                        name: "\(count) jobs", jobs: count,
                        history: StoredHistory(tasks: Self.loadedTasks, reports: 1))
                }),
        ]
    }

    /// The sizes of the documented benchmark.
    public static let full = Scaling(
        events: [10_000, 1_000_000, 10_000_000], tasks: [10, 10_000, 1_000_000], jobs: [100, 10_000, 100_000])
    /// Small sizes for a short benchmark.
    public static let quick = Scaling(events: [10_000, 100_000], tasks: [10, 10_000], jobs: [100, 1_000])
}
