import ArgumentParser

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Report progress from a shell script.",
        discussion: """
            A complete job:

              export PROGRESS_LEDGER_JOB=$(progress-ledger report job create nightly-import)
              export PROGRESS_LEDGER_TASK=download
              export PROGRESS_LEDGER_EXECUTION=$(progress-ledger report start) || exit
              progress-ledger report add 10 --label files --report 1
              progress-ledger report done 1 --label files --report 2
              progress-ledger report finish succeeded
              progress-ledger report job finish completed

            To end the execution as canceled if the script is terminated, add after 'report start':

              trap 'progress-ledger report finish canceled; exit 143' TERM HUP INT

            'report start' exits with code 4 if a newer execution of the task counts, and with 11 if the job is canceled; \
            the script should then stop. \
            --report numbers the reports of an execution, counted up by the script, and makes it safe to repeat a \
            report whose response was lost. Without --report, a lost response gives exit code 6.

            'report exec -- COMMAND' does all of it for one command. Messages and links stay in the ledger for ever: do \
            not put secrets or personal data into them.
            """,
        subcommands: [Start.self, Add.self, Done.self, Finish.self, Exec.self, JobReport.self])
}
