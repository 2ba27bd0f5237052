"""Slurm: a controller and a node on this host. Tasks of arrays are requeued, submitted again, and run twice at once."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from progress_ledger import Job

from ledger_process import LedgerProcess
from support import attempts, figures, wait_until

# An array's task. Task 0 waits in its first start, and task 1 fails until it is submitted again.
TASK = """
import os, sys, time
from pathlib import Path
from progress_ledger import Client

folder, index = Path(os.environ["TEST_FOLDER"]), os.environ["SLURM_ARRAY_TASK_ID"]
name = sys.argv[1] if len(sys.argv) > 1 else None
with Client().job().execution(name) as context:
    context.progress("units").add(10)
    context.progress("units").done(10)
    if index == "0" and "SLURM_RESTART_COUNT" not in os.environ:
        context.flush()
        (folder / "began").write_text(str(os.getpid()))
        deadline = time.monotonic() + 300
        while not (folder / "second has ended").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        context.progress("units").done(1000)
        context.flush()
        (folder / f"superseded {context.superseded}").touch()
    if index == "1" and not (folder / "again").exists():
        sys.exit("not yet")
"""

CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
AuthType=auth/none
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
PluginDir={plugins}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
SlurmdTimeout=5
SlurmdParameters=config_overrides
MpiDefault=none
SwitchType=switch/none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
NodeName=localhost NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


class Slurm:
    """A controller and a node."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.programs = Path(os.environ["SLURM_PROGRAMS"]) / "usr"
        libraries = self.programs / "lib" / f"{os.uname().machine}-linux-gnu"
        for name in ("state", "spool"):
            (folder / name).mkdir()
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                user=getpass.getuser(), controller=free_port(), node=free_port(), folder=folder,
                plugins=libraries / "slurm-wlm",
            )
        )  # fmt: skip
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "LD_LIBRARY_PATH": f"{libraries}:{libraries}/slurm-wlm",
            "TEST_FOLDER": str(folder),
            "PROGRESS_LEDGER_URL": url,
        }
        (folder / "task.py").write_text(TASK)
        (folder / "task.sh").write_text(f'#!/bin/sh\nexec {sys.executable} {folder}/task.py "$@"\n')
        self.controller = self.start("slurmctld-wlm")
        self.node = self.start_node()

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("a") as log:
            return subprocess.Popen(
                [str(self.programs / "sbin" / name), "-D", *arguments], env=self.environment, cwd=self.folder,
                stdout=log, stderr=log,
            )  # fmt: skip

    def start_node(self) -> subprocess.Popen[bytes]:
        return self.start("slurmd-wlm", "-N", "localhost", "-d", str(self.programs / "sbin" / "slurmstepd-wlm"))

    def run(self, name: str, *arguments: str, **variables: str) -> str:
        command = [str(self.programs / "bin" / name), *arguments]
        environment = {**self.environment, **variables}
        return subprocess.check_output(command, env=environment, cwd=self.folder, text=True)

    def submit(self, job: Job, *arguments: str, array: str = "0-2") -> str:
        """Submits an array, and returns its id."""
        options = ["--parsable", "--requeue", f"--array={array}", "task.sh", *arguments]
        return self.run("sbatch", *options, PROGRESS_LEDGER_JOB=job.id).strip()

    def wait_until_empty(self) -> None:
        wait_until(lambda: not self.run("squeue", "--noheader"), 120)

    def stop(self) -> None:
        for process in (self.node, self.controller):
            process.kill()
            process.wait()


