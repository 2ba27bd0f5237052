"""Runs the soak and the failover. Scripts/test-faults calls and describes it."""

import argparse

from breaks import KINDS
from failover import run_failover
from run import Run, add_options, run_parts
from soak import run_soak


def main():
    parser = argparse.ArgumentParser(prog="test-faults", add_help=False)
    parser.add_argument("--minutes", type=float, default=2)
    add_options(parser, KINDS)
    arguments = parser.parse_args()
    run = Run("test-faults", arguments)
    parts = [("soak", run_soak, arguments.minutes)]
    if run.broken is None:
        parts.append(("failover", run_failover))
    run_parts(run, parts)


main()
