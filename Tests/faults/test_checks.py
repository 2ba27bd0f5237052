"""Each check finds its kind of damage."""

import copy
import unittest

from checks import all_checks
from fold import Fold
from journal import ACKNOWLEDGED, REFUSED, UNKNOWN, Exchange, Journal, Start
from record import Record

JOB = "job"


class CheckTests(unittest.TestCase):
    """Tests that damage a sound history: a job, a start, and a request of two events."""

    def setUp(self):
        self.journal = Journal()
        self.given = [
            {"type": "job_created", "name": "example"},
            {"type": "execution_started", "task": "a", "execution": "x"},
            *(
                self.journal.mark({"type": "progress", "task": "a", "execution": "x", "report": report, "done": 2})
                for report in (1, 2)
            ),
        ]
        self.journal.add_start(Start(JOB, "a", "x", ACKNOWLEDGED, "", 2, 1))
        self.request([(JOB, event) for event in self.given[2:]], ACKNOWLEDGED, {JOB: 3})
        self.make_record()

    def request(self, events, outcome, first_sequences):
        self.journal.add(Exchange(copy.deepcopy(events), outcome, "", first_sequences))

    def make_record(self):
        """Sets the record of a sound ledger after the given events."""
        fold, self.record = Fold(), Record()
        for event in self.given:
            fold.add(event)
            self.journal.add_snapshot(JOB, fold.snapshot())
        events = []
        for sequence, event in enumerate(self.given, 1):
            verdict, is_late = fold.verdict(sequence)
            duplicate_of = fold.arrivals[sequence][3]
            shown = {"sequence": sequence, "verdict": verdict, "late": is_late, "duplicate_of": duplicate_of}
            events.append(shown | event)
        self.record.events[JOB] = events
        self.record.rows[JOB] = [{"sequence": sequence, **event} for sequence, event in enumerate(self.given, 1)]
        self.record.snapshots[JOB] = fold.snapshot()
        sums = {kind: {"total": both[0], "done": both[1]} for kind, both in fold.sums("").items()}
        self.record.sums[JOB, ""] = sums

    def assert_found(self, *claims):
        found = {claim for claim, problems in all_checks(self.journal, self.record).items() if problems}
        self.assertLessEqual(set(claims), found)

    def test_nothing_is_found_in_a_sound_ledger(self):
        self.assertEqual(
            [problem for problems in all_checks(self.journal, self.record).values() for problem in problems], []
        )

    def test_two_parts_may_use_the_same_number(self):
        self.given.append({**self.given[3], "part": "a", "done": 1})
        self.given[4] = self.journal.mark(self.given[4])
        self.request([(JOB, self.given[4])], ACKNOWLEDGED, {JOB: 5})
        self.make_record()
        self.assertEqual(all_checks(self.journal, self.record)["no report is counted twice"], [])

    def test_an_acknowledged_event_is_missing(self):
        self.given.pop()
        self.make_record()
        self.assert_found(
            "every acknowledged event is at its sequence with its content",
            "a request was recorded as a whole or not at all",
            "every snapshot read equals the fold's",
        )

    def test_an_acknowledged_event_has_changed(self):
        self.given[3]["done"] = 3
        self.make_record()
        self.assert_found("every acknowledged event is at its sequence with its content")

    def test_an_event_in_the_middle_is_missing(self):
        del self.record.events[JOB][1]
        self.assert_found("sequences have no gaps")

    def test_a_request_was_recorded_twice(self):
        self.given.append(self.given[3])
        self.make_record()
        self.assert_found("no request was recorded twice")

    def test_a_refused_event_was_recorded(self):
        self.journal.exchanges[0].outcome = REFUSED
        self.assert_found("no refused event is in the ledger")

    def test_a_refused_start_was_recorded(self):
        self.journal.starts[0].outcome = REFUSED
        self.assert_found("no refused event is in the ledger")

    def test_half_of_a_request_with_an_unknown_outcome_was_recorded(self):
        missing = self.journal.mark(self.given[3])
        self.request([(JOB, self.given[3]), (JOB, missing)], UNKNOWN, {})
        self.assert_found("a request was recorded as a whole or not at all")

    def test_no_reporter_sent_an_event(self):
        self.given.append({**self.given[3], "at": "2000-01-01T00:00:00.000000Z"})
        self.make_record()
        self.assert_found("every event was sent by a reporter")

    def test_a_start_is_at_another_sequence(self):
        self.journal.starts[0].sequence = 1
        self.assert_found("every acknowledged start is at its sequence")

    def test_a_report_counts_twice(self):
        self.given.append(self.journal.mark(self.given[3]))
        self.make_record()
        self.record.events[JOB][4]["verdict"] = "counted"
        self.assert_found("no report is counted twice", "every verdict equals the fold's")

    def test_sums_do_not_add_up(self):
        self.record.sums[JOB, ""]["counted"]["done"] += 1
        self.assert_found("received = counted + superseded + discarded")

    def test_a_snapshot_that_was_read_has_another_number(self):
        self.journal.snapshots[JOB, 3]["progress"][0]["done"] += 1
        self.assert_found("every snapshot read equals the fold's")

    def test_a_snapshot_was_read_at_a_missing_sequence(self):
        self.journal.snapshots[JOB, 9] = self.journal.snapshots[JOB, 3]
        self.assert_found("every snapshot read equals the fold's")

    def test_two_reads_differ(self):
        other = copy.deepcopy(self.journal.snapshots[JOB, 3])
        other["state"] = "completed"
        self.journal.add_snapshot(JOB, other)
        self.assert_found("every response was a documented one")

    def test_the_last_snapshot_has_another_number(self):
        self.record.snapshots[JOB] = {**self.record.snapshots[JOB], "state": "failed"}
        self.assert_found("every last snapshot equals the fold's")

    def test_the_database_has_another_number(self):
        self.record.rows[JOB][3]["done"] = 7
        self.assert_found("the database contains the events that the interface shows")


if __name__ == "__main__":
    unittest.main()
