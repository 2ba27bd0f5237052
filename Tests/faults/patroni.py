"""A PostgreSQL cluster under Patroni: etcd and three members on the loopback address."""

import base64
import http.client
import json
import secrets
import signal
import socket
import subprocess
import time
from random import Random

from processes import Database, Process, is_alive, processes_in, run, send, wait_for

MEMBERS = 3

# Patroni's time limits in seconds. TTL is the lowest that it accepts. A leader that does not renew its lock for this
# long has lost it; every LOOP_WAIT it renews it.
TTL, LOOP_WAIT, RETRY_TIMEOUT = 20, 5, 5

# The settings of the cluster. The guide "Operating" contains them.
DCS = {
    "ttl": TTL,
    "loop_wait": LOOP_WAIT,
    "retry_timeout": RETRY_TIMEOUT,
    "maximum_lag_on_failover": 1048576,
    "synchronous_mode": True,
    "postgresql": {
        "use_pg_rewind": True,
        "use_slots": True,
        "parameters": {"wal_log_hints": "on", "max_connections": 200, "wal_retrieve_retry_interval": "1s"},
    },
}

# How long the cluster must be complete before the next fault. Patroni's own picture of a member may be this old.
SETTLED_SECONDS = 2 * LOOP_WAIT + 2

# The time-outs of the services' connections. Without connect_timeout, a frozen host would hold up each connection
# attempt for 5 s.
CONNECTION = (
    "target_session_attrs=read-write connect_timeout=2 tcp_user_timeout=5000 "
    "keepalives_idle=2 keepalives_interval=1 keepalives_count=3"
)


class Etcd(Process):
    """One etcd, which keeps Patroni's leader lock, in the second or the third version of its interface.

    Before 3.0.3, Patroni overwrites the lock in the third one if its lease has expired (its pull request 2689), so that a
    thawed leader takes the lock from the new one. In the second one it compares the owner first.
    """

    def __init__(self, folder, port, peer_port, version):
        client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
        self.port = port
        self.version = version
        command = ["etcd", "--name", "etcd", "--data-dir", str(folder / "etcd")]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
        command += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"etcd={peer}"]
        super().__init__("etcd", command + (["--enable-v2=true"] if version == 2 else []), folder)

    def start(self):
        super().start()
        wait_for("etcd to respond", self._responds)

    def get(self, key):
        """Returns the value of a key of the cluster, or None if it does not exist."""
        path = f"/service/ledger/{key}"
        if self.version == 2:
            status, text = request(self.port, "GET", f"/v2/keys{path}")
            return json.loads(text)["node"]["value"] if status == 200 else None
        name = base64.b64encode(path.encode()).decode()
        pairs = json.loads(request(self.port, "POST", "/v3/kv/range", {"key": name})[1]).get("kvs", [])
        return base64.b64decode(pairs[0]["value"]).decode() if pairs else None

    def _responds(self):
        if not self.is_running:
            raise RuntimeError(f"{self.name} has ended; see its log {self.log}")
        try:
            return request(self.port, "GET", "/health")[0] == 200
        except OSError:
            return False


class Member(Database, Process):
    """One Patroni with its PostgreSQL. All of their processes run in the member's folder."""

    def __init__(self, number, cluster, port, rest_port):
        self.name = f"member-{number}"
        self.folder = cluster.folder / self.name
        self.data = self.folder / "data"
        self.port = port
        self.rest_port = rest_port
        self.programs = cluster.programs
        self.folder.mkdir(mode=0o700)
        file = self.folder / "patroni.json"
        # JSON is YAML too.
        file.write_text(json.dumps(member_settings(self, cluster), indent=4))
        super().__init__(self.name, ["patroni", str(file)], cluster.folder, directory=self.folder)

    @property
    def postmaster(self):
        """The process id of the postmaster."""
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    @property
    def is_running(self):
        return self.child is not None and (super().is_running or bool(self._processes()))

    def kill(self):
        """Kills Patroni and all processes of PostgreSQL; all are frozen first, so that none starts another."""
        self.freeze()
        processes = self._processes()
        for process in processes:
            send(process, signal.SIGKILL)
        self.child.wait()
        wait_for(f"the processes of {self.name} to end", lambda: not any(is_alive(process) for process in processes))

    def kill_postmaster(self):
        """Kills the postmaster alone; its child processes notice that and end."""
        send(self.postmaster, signal.SIGKILL)

    def freeze(self):
        """Freezes Patroni and all processes of PostgreSQL."""
        for process in [self.child.pid, *self._processes()]:
            send(process, signal.SIGSTOP)
        # Some may have been started while the list was made.
        for process in self._processes():
            send(process, signal.SIGSTOP)

    def thaw(self):
        for process in self._processes():
            send(process, signal.SIGCONT)

    def _processes(self):
        return [process for process in processes_in(self.folder.resolve()) if is_alive(process)]


