"""The comparison of the journal with the ledger's contents, as pure functions."""

from fold import DISCARDED, Fold, given_event, report_number
from journal import ACKNOWLEDGED, REFUSED
from record import stored_event


def all_checks(journal, record):
    """Returns every check as a claim with the problems that contradict it."""
    locations, repeated = _locations(record)
    folds, snapshots = _fold_all(journal, record)
    return {
        "sequences have no gaps": _gaps(record),
        "every acknowledged event is at its sequence with its content": _acknowledged(journal, record),
        "no request was recorded twice": repeated,
        "no refused event is in the ledger": _refused(journal, record, locations),
        "a request was recorded as a whole or not at all": _partial(journal, locations),
        "every event was sent by a reporter": _unsent(journal, locations),
        "every acknowledged start is at its sequence": _starts(journal, record, folds),
        "no report is counted twice": _counted_twice(record, folds),
        "every verdict equals the fold's": _verdicts(record, folds),
        "received = counted + superseded + discarded": _conservation(record, folds),
        "every snapshot read equals the fold's": snapshots,
        "every last snapshot equals the fold's": _last_snapshots(record, folds),
        "the database contains the events that the interface shows": _rows(record),
        "every response was a documented one": list(journal.violations),
    }


def _locations(record):
    """Returns the job and sequence of each marker, and the markers that exist twice."""
    locations, repeated = {}, []
    for job, events in record.events.items():
        for event in events:
            if "at" not in event:
                continue
            location = (job, event["sequence"])
            if event["at"] in locations:
                repeated.append(f"marker {event['at']} is at {locations[event['at']]} and at {location}")
            locations[event["at"]] = location
    return locations, repeated


def _fold_all(journal, record):
    """Folds all jobs, and compares each snapshot that was read with the fold's."""
    folds, problems = {}, []
    read = {}
    for (job, sequence), snapshot in journal.snapshots.items():
        read.setdefault(job, {})[sequence] = snapshot
    for job, events in record.events.items():
        fold, snapshots = Fold(), read.get(job, {})
        for event in [None, *events]:
            if event is not None:
                fold.add(given_event(event), event["sequence"])
            snapshot = snapshots.pop(fold.sequence, None)
            if snapshot is not None and snapshot != fold.snapshot():
                problems.append(f"{job} at {fold.sequence}: {difference(snapshot, fold.snapshot())}")
        folds[job] = fold
        problems += [f"{job} was read at {sequence}, but has no such event" for sequence in snapshots]
    return folds, problems


def _by_sequence(record):
    """Returns the events by job and sequence."""
    return {(job, event["sequence"]): event for job, events in record.events.items() for event in events}


def _gaps(record):
    problems = []
    for job, events in record.events.items():
        sequences = [event["sequence"] for event in events]
        if sequences != list(range(1, len(events) + 1)):
            problems.append(f"{job} has {len(events)} events with sequences from {sequences[:1]} to {sequences[-1:]}")
    return problems


def _acknowledged(journal, record):
    problems, events = [], _by_sequence(record)
    for exchange in journal.exchanges:
        if exchange.outcome != ACKNOWLEDGED:
            continue
        next_sequences = dict(exchange.first_sequences)
        for job, event in exchange.events:
            sequence = next_sequences[job]
            next_sequences[job] += 1
            found = given_event(events.get((job, sequence), {}))
            if found != event:
                problems.append(f"{job} at {sequence}: acknowledged {event}, found {found}")
    return problems


def _refused(journal, record, locations):
    problems = []
    for exchange in journal.exchanges:
        if exchange.outcome == REFUSED:
            for _, event in exchange.events:
                if event["at"] in locations:
                    problems.append(f"{event} is at {locations[event['at']]}; the response was {exchange.response}")
    refused = {(start.job, start.execution) for start in journal.starts}
    refused -= {(start.job, start.execution) for start in journal.starts if start.outcome != REFUSED}
    for job, events in record.events.items():
        for event in events:
            if (job, event.get("execution")) in refused:
                problems.append(f"{job} at {event['sequence']}: the start was refused: {event}")
    return problems


