import Ledger
import Testing

@testable import ProgressLedgerClient

@Suite("Notes of reports, and handles")
struct ReportNotesTests {
    @Test("a message is cleaned and cut, an empty one is absent, and a bad link is refused")
    func notes() {
        #expect(ReportNotes(message: "a\tb\u{1B}[1m\r\nc\u{85}d").message == "a b [1m \nc d")
        #expect(ReportNotes(message: String(repeating: "é", count: 1_001)).message?.scalarCount == 1_000)
        #expect(ReportNotes(message: "", link: "") == ReportNotes())
        #expect(ReportNotes(link: "https://host/a").link == "https://host/a")
        for link in [
            "ftp://h/", "https://u:p@h/", "https://h:port/", "https://h/" + String(repeating: "a", count: 2_000),
        ] {
            let notes = ReportNotes(link: link)
            #expect(notes.link == nil && notes.refusals == [.link], "\(link)")
        }
        #expect(ReportNotes.unit("tiles") == "tiles" && ReportNotes.unit("") == nil && ReportNotes.unit("a\nb") == nil)
        #expect(ReportNotes.unit(String(repeating: "é", count: 33)) == nil)
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    @Test("the message of an error is its type, and its text only if asked for, without credentials")
    func errors() {
        let failure = Failure(
            description: "\n cannot read https://user:p@ss@host/a?token=secret or (s3://key@bucket/b)\nmore")
        let type = "ProgressLedgerClientTests.ReportNotesTests"
        let plain = ErrorMessage.text(failure, withText: false)
        #expect(plain.hasPrefix(type) && plain.hasSuffix("Failure"), "\(plain)")
        let text = ErrorMessage.text(failure, withText: true)
        #expect(text.hasSuffix("Failure: cannot read https://host/a?… or (s3://bucket/b)"), "\(text)")
        let long = ErrorMessage.text(Failure(description: String(repeating: "é", count: 900)), withText: true)
        #expect(long.unicodeScalars.count == 200 && long.hasSuffix("é…"), "\(long)")
        // The text is cut within a password.
        let cut = String(repeating: "a", count: 990) + " https://user:pass"
        #expect(!ErrorMessage.withoutCredentials(cut + "word@host/").contains("user"))
    }

    @Test("a handle is the same after its way through the environment")
    func handles() throws {
        let job = try #require(JobID("019a0000-0000-7000-8000-000000000001"))
        let whole = ExecutionHandle(job: job, task: "t", execution: "e", attempt: 3, url: "http://h:1")
        #expect(ExecutionHandle(environment: whole.environment) == whole)
        let least = ExecutionHandle(job: job, task: "t", execution: "e")
        #expect(least.environment.count == 3 && ExecutionHandle(environment: least.environment) == least)
        for (name, value) in [("JOB", ""), ("JOB", "x"), ("TASK", ""), ("EXECUTION", "")] {
            #expect(
                ExecutionHandle(environment: whole.environment.merging(["PROGRESS_LEDGER_\(name)": value]) { $1 })
                    == nil)
        }
        let odd = whole.environment.merging(["PROGRESS_LEDGER_ATTEMPT": "0"]) { $1 }
        #expect(ExecutionHandle(environment: odd)?.attempt == nil)
    }
}
