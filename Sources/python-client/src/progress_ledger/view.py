"""Rendering of a job as HTML and as text. It is pure; callers pass the time.

The HTML has only inline styles, and colors with contrast on light and dark backgrounds, so that it looks the same in
JupyterLab, VS Code, Colab and an exported page, and stays readable if styles are removed (GitHub).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from .answers import Indicator, Snapshot

# The most indicators that are shown; if there are more, finished ones are omitted first.
ROWS_MAX = 40

COLORS = {"running": "#2f74e0", "completed": "#1f9d57", "failed": "#d64545", "canceled": "#7d8590"}
AMBER = "#d08700"
TRACK = "rgba(127,127,127,.24)"
FONT = "font:13px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


@dataclass(frozen=True)
class View:
    """The known state of a job, and its freshness."""

    job: str
    snapshot: Snapshot | None
    now: datetime | None
    """The time of the view by the ledger's clock; None if unknown."""
    as_of: datetime | None = None
    """The last time at which the snapshot was current."""
    trouble: str | None = None
    """The error that prevents a newer snapshot, if any."""
    trouble_since: datetime | None = None
    is_final: bool = False
    """Whether this is the last view."""
    page: str | None = None
    """The URL of the job's page; None without a ledger."""


@dataclass(frozen=True)
class Row:
    """One indicator in the form of the view."""

    label: str
    percent: str
    figures: str
    note: str
    share: int | None
    """The full part of the bar in percent; None if the total is unknown."""
    color: str
    standing: str
    """`empty`, `unknown`, `waiting`, `moving`, `stalled`, `complete` or `over`."""


def rows(snapshot: Snapshot, now: datetime | None) -> list[Row]:
    """Returns the indicators in the order of the view."""
    shown = list(snapshot.progress)
    if len(shown) > ROWS_MAX:
        # Unfinished indicators first; otherwise in the order of the job.
        shown.sort(key=_is_done)
    return [_row(indicator, snapshot, now) for indicator in shown[:ROWS_MAX]]


def _is_done(indicator: Indicator) -> bool:
    return indicator.total > 0 and indicator.done >= indicator.total


def _row(indicator: Indicator, snapshot: Snapshot, now: datetime | None) -> Row:
    done, total = indicator.done, indicator.total
    color = COLORS.get(snapshot.state, COLORS["running"])
    if snapshot.state == "running" and _is_done(indicator):
        color = COLORS["completed"]
    superseded = indicator.attempted_done - done
    notes = [f"{superseded:,} more superseded"] if superseded > 0 else []
    label = indicator.label if indicator.label is not None else snapshot.name
    if total == 0 and done == 0:
        words = "nothing to do" if snapshot.is_finished else "no work declared yet"
        return Row(label, "", "0 / 0", ", ".join([words, *notes]), 0, color, "empty")
    if total == 0:
        return Row(label, "", f"{done:,}", ", ".join(["total unknown", *notes]), None, color, "unknown")
    percent = f"{done * 100 // total} %"
    figures = f"{done:,} / {total:,}"
    if done > total:
        return Row(label, percent, figures, ", ".join([f"{done - total:,} over", *notes]), 100, AMBER, "over")
    share, standing = done * 100 // total, "moving"
    if done == total:
        standing = "complete"
    elif done == 0:
        standing = "waiting"
    elif indicator.stalled_since is not None and not snapshot.is_finished:
        since = "" if now is None else f" for {duration((now - indicator.stalled_since).total_seconds())}"
        notes.insert(0, f"stalled{since}")
        color, standing = AMBER, "stalled"
    return Row(label, percent, figures, ", ".join(notes), share, color, standing)


