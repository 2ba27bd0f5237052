internal import FoundationEssentials
internal import Glibc

/// The resource usage of processes, read from Linux's /proc (proc(5)).
///
/// On other systems all values are 0.
struct ProcessUsage {
    private static let ticksPerSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))

    /// The processor time of all threads of a process, in seconds.
    static func seconds(of process: Int32) -> Double {
        statistics(process).map { Double($0.own) / ticksPerSecond } ?? 0
    }

    /// The processor time of a process and its children, in seconds.
    ///
    /// It includes living children, and ended ones that the process has waited for. PostgreSQL's server process is the
    /// parent of the processes that serve connections.
    static func secondsWithChildren(of parent: Int32) -> Double {
        guard let above = statistics(parent) else { return 0 }
        let children = processes().compactMap(statistics).filter { $0.parent == parent }
        let ticks = above.own + above.ended + children.reduce(0) { $0 + $1.own + $1.ended }
        return Double(ticks) / ticksPerSecond
    }

    /// The resident memory in bytes.
    static func memory(of process: Int32) -> Int {
        field("VmRSS", of: process)
    }

    /// The peak of resident memory in bytes since the last reset.
    static func peakMemory(of process: Int32) -> Int {
        field("VmHWM", of: process)
    }

    /// Resets the peak of memory (proc(5), clear_refs, 5).
    ///
    /// If the system refuses, the peak since the start of the process stays.
    static func resetPeak(of process: Int32) {
        let descriptor = open("/proc/\(process)/clear_refs", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = write(descriptor, "5", 1)
        close(descriptor)
    }

    private struct Statistics {
        let parent: Int32
        /// Ticks of the process itself.
        let own: Int
        /// Ticks of children that have ended.
        let ended: Int
    }

    private static func statistics(_ process: Int32) -> Statistics? {
        guard let text = contents("/proc/\(process)/stat"),
            // The name in parentheses may contain any character; the fields follow the last parenthesis.
            let end = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        // The first element is field 3 of the manual's table (state), then parent …; fields 14 to 17 are the times.
        guard fields.count > 14, let parent = Int32(fields[1]) else { return nil }
        func ticks(_ number: Int) -> Int { Int(fields[number - 3]) ?? 0 }
        return Statistics(parent: parent, own: ticks(14) + ticks(15), ended: ticks(16) + ticks(17))
    }

    private static func processes() -> [Int32] {
        do { return try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) } } catch {
            return []
        }
    }

    private static func field(_ name: String, of process: Int32) -> Int {
        guard let text = contents("/proc/\(process)/status") else { return 0 }
        for line in text.split(separator: "\n") where line.hasPrefix("\(name):") {
            return (line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) } ?? 0)
                * 1_024
        }
        return 0
    }

    /// The content of a file in /proc, which has no size and is read to its end.
    private static func contents(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 8_192)
        while true {
            let count = read(descriptor, &piece, piece.count)
            guard count > 0 else { break }
            text += piece[..<count]
        }
        return String(decoding: text, as: UTF8.self)
    }
}
