"""Runs failovers by Patroni. Scripts/test-failover calls and describes it."""

import argparse

from patroni_failover import KINDS, run_failovers
from run import Run, add_options, run_parts


def main():
    parser = argparse.ArgumentParser(prog="test-failover", add_help=False)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--etcd-version", type=int, choices=(2, 3))
    add_options(parser, KINDS)
    arguments = parser.parse_args()
    run = Run("test-failover", arguments)
    run_parts(run, [("failovers", run_failovers, arguments.rounds, arguments.strict, arguments.etcd_version)])


main()