class Cluster(Database):
    """Three members and their etcd. SQL goes to the leader."""

    def __init__(self, folder, programs, is_strict=False, etcd_version=None):
        self.folder = folder
        self.programs = programs
        self.is_strict = is_strict
        self.password = secrets.token_hex(16)
        ports = free_ports(2 + 2 * MEMBERS)
        self.etcd = Etcd(folder, *ports[:2], etcd_version or (2 if patroni_version() < (3, 0, 3) else 3))
        pairs = zip(ports[2::2], ports[3::2])
        self.members = [Member(number, self, *pair) for number, pair in enumerate(pairs, 1)]

    def start(self):
        """Starts the first member alone, so that it becomes the leader, and then the others."""
        self.etcd.start()
        first, *others = self.members
        first.start()
        wait_for("a first leader", lambda: self.leader_name() == first.name and is_writable(first), 120)
        for member in others:
            member.start()
        self.wait_until_complete()

    @property
    def connection(self):
        """The connection string of the services."""
        hosts = ",".join("127.0.0.1" for _ in self.members)
        ports = ",".join(str(member.port) for member in self.members)
        return f"host={hosts} port={ports} user=postgres password={self.password} dbname=ledger {CONNECTION}"

    def leader_name(self):
        """Returns the name of the member with the leader lock; None if no member has it."""
        return self.etcd.get("leader")

    def leader(self):
        """Returns the member with the leader lock."""
        name = wait_for("a leader", self.leader_name, 120)
        return next(member for member in self.members if member.name == name)

    def followers(self):
        leader = self.leader()
        return [member for member in self.members if member is not leader]

    def sql(self, statement, database="ledger"):
        return self.leader().sql(statement, database)

    def switch_over(self):
        """Asks Patroni to make its synchronous standby the leader, and returns when it has done so."""
        leader = self.leader()
        login = ("patroni", self.password)
        status, text = request(leader.rest_port, "POST", "/switchover", {"leader": leader.name}, login)
        if status != 200:
            raise RuntimeError(f"Patroni refused the switchover with {status}: {text}")

    def wait_for_other_leader(self, old, seconds=120):
        """Waits until a member other than this one leads, and returns it."""
        wait_for(f"a leader other than {old.name}", lambda: self.leader_name() not in (None, old.name), seconds)
        return self.leader()

    def wait_until_complete(self, seconds=300):
        """Waits until all members follow one leader, one of them synchronously, and until Patroni has settled."""
        deadline = time.monotonic() + seconds
        since = None
        while since is None or time.monotonic() - since < SETTLED_SECONDS:
            problem = self._missing()
            if problem is None:
                since = since or time.monotonic()
            else:
                since = None
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the cluster is not complete after {seconds} s: {problem}")
            time.sleep(0.5)

    def _missing(self):
        """Returns what the cluster lacks; None if it is complete."""
        name = self.leader_name()
        if name is None:
            return "no member has the leader lock"
        leader = next(member for member in self.members if member.name == name)
        for member in self.members:
            if is_writable(member) is not (member is leader):
                return f"{member.name} does not respond as {'leader' if member is leader else 'standby'}"
        try:
            states = "select sync_state from pg_stat_replication where state = 'streaming' order by 1"
            found = leader.sql(states, "postgres")
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return str(error)
        if found != ["async"] * (MEMBERS - 2) + ["sync"]:
            return f"the standbys of {name} are {found}"
        synchronous = json.loads(self.etcd.get("sync") or "{}")
        if synchronous.get("leader") != name or not synchronous.get("sync_standby"):
            return f"Patroni's synchronous standby is {synchronous}"
        return None


def is_writable(member):
    """Returns whether a member's PostgreSQL accepts writes; None if it does not respond."""
    try:
        answer = subprocess.run(
            member.psql("select not pg_is_in_recovery()"), capture_output=True, text=True, timeout=10
        )
    except subprocess.TimeoutExpired:
        return None
    return answer.stdout.strip() == "t" if answer.returncode == 0 else None


def patroni_version():
    """Returns the version of Patroni as a tuple, such as (3, 0, 2)."""
    return tuple(int(number) for number in run(["patroni", "--version"]).split()[-1].split("."))


def member_settings(member, cluster):
    """Returns Patroni's configuration of a member."""
    rest, address = f"127.0.0.1:{member.rest_port}", f"127.0.0.1:{member.port}"
    logins = {"replication": "replicator", "superuser": "postgres", "rewind": "rewinder"}
    return {
        "scope": "ledger",
        "name": member.name,
        "etcd" if cluster.etcd.version == 2 else "etcd3": {"host": f"127.0.0.1:{cluster.etcd.port}"},
        "restapi": {
            "listen": rest,
            "connect_address": rest,
            "authentication": {"username": "patroni", "password": cluster.password},
        },
        "bootstrap": {
            "dcs": {**DCS, "synchronous_mode_strict": cluster.is_strict},
            "initdb": ["data-checksums", {"encoding": "UTF8"}, {"locale": "C"}],
        },
        "postgresql": {
            "listen": address,
            "connect_address": address,
            "data_dir": str(member.data),
            "bin_dir": str(cluster.programs),
            "pgpass": str(member.folder / "pgpass"),
            "authentication": {
                purpose: {"username": login, "password": cluster.password} for purpose, login in logins.items()
            },
            # The folder of the socket is private.
            "parameters": {"unix_socket_directories": str(member.folder), "shared_buffers": "64MB"},
            "pg_hba": [
                "local all all trust",
                "host replication replicator 127.0.0.1/32 scram-sha-256",
                "host all all 127.0.0.1/32 scram-sha-256",
            ],
        },
    }


def request(port, method, path, body=None, login=None, seconds=60):
    """Sends a request to a server on the loopback address, and returns its status and text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    headers = {"Content-Type": "application/json"}
    if login is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8")
    finally:
        connection.close()


def free_ports(count):
    """Returns free ports below those that the system gives to outgoing connections."""
    random, ports = Random(secrets.randbits(64)), []
    while len(ports) < count:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports
