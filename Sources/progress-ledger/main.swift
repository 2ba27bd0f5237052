import LedgerCommands

await ProgressLedgerCommand.runProcess()
