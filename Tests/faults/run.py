"""The settings, checks and figures of a run, and the frame in which its parts run."""

import ctypes
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import unittest

from journal import UNKNOWN
from processes import end_processes

PROBLEMS_SHOWN_MAX = 5

_PR_SET_PDEATHSIG = 1


class Run:
    """Settings, checks and figures of a run, shared by all its parts."""

    def __init__(self, name, arguments):
        self.name = name
        self.binary = pathlib.Path(os.environ["PROGRESS_LEDGER_BINARY"]).resolve()
        self.programs = pathlib.Path(os.environ["PROGRESS_LEDGER_POSTGRES_BIN"])
        self.seed = arguments.seed
        self.random = random.Random(f"{self.seed}/run")
        self.broken = arguments.broken
        # In /tmp, independent of TMPDIR, because the path of a Unix socket must be short.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="progress-ledger-faults.", dir="/tmp"))
        self.passed = 0
        self.failed = 0
        self.figures = {"acknowledged events": 0, "unknown outcomes": 0, "snapshots read": 0}

    def check(self, claim, problems):
        """Counts a check, and prints the problems that contradict its claim."""
        if not problems:
            self.passed += 1
            return
        self.failed += 1
        say(f"FAILED: {claim}")
        for problem in problems[:PROBLEMS_SHOWN_MAX]:
            say(f"    {problem}")
        if len(problems) > PROBLEMS_SHOWN_MAX:
            say(f"    … and {len(problems) - PROBLEMS_SHOWN_MAX} more")

    def add_figures(self, journal):
        self.figures["acknowledged events"] += journal.acknowledged()
        self.figures["unknown outcomes"] += journal.count(UNKNOWN)
        self.figures["snapshots read"] += journal.reads

    def count(self, figure, count=1):
        self.figures[figure] = self.figures.get(figure, 0) + count

    def part(self, name, function, *arguments):
        """Runs one part; an exception is a failed check."""
        try:
            function(self, *arguments)
        except Exception:
            self.check(f"{name}: runs to its end", [traceback.format_exc()])
        finally:
            end_processes()


def run_parts(run, parts):
    """Runs the self-test and the parts, each a tuple of its name, function and arguments; then ends the program."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    # A killed script does not pass its signal on.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    begin = time.monotonic()
    say(f"{run.name}: the seed is {run.seed}")
    try:
        run.part("self-test", self_test)
        for name, function, *arguments in parts:
            run.part(name, function, *arguments)
    finally:
        end_processes()
        if run.failed:
            say(f"{run.name}: repeat with --seed {run.seed}; logs are in {run.folder}")
        else:
            shutil.rmtree(run.folder, ignore_errors=True)
    figures = ", ".join(f"{count} {name}" for name, count in run.figures.items())
    print(f"{figures}, {time.monotonic() - begin:.0f} s")
    print(f"{run.passed} passed, {run.failed} failed")
    sys.exit(1 if run.failed else 0)


def add_options(parser, kinds):
    """Adds the options that all runs have."""
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--break", dest="broken", choices=kinds)


def self_test(run):
    """Tests the checks themselves with artificial damage."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.discover(pathlib.Path(__file__).parent).run(result)
    problems = [text for _, text in result.failures + result.errors]
    run.check("self-test: every check finds its kind of damage", problems or _no_tests(result))


def _no_tests(result):
    return [] if result.testsRun > 0 else ["there are no tests"]


def say(text):
    print(text, file=sys.stderr, flush=True)