def _partial(journal, locations):
    problems = []
    for exchange in journal.exchanges:
        found = [locations.get(event["at"]) for _, event in exchange.events]
        if None in found and any(location is not None for location in found):
            problems.append(f"only some of {exchange.events} exist: {found}; the response was {exchange.response}")
        by_job = {}
        for location in found:
            if location is not None:
                by_job.setdefault(location[0], []).append(location[1])
        for job, sequences in by_job.items():
            if sequences != list(range(sequences[0], sequences[0] + len(sequences))):
                problems.append(f"the events of one request are at {sequences} of {job}")
    return problems


def _unsent(journal, locations):
    sent = {event["at"] for exchange in journal.exchanges for _, event in exchange.events}
    return [f"{marker} at {location} was never sent" for marker, location in locations.items() if marker not in sent]


def _starts(journal, record, folds):
    problems, events = [], _by_sequence(record)
    for start in journal.starts:
        if start.outcome != ACKNOWLEDGED:
            continue
        found = events.get((start.job, start.sequence), {})
        if (found.get("task"), found.get("execution")) != (start.task, start.execution):
            problems.append(f"{start}: found {found}")
            continue
        attempt = folds[start.job].arrivals[start.sequence][1].attempt
        if start.attempt not in (None, attempt):
            problems.append(f"{start}: the fold gives attempt {attempt}")
    return problems


def _counted_twice(record, folds):
    """Finds reports that count twice by the ledger's own verdicts, independent of the fold."""
    problems = []
    for job, events in record.events.items():
        seen = {}
        for event in events:
            if event.get("report") is None or event["verdict"] in DISCARDED:
                continue
            execution = folds[job].arrivals[event["sequence"]][1]
            number = report_number(event)
            other = seen.setdefault((id(execution), number), event)
            if other is not event:
                problems.append(f"{job}: report {number} at {other['sequence']} and {event['sequence']}")
    return problems


def _verdicts(record, folds):
    problems = []
    for job, events in record.events.items():
        for event in events:
            verdict, is_late = folds[job].verdict(event["sequence"])
            expected = (verdict, is_late, folds[job].arrivals[event["sequence"]][3])
            shown = (event["verdict"], event.get("late", False), event.get("duplicate_of"))
            if shown != expected:
                problems.append(f"{job} at {event['sequence']}: {shown} is shown, the fold gives {expected}")
    return problems


def _conservation(record, folds):
    problems = []
    for (job, label), shown in record.sums.items():
        for field, index in (("total", 0), ("done", 1)):
            sums = {kind: both[index] for kind, both in folds[job].sums(label).items()}
            found = {kind: shown[kind][field] for kind in sums}
            if found != sums or found["received"] != sum(
                found[kind] for kind in ("counted", "superseded", "discarded")
            ):
                problems.append(f"{field} of '{label}' in {job}: {found} is shown, the fold gives {sums}")
    return problems


def _last_snapshots(record, folds):
    return [
        f"{job}: {difference(snapshot, folds[job].snapshot())}"
        for job, snapshot in record.snapshots.items()
        if snapshot != folds[job].snapshot()
    ]


def _rows(record):
    problems = []
    for job, events in record.events.items():
        shown = [{"sequence": event["sequence"], **stored_event(event)} for event in events]
        stored = [{field: value for field, value in row.items() if value != {}} for row in record.rows[job]]
        if shown != stored:
            pairs = [(one, other) for one, other in zip(shown, stored) if one != other]
            problems.append(f"{job}: {len(shown)} shown, {len(stored)} stored, first difference {pairs[:1]}")
    return problems


def difference(shown, expected):
    """Describes the fields in which two snapshots differ."""
    fields = [field for field in expected if shown.get(field) != expected[field]]
    return "; ".join(f"{field} is {shown.get(field)}, the fold gives {expected[field]}" for field in fields)
