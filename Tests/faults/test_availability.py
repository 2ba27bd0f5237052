"""The measurements of outages, of watchers and of double leadership find what they look for."""

import json
import pathlib
import unittest

from journal import ACKNOWLEDGED, UNKNOWN, Exchange, Journal, longest_pause
from patroni import CONNECTION, DCS
from patroni_failover import double_leaderships
from roles import overlaps
from watchers import Watcher, backward_steps, unfinished


class AvailabilityTests(unittest.TestCase):
    """Tests with artificial times and sequences."""

    def watcher(self, *sequences):
        watcher = Watcher("job")
        watcher.shown = [("now", sequence) for sequence in sequences]
        return watcher

    def test_the_longest_pause_is_between_two_successive_acknowledgements(self):
        self.assertEqual(longest_pause([1, 2, 7, 8]), (2, 7))
        self.assertEqual(longest_pause([]), (0, 0))

    def test_a_pause_counts_if_it_touches_the_period(self):
        times = [0, 10, 11, 14, 15]
        self.assertEqual(longest_pause(times, 10.5, 20), (11, 14))
        self.assertEqual(longest_pause(times, 9, 10.5), (0, 10))
        self.assertEqual(longest_pause(times, 13, 13.5), (11, 14))

    def test_acknowledgements_of_a_server_are_only_its_own(self):
        journal = Journal()
        for server, outcome in (("a", ACKNOWLEDGED), ("b", ACKNOWLEDGED), ("a", UNKNOWN)):
            journal.add(Exchange([], outcome, "", {}, server))
        times = [exchange.time for exchange in journal.exchanges]
        self.assertEqual(journal.acknowledgements("b"), times[1:2])
        self.assertEqual(journal.acknowledgements(), times[:2])

    def test_a_watcher_that_goes_backwards_is_found(self):
        self.assertEqual(backward_steps([self.watcher(1, 2, 2, 5)]), [])
        self.assertEqual(len(backward_steps([self.watcher(1, 3, 2, 5)])), 1)

    def test_a_watcher_without_the_last_event_is_found(self):
        self.assertEqual(unfinished([self.watcher(1, 3)], {"job": 3}), [])
        self.assertEqual(len(unfinished([self.watcher(1, 2), self.watcher()], {"job": 3})), 2)

    def test_two_members_that_accept_writes_at_the_same_time_are_found(self):
        self.assertEqual(overlaps({"a": [[0, 5]], "b": [[5, 9]], "c": []}), [])
        self.assertEqual(overlaps({"a": [[0, 5], [8, 9]], "b": [[4, 9]]}), [(4, 5, "a", "b"), (8, 9, "a", "b")])

    def test_only_a_thawed_leader_may_accept_writes_and_not_for_long(self):
        self.assertEqual(double_leaderships([(20, 23, "a", "b")], [("a", 20)]), ([], 3))
        self.assertEqual(len(double_leaderships([(20, 40, "a", "b")], [("a", 20)])[0]), 1)
        self.assertEqual(len(double_leaderships([(20, 23, "b", "c")], [("a", 20)])[0]), 1)
        self.assertEqual(len(double_leaderships([(2, 3, "a", "b")], [("a", 20)])[0]), 1)


class GuideTests(unittest.TestCase):
    """The guide "Operating" contains the configuration that runs."""

    def setUp(self):
        catalogue = pathlib.Path(__file__).parents[2] / "Sources/LedgerCommands/LedgerCommands.docc"
        self.guide = (catalogue / "Operating.md").read_text(encoding="utf-8").split("### Patroni", 1)[1]

    def test_every_setting_of_the_cluster_is_in_the_guide(self):
        shown = [line.strip() for line in self.guide.split("```")[1].splitlines()]
        self.assertEqual([line for line in lines(DCS) if line not in shown], [])

    def test_every_time_out_of_the_connection_string_is_in_the_guide(self):
        self.assertIn(CONNECTION, self.guide)


def lines(settings):
    """Returns settings as lines of YAML, without their indentation."""
    found = []
    for name, value in settings.items():
        if isinstance(value, dict):
            found += [f"{name}:", *lines(value)]
        else:
            found.append(f"{name}: {json.dumps(value)}")
    return found
