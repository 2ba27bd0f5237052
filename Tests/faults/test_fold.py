"""Tests of the fold with examples of the specification."""

import unittest

from fold import Fold, given_event, shown_snapshot

CREATED = {"type": "job_created", "name": "example"}


def progress(task="a", **fields):
    return {"type": "progress", "task": task, **fields}


def started(execution, task="a", **fields):
    return {"type": "execution_started", "task": task, "execution": execution, **fields}


def fold(*events):
    result = Fold()
    for event in (CREATED, *events):
        result.add(event)
    return result


def done(result):
    return {shown["label"]: shown["done"] for shown in result.snapshot()["progress"]}


def verdicts(result):
    return [result.verdict(sequence)[0] for sequence in range(2, result.sequence + 1)]


class FoldTests(unittest.TestCase):
    def test_a_new_execution_supersedes_the_numbers_of_the_previous_one(self):
        result = fold(progress(execution="x", done=3), started("y"), progress(execution="y", done=1))
        self.assertEqual(done(result), {"": 1})
        self.assertEqual(verdicts(result), ["superseded", "counted", "counted"])
        self.assertEqual(result.snapshot()["progress"][0]["wasted_done"], 3)

    def test_a_zombie_is_late(self):
        result = fold(started("x"), started("y"), progress(execution="x", done=3))
        self.assertEqual(result.verdict(4), ("superseded", True))
        self.assertEqual(done(result), {})

    def test_a_lower_attempt_that_comes_late_is_superseded(self):
        result = fold(progress(attempt=2, done=1), progress(attempt=1, done=5))
        self.assertEqual(done(result), {"": 1})

    def test_the_later_one_of_equal_attempts_counts(self):
        result = fold(progress(execution="x", attempt=1, done=3), progress(execution="y", attempt=1, done=4))
        self.assertEqual(done(result), {"": 4})

    def test_an_attempt_alone_means_the_first_execution_with_it(self):
        result = fold(progress(execution="x", attempt=1, done=3), progress(attempt=1, done=4), progress(done=1))
        self.assertEqual(done(result), {"": 8})

    def test_a_report_counts_once(self):
        result = fold(progress(report=1, done=3), progress(report=1, done=3), progress(report=1, done=4))
        self.assertEqual(verdicts(result), ["counted", "duplicate", "conflict"])
        self.assertEqual(
            result.sums(""), {"received": [0, 10], "discarded": [0, 7], "counted": [0, 3], "superseded": [0, 0]}
        )

    def test_each_part_numbers_its_own_reports(self):
        result = fold(progress(report=1, done=3), progress(report=1, part="a", done=3), progress(report=1, part="a"))
        self.assertEqual(verdicts(result), ["counted", "counted", "conflict"])

    def test_carried_units_are_not_wasted(self):
        result = fold(progress(execution="x", done=5), progress(execution="y", done=7, carried=4))
        shown = result.snapshot()["progress"][0]
        self.assertEqual((shown["attempted_done"], shown["carried_done"], shown["wasted_done"]), (12, 4, 1))

    def test_the_first_unit_stays_and_the_newest_message_that_counted_is_shown(self):
        result = fold(
            progress(execution="x", unit="bytes", message="old"),
            started("y"),
            progress(execution="x", unit="tiles", message="late"),
        )
        self.assertEqual((result.labels[""]["unit"], result.labels[""]["message"]), ("bytes", "old"))
        self.assertEqual(result.snapshot()["message"], "old")

    def test_another_attempt_of_a_known_execution_is_a_conflict(self):
        result = fold(progress(execution="x", attempt=1, done=3), progress(execution="x", attempt=2, done=3))
        self.assertEqual(verdicts(result), ["counted", "conflict"])
        self.assertEqual(result.snapshot()["tasks"]["executions"], 1)

    def test_labels_beyond_a_thousand_are_over_the_limit(self):
        result = fold(*(progress(label=str(number), done=1) for number in range(1002)), progress(label="7", done=1))
        self.assertEqual(verdicts(result)[-4:], ["counted", "over_limit", "over_limit", "counted"])

    def test_a_discarded_event_fixes_the_position_of_its_label(self):
        result = fold(progress(report=1), progress(report=1, label="b"), progress(label="a"), progress(label="b"))
        self.assertEqual(list(done(result)), ["", "b", "a"])

    def test_a_new_last_execution_reopens_a_job(self):
        end = {"type": "job_finished", "outcome": "completed"}
        self.assertEqual(fold(started("x"), end, started("x")).snapshot()["state"], "completed")
        self.assertEqual(fold(started("x"), end).snapshot()["tasks"]["abandoned"], 1)
        self.assertEqual(fold(started("x"), end, started("y")).snapshot()["state"], "running")

    def test_percent_is_rounded_down(self):
        self.assertEqual(fold(progress(total=3, done=2)).snapshot()["progress"][0]["percent"], 66)
        self.assertIsNone(fold(progress(done=2)).snapshot()["progress"][0]["percent"])


class ShownTests(unittest.TestCase):
    def test_an_event_is_folded_as_it_was_given(self):
        shown = {**progress(attempt=1), "sequence": 2, "inferred": ["attempt"], "verdict": "counted", "hash": "00"}
        self.assertEqual(given_event(shown), progress())

    def test_a_snapshot_is_compared_without_times(self):
        snapshot = fold(progress(label="b", total=2, done=1)).snapshot()
        self.assertEqual(shown_snapshot({**snapshot, "now": "2026-01-01T00:00:00Z"}), snapshot)


if __name__ == "__main__":
    unittest.main()
