enum PlaceholderLedgerCommands {}
