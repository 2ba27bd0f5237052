"""A real ledger with its own PostgreSQL, on the loopback address."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 60


class LedgerProcess:
    """`progress-ledger serve` on a free port, which it keeps after a restart."""

    def __init__(self, *options: str) -> None:
        self._options = options
        binary = os.environ.get("PROGRESS_LEDGER_BINARY")
        if not binary:
            raise RuntimeError("PROGRESS_LEDGER_BINARY is not set; run Scripts/test-python, which sets it")
        self._binary = binary
        # In /tmp, independent of TMPDIR: the path of PostgreSQL's Unix socket must be short, and its account must have
        # access.
        self._folder = Path(tempfile.mkdtemp(prefix="progress-ledger-python.", dir="/tmp"))
        self._folder.chmod(0o755)
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        log = (self._folder / "log").open("a")
        command = [self._binary, "serve", "--port", str(self._port), "--data", str(self._folder / "data")]
        command += self._options
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PROGRESS_LEDGER_")}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        self._process = process
        lines: queue.Queue[str] = queue.Queue()
        assert process.stdout is not None
        output = process.stdout
        threading.Thread(target=lambda: lines.put(output.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=START_SECONDS)
        except queue.Empty:
            line = ""
        if not line.startswith("listening on "):
            self.kill()
            raise RuntimeError(f"the ledger did not start: {(self._folder / 'log').read_text()[-2000:]}")
        self._port = int(line.strip().rpartition(":")[2])

    def create_token(self, name: str, *options: str) -> str:
        """Creates a token in the database, and returns its text."""
        command = [self._binary, "token", "create", name, "--data", str(self._folder / "data"), *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PROGRESS_LEDGER_")}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    def stop(self) -> None:
        """Stops it after its current requests."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it at once."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.wait(STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()

    def remove(self) -> None:
        """Stops it and removes its database."""
        if self._process is None:
            self.start()
        self.stop()
        shutil.rmtree(self._folder)
