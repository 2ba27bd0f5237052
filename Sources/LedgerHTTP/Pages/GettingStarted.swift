internal import Ledger

/// The instructions for reporting, shown while the ledger has no jobs.
struct GettingStarted {
    /// The URL of the server, as the viewer has addressed it.
    ///
    /// `Files/jobs.js` replaces it by that of the browser, which knows the scheme and path of a proxy.
    let server: String

    var html: HTML {
        """
        <div class="start"><h2>No jobs yet</h2>
        <p>A job appears here as soon as something reports to it.</p>
        <div class="samples"><section aria-labelledby="shell"><h3 id="shell">From a shell</h3>
        \(sample(shell))</section>
        <section aria-labelledby="python"><h3 id="python">From Python</h3>
        \(sample(python))</section></div>
        <p>Other languages, and all routes: <a href="./docs">API reference</a>. <code>progress-ledger demo</code> plays an \
        example with failures and retries.</p></div>
        """
    }

    private var address: HTML { "<span class=\"server\">\(server)</span>" }

    private func sample(_ text: HTML) -> HTML { "<pre tabindex=\"0\"><code>\(text)</code></pre>" }

    private var shell: HTML {
        """
        export PROGRESS_LEDGER_URL=\(address)
        export PROGRESS_LEDGER_JOB=$(progress-ledger report job create tiles)
        export PROGRESS_LEDGER_TASK=tile-17
        export PROGRESS_LEDGER_EXECUTION=$(progress-ledger report start)
        progress-ledger report add 10 --label files --report 1
        progress-ledger report done 1 --label files --report 2
        """
    }

    private var python: HTML {
        """
        from progress_ledger import Client

        job = Client("\(address)").jobs.create("tiles")
        with job.execution("tile-17") as context:
            files = context.progress("files")
            files.add(10)
            for name in range(10):
                files.done()
        """
    }
}
