"""Tables for notebooks and terminals: of rows, of jobs, and of indicators. They are pure; callers pass the time.

Their HTML follows the rules of `view`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from .answers import Indicator
from .view import FONT, View, badge, bar, duration, escaped, grid, printable, remaining, row, text_bar, title

# The most rows of a table that are shown; loops and pandas get all rows.
TABLE_ROWS_MAX = 20


def rows_text(rows: list[dict[str, Any]], has_more: bool) -> str:
    """Formats rows as lines of plain text."""
    if not rows:
        return "no rows"
    columns = list(rows[0])
    return _aligned([columns, *([printable(_cell(row.get(column))) for column in columns] for row in rows)], has_more)


def _aligned(cells: list[list[str]], has_more: bool) -> str:
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join([*lines, "…"] if has_more else lines)


def rows_html(rows: list[dict[str, Any]], has_more: bool) -> str:
    """Formats rows as an HTML table."""
    if not rows:
        return "<div>no rows</div>"
    columns = list(rows[0])
    return _table(columns, [[escaped(_cell(row.get(column))) for column in columns] for row in rows], has_more)


def _table(columns: Sequence[str], cells: list[list[str]], has_more: bool) -> str:
    """A table of cells that are HTML."""
    style = "text-align:left;padding:.15rem .8rem .15rem 0;white-space:nowrap"
    head = "".join(f'<th style="{style}">{escaped(column)}</th>' for column in columns)
    body = "".join("<tr>" + "".join(f'<td style="{style}">{cell}</td>' for cell in line) + "</tr>" for line in cells)
    more = "<div>…</div>" if has_more else ""
    return (
        f'<div class="progress-ledger" style="{FONT};overflow-x:auto">'
        '<table style="border-collapse:collapse;font:inherit">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(value)


JOB_COLUMNS = ("job", "state", "progress", "remaining", "tasks", "failed", "started", "duration", "id")


def jobs_html(views: list[View], has_more: bool) -> str:
    """Formats jobs as an HTML table, in which names are links to the jobs' pages."""
    if not views:
        return "<div>no jobs</div>"
    lines = []
    for view in views:
        name, state, progress, *rest = _job_cells(view)
        overall = view.snapshot.percent if view.snapshot is not None else None
        shown = row(
            Indicator(None, overall or 0, 0 if overall is None else 100, overall, 0, 0, None), None, state, name
        )
        cell = f'<div style="display:flex;gap:.5rem;align-items:center"><div style="width:8rem">{bar(shown)}</div>'
        lines.append([title(name, view.page), badge(state), f"{cell}{escaped(progress)}</div>", *map(escaped, rest)])
    return _table(JOB_COLUMNS, lines, has_more)


def jobs_text(views: list[View], has_more: bool) -> str:
    """Formats jobs as lines of plain text."""
    if not views:
        return "no jobs"
    return _aligned([list(JOB_COLUMNS), *([printable(cell) for cell in _job_cells(view)] for view in views)], has_more)


def _job_cells(view: View) -> list[str]:
    snapshot = view.snapshot
    if snapshot is None:
        return [view.job, "not read yet", "", "", "", "", "", "", view.job]
    end = snapshot.finished_at if snapshot.is_finished else view.now
    length = "" if end is None or snapshot.started_at is None else (end - snapshot.started_at).total_seconds()
    return [
        snapshot.name, snapshot.state, "" if snapshot.percent is None else f"{snapshot.percent} %",
        remaining(snapshot, view.now), f"{snapshot.tasks.succeeded:,} / {snapshot.tasks.total:,}",
        f"{snapshot.tasks.failed:,}" if snapshot.tasks.failed else "", _local(snapshot.started_at),
        length if isinstance(length, str) else duration(length), view.job,
    ]  # fmt: skip


def _local(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")


def indicators_html(indicators: Sequence[Indicator]) -> str:
    """Formats indicators as bars."""
    if not indicators:
        return "<div>no indicators</div>"
    shown = [row(indicator, None) for indicator in indicators[:TABLE_ROWS_MAX]]
    more = "<div>…</div>" if len(indicators) > TABLE_ROWS_MAX else ""
    return f'<div class="progress-ledger" style="{FONT};max-width:52rem">{grid(shown)}{more}</div>'


def indicators_text(indicators: Sequence[Indicator]) -> str:
    """Formats indicators as lines of plain text."""
    if not indicators:
        return "no indicators"
    shown = [row(indicator, None) for indicator in indicators[:TABLE_ROWS_MAX]]
    wide = max(len(printable(one.label)) for one in shown)
    lines = [
        f"{printable(one.label):<{wide}}  {text_bar(one)}  {one.percent:>5}  {one.figures}"
        + (f"  ({one.note})" if one.note else "")
        for one in shown
    ]
    return "\n".join([*lines, "…"] if len(indicators) > TABLE_ROWS_MAX else lines)
