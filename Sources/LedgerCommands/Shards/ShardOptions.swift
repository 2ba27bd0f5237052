import ArgumentParser

/// The option that names the databases of a divided ledger.
struct ShardOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A file with the databases of a divided ledger, one line each: NUMBER = CONNECTION STRING. Default: "
                + "PROGRESS_LEDGER_SHARDS, else one database.",
            valueName: "file"))
    var shards: String?

    /// The file; nil for a ledger with one database.
    func file(_ configuration: Configuration) throws(CommandFailure) -> ShardFile? {
        try configuration.readText(.shards, flag: shards, named: "--shards", expected: "the path of a file")
            .map { path throws(CommandFailure) in try ShardFile.read(path) }
    }
}