def duration(seconds: float) -> str:
    """Formats a duration in its largest whole unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(0.0, seconds))} s"


def headline(view: View) -> str:
    """The state and the overall percentage."""
    snapshot = view.snapshot
    if snapshot is None:
        return "not read yet"
    words = snapshot.state if snapshot.percent is None else f"{snapshot.state}, {snapshot.percent} %"
    remaining = snapshot.estimate.text(view.now) if snapshot.estimate else ""
    return f"{words}, {remaining}" if remaining else words


def tasks_line(snapshot: Snapshot) -> str:
    """The number of tasks by state; empty without tasks."""
    tasks = snapshot.tasks
    words = [
        f"{count:,} {name}"
        for name, count in (
            ("running", tasks.running), ("succeeded", tasks.succeeded), ("failed", tasks.failed),
            ("canceled", tasks.canceled), ("abandoned", tasks.abandoned), ("silent", tasks.silent),
        )
        if count
    ]  # fmt: skip
    if not words:
        return ""
    if snapshot.idle_since is not None:
        words.append("idle, although the job has not ended")
    noun = "task" if tasks.total == 1 else "tasks"
    superseded = tasks.superseded_executions
    if superseded:
        words.append(f"{superseded:,} superseded {'execution' if superseded == 1 else 'executions'}")
    return f"{noun}: {' · '.join(words)}"


def times_line(view: View) -> str:
    """The start of the job, and for how long it has been running or ran; empty before its start."""
    snapshot = view.snapshot
    if snapshot is None or snapshot.started_at is None:
        return ""
    started = f"started {_local(snapshot.started_at)}"
    end = snapshot.finished_at if snapshot.is_finished else view.now
    if end is None:
        return started
    length = duration((end - snapshot.started_at).total_seconds())
    return f"{started} · {'took' if snapshot.is_finished else 'running for'} {length}"


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def footer(view: View) -> str:
    """The freshness of the view."""
    parts = []
    if view.as_of is not None:
        parts.append(f"as of {_local(view.as_of)}")
    if view.snapshot is not None:
        parts.append(f"sequence {view.snapshot.sequence:,}")
        lag = view.snapshot.ledger_sequence - view.snapshot.sequence
        if lag > 0:
            parts.append(f"{lag:,} {'event' if lag == 1 else 'events'} behind")
    return " · ".join(parts)


def trouble_line(view: View) -> str:
    """The error that prevents updates of the view; empty without one."""
    if view.trouble is None:
        return ""
    since = f" since {view.trouble_since.astimezone().strftime('%H:%M:%S')}" if view.trouble_since else ""
    return f"gave up{since}: {view.trouble}" if view.is_final else f"reconnecting{since}: {view.trouble}"


def text(view: View) -> str:
    """The view as plain text."""
    snapshot = view.snapshot
    lines = [f"{printable(snapshot.name) if snapshot else view.job}  {headline(view)}"]
    if snapshot is not None:
        table = rows(snapshot, view.now)
        wide = max((len(printable(row.label)) for row in table), default=0)
        for row in table:
            note = f"  ({row.note})" if row.note else ""
            lines.append(f"  {printable(row.label):<{wide}}  {_text_bar(row)}  {row.percent:>5}  {row.figures}{note}")
        hidden = len(snapshot.progress) - len(table)
        if hidden > 0:
            lines.append(f"  and {hidden:,} more")
        if not table:
            lines.append("  no indicators yet" if not snapshot.is_finished else "  no indicators")
        if tasks_line(snapshot):
            lines.append(f"  {tasks_line(snapshot)}")
    below = (times_line(view), footer(view), printable(view.page or ""), printable(trouble_line(view)))
    lines += [f"  {line}" for line in below if line]
    return "\n".join(lines)


def _text_bar(row: Row) -> str:
    if row.share is None:
        return "?" * 20
    full = row.share * 20 // 100
    return ("!" if row.standing == "stalled" else "#") * full + "." * (20 - full)


def printable(value: str) -> str:
    """Makes control and direction characters of a text visible."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in value)


def html(view: View) -> str:
    """The view as HTML."""
    snapshot = view.snapshot
    stale = view.trouble is not None and not view.is_final
    name = snapshot.name if snapshot is not None else view.job
    parts = [
        f'<div class="progress-ledger" style="{FONT};max-width:52rem;padding:.35rem .1rem;color:inherit">',
        '<div style="display:flex;align-items:baseline;gap:.6rem;flex-wrap:wrap">',
        _title(name, view.page),
        _state(view, stale),
    ]
    if snapshot is not None and snapshot.percent is not None:
        parts.append(
            f'<span style="font-variant-numeric:tabular-nums;font-weight:600">{snapshot.percent}&nbsp;%</span>'
        )
    parts.append("</div>")
    if snapshot is not None:
        parts.append(_table(view, snapshot, stale))
    for line in (tasks_line(snapshot) if snapshot is not None else "", times_line(view), footer(view)):
        if line:
            parts.append(f'<div style="opacity:.66;font-size:12px">{_escaped(line)}</div>')
    if trouble_line(view):
        parts.append(
            f'<div style="font-size:12px;color:{AMBER};overflow-wrap:anywhere">'
            f"&#9888; {_escaped(trouble_line(view))}</div>"
        )
    parts.append("</div>")
    return "".join(parts)


def _title(name: str, page: str | None) -> str:
    title = f'<bdi style="font-weight:650;font-size:14px;overflow-wrap:anywhere">{_escaped(name)}</bdi>'
    if page is None:
        return title
    # The page opens beside the notebook, and cannot reach it.
    link = f'<a href="{_escaped(page)}" target="_blank" rel="noopener noreferrer"'
    return f'{link} style="color:inherit;text-decoration-color:rgba(127,127,127,.6)">{title}</a>'


