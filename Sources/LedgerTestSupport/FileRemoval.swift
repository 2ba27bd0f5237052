internal import FoundationEssentials

/// Removes a file or folder of a test, if it exists.
///
/// For `defer`: a failure is printed, because it must not hide the error of the test.
public func removeAtEnd(_ path: String) {
    guard FileManager.default.fileExists(atPath: path) else { return }
    do { try FileManager.default.removeItem(atPath: path) } catch { print("cannot remove \(path): \(error)") }
}