@pytest.fixture
def slurm(server: LedgerProcess) -> Iterator[Slurm]:
    # The paths of Slurm's Unix sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="slurm.", dir="/tmp"))
    slurm = Slurm(folder, server.url)
    try:
        wait_until(lambda: "idle" in slurm.run("sinfo", "--noheader", "--format=%T"))
        yield slurm
        slurm.run("scancel", "--user", getpass.getuser())
    finally:
        slurm.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_requeued_task_of_an_array_counts_once(slurm: Slurm, job: Job) -> None:
    array = slurm.submit(job)
    wait_until(lambda: (slurm.folder / "began").exists() and figures(job) == {"units": (30, 30)})
    slurm.run("scontrol", "requeue", f"{array}_0")
    # A requeued job waits some time before it starts again.
    wait_until(lambda: len(attempts(job).get(f"{array}_0", ())) == 2, 170)
    slurm.wait_until_empty()
    assert figures(job) == {"units": (30, 30)}
    # Slurm sends SIGTERM before SIGKILL, so that the first execution has ended.
    assert attempts(job) == {
        f"{array}_0": [(1, "canceled"), (2, "succeeded")],
        f"{array}_1": [(1, "failed")],
        f"{array}_2": [(1, "succeeded")],
    }


def test_tasks_that_are_submitted_again_count_once(slurm: Slurm, job: Job) -> None:
    (slurm.folder / "second has ended").touch()
    first = int(slurm.submit(job, "tile", array="1"))
    slurm.wait_until_empty()
    (slurm.folder / "again").touch()
    second = int(slurm.submit(job, "tile", array="1"))
    slurm.wait_until_empty()
    assert figures(job) == {"units": (10, 10)}
    assert second > first
    assert attempts(job) == {"tile": [(1, "failed"), (2, "succeeded")]}


STEPS = """#!/bin/sh
{python} {folder}/step.py
{srun} --ntasks=1 {python} {folder}/step.py
{srun} --ntasks=2 {python} {folder}/step.py
{srun} --ntasks=2 {python} {folder}/step.py
if [ -z "$SLURM_RESTART_COUNT" ]; then {scontrol} requeue "$SLURM_JOB_ID"; fi
"""
STEP = """
from progress_ledger import Client

with Client().job().execution() as context:
    context.progress("units").add(10)
    context.progress("units").done(10)
"""


def test_each_process_of_each_step_is_a_task(slurm: Slurm, job: Job) -> None:
    """The script itself and all processes that it starts by srun, requeued as a whole."""
    programs = {name: slurm.programs / "bin" / name for name in ("srun", "scontrol")}
    (slurm.folder / "step.py").write_text(STEP)
    (slurm.folder / "steps.sh").write_text(STEPS.format(python=sys.executable, folder=slurm.folder, **programs))
    options = ["--parsable", "--requeue", "--ntasks=2", "steps.sh"]
    id = slurm.run("sbatch", *options, PROGRESS_LEDGER_JOB=job.id).strip()
    wait_until(lambda: len(attempts(job).get(f"{id}.2.1", ())) == 2, 170)
    slurm.wait_until_empty()
    assert figures(job) == {"units": (60, 60)}
    names = [id, f"{id}.0", f"{id}.1.0", f"{id}.1.1", f"{id}.2.0", f"{id}.2.1"]
    assert attempts(job) == {name: [(1, "succeeded"), (2, "succeeded")] for name in names}


def test_of_a_task_that_runs_twice_at_once_the_restart_counts(slurm: Slurm, job: Job) -> None:
    """A node is lost for Slurm while the process of its job continues."""
    array = slurm.submit(job, array="0")
    process = int(wait_until(lambda: (slurm.folder / "began").exists() and (slurm.folder / "began").read_text()))
    wait_until(lambda: figures(job) == {"units": (10, 10)})
    # The parent of the task watches it for the node, which reports to the controller.
    step = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    slurm.node.kill()
    os.kill(step, signal.SIGKILL)
    slurm.node.wait()
    # A node that knows nothing of the task, like another one.
    shutil.rmtree(slurm.folder / "spool")
    (slurm.folder / "spool").mkdir()
    slurm.node = slurm.start_node()
    wait_until(lambda: len(attempts(job).get(f"{array}_0", ())) == 2, 170)
    wait_until(lambda: attempts(job)[f"{array}_0"][-1] == (2, "succeeded"))
    (slurm.folder / "second has ended").touch()
    wait_until(lambda: list(slurm.folder.glob("superseded *")))
    assert (slurm.folder / "superseded True").exists()
    assert figures(job) == {"units": (10, 10)}
