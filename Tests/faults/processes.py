"""The programs under test, as processes that can be killed, frozen and restarted."""

import os
import pathlib
import signal
import subprocess
import time

_started = []


class Process:
    """One program with a log, controlled by one thread at a time."""

    def __init__(self, name, command, folder, environment=None, directory=None):
        self.name = name
        self.command = command
        self.directory = directory
        self.environment = {**os.environ, **(environment or {})}
        self.log = folder / f"{name}.log"
        self.output = folder / f"{name}.out"
        self.child = None
        self.is_over = False

    def start(self):
        if self.is_over:
            raise RuntimeError(f"cannot start {self.name} after the end of the test")
        # Each start truncates the output, because it contains the address that a server listens on.
        with open(self.log, "ab") as log, open(self.output, "wb") as output:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                env=self.environment,
                cwd=self.directory,
            )
        if self not in _started:
            _started.append(self)

    @property
    def is_running(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        self.child.kill()
        self.child.wait()

    def freeze(self):
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.child.send_signal(signal.SIGCONT)

    def stop(self, seconds=40):
        """Stops it with SIGTERM and returns its exit code, or None if it had to be killed."""
        self.child.terminate()
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


class Server(Process):
    """A server of the ledger. It picks a free port, another one at each start."""

    @property
    def port(self):
        """The port, or None while the server does not listen."""
        if not self.is_running:
            return None
        line = self.output.read_text()
        return int(line.rsplit(":", 1)[1]) if line.endswith("\n") else None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


class Database:
    """SQL and client programs for a PostgreSQL server with a Unix socket in a folder."""

    port = 5432

    def tool(self, name):
        """Returns a client program, from the folder of the server's programs or from PATH."""
        program = self.programs / name
        return program if program.exists() else name

    def sql(self, statement, database="ledger"):
        """Runs a statement and returns its rows, as text with | between columns."""
        return run(self.psql(statement, database)).splitlines()

    def psql(self, statement, database="postgres"):
        """Returns the command that runs a statement."""
        options = ["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set", "ON_ERROR_STOP=1"]
        connection = ["--host", self.folder, "--port", self.port, "--username", "postgres", "--dbname", database]
        return [str(word) for word in [self.tool("psql"), *options, *connection, "--command", statement]]


class Postgres(Database, Process):
    """A PostgreSQL of the test, with all its processes."""

    def __init__(self, name, folder, programs):
        self.folder = folder / name
        self.data = self.folder / "data"
        self.programs = programs
        options = ["-c", "listen_addresses=", "-k", str(self.folder), "-c", "fsync=off", "-c", "shared_buffers=64MB"]
        super().__init__(name, [str(programs / "postgres"), "-D", str(self.data), *options], folder)

    def make(self):
        """Creates a new cluster."""
        self.folder.mkdir()
        options = ["--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        run([self.programs / "initdb", "--pgdata", self.data, *options])

    def make_standby(self, primary):
        """Copies a running primary; this server then follows it under its own name."""
        self.folder.mkdir()
        source = f"host={primary.folder} user=postgres application_name={self.name}"
        options = ["--checkpoint", "fast", "--no-sync", "--write-recovery-conf"]
        run([self.tool("pg_basebackup"), "--pgdata", self.data, "--dbname", source, *options])

    def start(self):
        super().start()
        wait_for(f"{self.name} to respond", self.responds)

    def responds(self):
        """Returns whether it responds to a query; raises an error if it has ended."""
        if not self.is_running:
            raise RuntimeError(f"{self.name} has ended; see its log {self.log}")
        return subprocess.run(self.psql("select 1"), capture_output=True, timeout=60).returncode == 0

    def kill(self):
        """Kills all its processes; the postmaster is frozen first, so that it starts no new ones."""
        super().freeze()
        below = processes_below(self.child.pid)
        for process in below:
            send(process, signal.SIGKILL)
        super().kill()
        # PostgreSQL refuses to start while one of the old processes uses the shared memory.
        wait_for(f"the processes of {self.name} to end", lambda: not any(is_alive(process) for process in below))

    def freeze(self):
        super().freeze()
        for process in processes_below(self.child.pid):
            send(process, signal.SIGSTOP)

    def thaw(self):
        for process in processes_below(self.child.pid):
            send(process, signal.SIGCONT)
        super().thaw()

    def stop(self, seconds=40):
        self.child.send_signal(signal.SIGINT)
        return self.child.wait(seconds)


def end_processes():
    """Kills all running processes and prevents their restart."""
    for process in reversed(_started):
        process.is_over = True
        if process.is_running:
            process.kill()
    _started.clear()


def run(command, seconds=120):
    """Runs a command and returns its output; raises an error with all output if it fails."""
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL
    )
    if result.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise RuntimeError(f"exit code {result.returncode} of '{words}': {result.stdout}{result.stderr}")
    return result.stdout


def wait_for(event, condition, seconds=60):
    """Waits until a condition holds and returns its value; raises TimeoutError if too late."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {event}; the last value was {value!r}")
        time.sleep(0.05)
    return value


def processes_below(pid):
    """Lists the child processes of a process."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _status(entry)[1] == pid]


def processes_in(folder):
    """Lists the processes of this account whose current folder is a folder or below it."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and pathlib.Path(os.readlink(f"/proc/{entry}/cwd")).is_relative_to(folder):
                found.append(int(entry))
        except OSError:
            # It has ended, or belongs to another account.
            continue
    return found


def is_alive(pid):
    """Returns whether a process runs; a zombie does not."""
    return _status(pid)[0] not in ("", "Z", "X")


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        # It has ended already.
        pass


def _status(pid):
    """Returns the state of a process and its parent, or ("", 0) if it does not exist."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return fields[0], int(fields[1])
