import ArgumentParser

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Report from a shell script.",
        discussion: """
            A whole job:

              export PROGRESS_LEDGER_JOB=$(progress-ledger report job create nightly-import)
              export PROGRESS_LEDGER_TASK=download
              export PROGRESS_LEDGER_EXECUTION=$(progress-ledger report start) || exit
              progress-ledger report add 10 --label files --report 1
              progress-ledger report done 1 --label files --report 2
              progress-ledger report finish succeeded
              progress-ledger report job finish completed

            So that an engine which stops the script ends the execution as canceled, after 'report start':

              trap 'progress-ledger report finish canceled; exit 143' TERM HUP INT

            'report start' ends with code 4 where a newer execution of the task runs already: then stop. With \
            --report, a number that a script counts up within one execution, a report may be sent again after a lost \
            answer; without, such an end has code 6.
            """,
        subcommands: [Start.self, Add.self, Done.self, Finish.self, JobReport.self])
}
