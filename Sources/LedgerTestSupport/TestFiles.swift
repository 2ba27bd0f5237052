internal import FoundationEssentials

/// The files of tests.
public enum TestFiles {
    /// Removes a file or folder, if it exists.
    ///
    /// For `defer`: a failure is printed, because it must not hide the error of the test.
    public static func remove(_ path: String) {
        guard FileManager.default.fileExists(atPath: path) else { return }
        do { try FileManager.default.removeItem(atPath: path) } catch { print("cannot remove \(path): \(error)") }
    }
}