def _state(view: View, stale: bool) -> str:
    state = view.snapshot.state if view.snapshot is not None else "not read yet"
    color = AMBER if stale else COLORS.get(state, COLORS["canceled"])
    # The badge has no fill while the state may have changed.
    look = f"color:{color};background:transparent" if stale else f"color:#fff;background:{color}"
    return (
        f'<span style="border:1px solid {color};border-radius:999px;padding:0 .55em;font-size:11.5px;font-weight:600;'
        f'white-space:nowrap;{look}">{_escaped(state)}</span>'
    )


def _table(view: View, snapshot: Snapshot, stale: bool) -> str:
    table = rows(snapshot, view.now)
    if not table:
        words = "no indicators" if snapshot.is_finished else "no indicators yet"
        return f'<div style="opacity:.66;margin:.3rem 0">{words}</div>'
    parts = [
        '<div style="display:grid;'
        "grid-template-columns:minmax(6rem,max-content) minmax(8rem,1fr) max-content max-content;"
        f'column-gap:.8rem;row-gap:.28rem;align-items:center;margin:.45rem 0;opacity:{".55" if stale else "1"}">'
    ]
    parts += [_cells(row) for row in table]
    parts.append("</div>")
    hidden = len(snapshot.progress) - len(table)
    if hidden > 0:
        parts.append(f'<div style="opacity:.66;font-size:12px">and {hidden:,} more</div>')
    return "".join(parts)


def _cells(row: Row) -> str:
    mark = "&#9888;&nbsp;" if row.standing in ("over", "stalled") else ""
    note_color = f"color:{AMBER}" if row.standing in ("over", "stalled") else "opacity:.66"
    note = f' <span style="{note_color};font-size:12px">{mark}{_escaped(row.note)}</span>' if row.note else ""
    numbers = "font-variant-numeric:tabular-nums;white-space:nowrap"
    return (
        f'<bdi style="overflow-wrap:anywhere;max-width:18rem">{_escaped(row.label)}</bdi>'
        f"{_bar(row)}"
        f'<span style="{numbers};text-align:right;font-weight:600">{_escaped(row.percent)}</span>'
        f'<span style="{numbers}">{_escaped(row.figures)}{note}</span>'
    )


def _bar(row: Row) -> str:
    words = " ".join(part for part in (row.label, row.percent, row.figures, row.note) if part)
    value = f' aria-valuemin="0" aria-valuemax="100" aria-valuenow="{row.share}"' if row.share is not None else ""
    frame = f'role="progressbar"{value} aria-valuetext="{_escaped(words)}"'
    shape = "height:9px;border-radius:5px;box-sizing:border-box;overflow:hidden"
    if row.standing == "empty":
        return f'<div {frame} style="{shape};border:1px dashed rgba(127,127,127,.6)"></div>'
    if row.standing == "unknown":
        stripes = f"repeating-linear-gradient(-45deg,{row.color} 0 6px,{TRACK} 6px 12px)"
        return f'<div {frame} style="{shape};background:{stripes};opacity:.75"></div>'
    fill = row.color
    if row.standing == "stalled":
        fill = f"repeating-linear-gradient(90deg,{row.color} 0 5px,rgba(127,127,127,.35) 5px 7px)"
    # Any progress shows at least a minimal bar, and only complete progress shows the full bar.
    width = f"max({row.share}%,3px)" if row.figures[0] != "0" else "0"
    return (
        f'<div {frame} style="{shape};background:{TRACK}">'
        f'<div style="height:100%;width:{width};background:{fill};border-radius:5px"></div></div>'
    )


def _escaped(value: str) -> str:
    return escape(printable(value), quote=True)


# The most rows of a table that are shown; loops and pandas get all rows.
TABLE_ROWS_MAX = 20


def table_text(rows: list[dict[str, Any]], has_more: bool) -> str:
    """Formats rows as lines of plain text."""
    if not rows:
        return "no rows"
    columns = list(rows[0])
    cells = [columns, *([printable(_cell(row.get(column))) for column in columns] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join([*lines, "…"] if has_more else lines)


def table_html(rows: list[dict[str, Any]], has_more: bool) -> str:
    """Formats rows as an HTML table."""
    if not rows:
        return "<div>no rows</div>"
    style = "text-align:left;padding:.15rem .8rem .15rem 0;white-space:nowrap"
    head = "".join(f'<th style="{style}">{_escaped(column)}</th>' for column in rows[0])
    body = "".join(
        "<tr>" + "".join(f'<td style="{style}">{_escaped(_cell(row.get(column)))}</td>' for column in rows[0]) + "</tr>"
        for row in rows
    )
    more = "<div>…</div>" if has_more else ""
    return (
        f'<div class="progress-ledger" style="{FONT}"><table style="border-collapse:collapse">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}</div>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(value)
