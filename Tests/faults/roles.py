"""An observer of which members accept writes, independent of Patroni."""

import socket
import struct
import threading
import time

INTERVAL = 0.1

# A member that does not respond for this long is not known to accept writes.
RESPONSE_SECONDS_MAX = 1


class Roles:
    """Threads that ask each member at short intervals whether it accepts writes."""

    def __init__(self, members):
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.periods = {member.name: [] for member in members}  # [begin, end] of accepting writes, by member
        self.threads = [threading.Thread(target=self._run, args=(member,), daemon=True) for member in members]

    def start(self):
        for thread in self.threads:
            thread.start()

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def first_writable(self, name, since):
        """Returns when a member first accepted writes after a moment; None if it did not."""
        with self.lock:
            begins = [max(begin, since) for begin, end in self.periods[name] if end > since]
        return min(begins, default=None)

    def overlaps(self):
        with self.lock:
            return overlaps({name: list(periods) for name, periods in self.periods.items()})

    def _run(self, member):
        connection, was_writable = None, False
        while not self.ending.wait(INTERVAL):
            asked = time.monotonic()
            try:
                connection = connection or Connection(f"{member.folder}/.s.PGSQL.{member.port}")
                is_writable = connection.value("select pg_is_in_recovery()") == "f"
            except OSError:
                if connection is not None:
                    connection.close()
                connection, is_writable = None, False
            if is_writable:
                self._add(member.name, asked, was_writable)
            was_writable = is_writable

    def _add(self, name, asked, continues):
        # It accepted writes at some moment since the question; a period begins with its first answer.
        with self.lock:
            periods = self.periods[name]
            if continues:
                periods[-1][1] = asked
            else:
                periods.append([time.monotonic(), time.monotonic()])


def overlaps(periods):
    """Returns the periods in which two members accepted writes, as (begin, end, member, other member)."""
    found = []
    names = sorted(periods)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            for begin, end in periods[one]:
                for other_begin, other_end in periods[other]:
                    both = max(begin, other_begin), min(end, other_end)
                    if both[0] < both[1]:
                        found.append((*both, one, other))
    return sorted(found)


class Connection:
    """A connection to PostgreSQL by its Unix socket, without a password. Every failure is an OSError."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(RESPONSE_SECONDS_MAX)
        self.file = self.socket.makefile("rb")
        try:
            self.socket.connect(path)
            options = b"user\0postgres\0database\0postgres\0application_name\0roles\0\0"
            self.socket.sendall(struct.pack("!ii", 8 + len(options), 196_608) + options)
            self._read_until_ready()
        except OSError:
            self.close()
            raise

    def value(self, query):
        """Returns the first column of the first row, as text."""
        text = query.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!i", 4 + len(text)) + text)
        [row] = [body for kind, body in self._read_until_ready() if kind == b"D"]
        # The number of columns and the length of the first one come before it.
        return row[6:].decode()

    def close(self):
        # The socket stays open as long as its file.
        self.file.close()
        self.socket.close()

    def _read_until_ready(self):
        messages = []
        while not messages or messages[-1][0] != b"Z":
            head = self.file.read(5)
            if len(head) < 5:
                raise OSError("the connection was closed")
            kind, length = head[:1], struct.unpack("!i", head[1:])[0]
            messages.append((kind, self.file.read(length - 4)))
            if kind == b"E":
                raise OSError(messages[-1][1].decode(errors="replace"))
        return messages
