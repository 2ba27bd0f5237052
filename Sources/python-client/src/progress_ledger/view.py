"""Rendering of a job as HTML and as text. It is pure; callers pass the time.

The HTML has only inline styles, and colors with contrast on light and dark backgrounds, so that it looks the same in
JupyterLab, VS Code, Colab and an exported page, and stays readable if styles are removed (GitHub).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape

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
    return [row(indicator, now, snapshot.state, snapshot.name) for indicator in shown[:ROWS_MAX]]


def _is_done(indicator: Indicator) -> bool:
    return indicator.total > 0 and indicator.done >= indicator.total


def row(indicator: Indicator, now: datetime | None, state: str = "running", name: str = "default") -> Row:
    """Returns one indicator in the form of the view, of a job in this state.

    `name` is shown for the default indicator.
    """
    done, total = indicator.done, indicator.total
    is_finished = state != "running"
    color = COLORS.get(state, COLORS["running"])
    if not is_finished and _is_done(indicator):
        color = COLORS["completed"]
    superseded = indicator.attempted_done - done
    notes = [f"{superseded:,} more superseded"] if superseded > 0 else []
    label = indicator.label if indicator.label is not None else name
    if total == 0 and done == 0:
        words = "nothing to do" if is_finished else "no work declared yet"
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
    elif indicator.stalled_since is not None and not is_finished:
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
    left = remaining(snapshot, view.now)
    return f"{words}, {left}" if left else words


def remaining(snapshot: Snapshot, now: datetime | None) -> str:
    """The remaining time of a running job; empty without a prediction."""
    if snapshot.is_finished or not snapshot.estimate:
        return ""
    return snapshot.estimate.text(now)


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
            lines.append(f"  {printable(row.label):<{wide}}  {text_bar(row)}  {row.percent:>5}  {row.figures}{note}")
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


def text_bar(row: Row) -> str:
    """A bar in plain text."""
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
        title(name, view.page),
        badge(state_of(view), stale),
    ]
    if snapshot is not None and snapshot.percent is not None:
        parts.append(
            f'<span style="font-variant-numeric:tabular-nums;font-weight:600">{snapshot.percent}&nbsp;%</span>'
        )
    if snapshot is not None and remaining(snapshot, view.now):
        parts.append(f'<span style="opacity:.66">{escaped(remaining(snapshot, view.now))} left</span>')
    parts.append("</div>")
    if snapshot is not None:
        parts.append(_table(view, snapshot, stale))
    for line in (tasks_line(snapshot) if snapshot is not None else "", times_line(view), footer(view)):
        if line:
            parts.append(f'<div style="opacity:.66;font-size:12px">{escaped(line)}</div>')
    if trouble_line(view):
        parts.append(
            f'<div style="font-size:12px;color:{AMBER};overflow-wrap:anywhere">'
            f"&#9888; {escaped(trouble_line(view))}</div>"
        )
    parts.append("</div>")
    return "".join(parts)


def title(name: str, page: str | None) -> str:
    """The name of a job, as a link to its page if it has one."""
    shown = f'<bdi style="font-weight:650;font-size:14px;overflow-wrap:anywhere">{escaped(name)}</bdi>'
    if page is None:
        return shown
    # The page opens beside the notebook, and cannot reach it.
    link = f'<a href="{escaped(page)}" target="_blank" rel="noopener noreferrer"'
    return f'{link} style="color:inherit;text-decoration-color:rgba(127,127,127,.6)">{shown}</a>'


def state_of(view: View) -> str:
    """The state of the job in words."""
    return view.snapshot.state if view.snapshot is not None else "not read yet"


def badge(state: str, stale: bool = False) -> str:
    """A state as a badge, which has no fill while the state may have changed."""
    color = AMBER if stale else COLORS.get(state, COLORS["canceled"])
    look = f"color:{color};background:transparent" if stale else f"color:#fff;background:{color}"
    return (
        f'<span style="border:1px solid {color};border-radius:999px;padding:0 .55em;font-size:11.5px;font-weight:600;'
        f'white-space:nowrap;{look}">{escaped(state)}</span>'
    )


def _table(view: View, snapshot: Snapshot, stale: bool) -> str:
    table = rows(snapshot, view.now)
    if not table:
        words = "no indicators" if snapshot.is_finished else "no indicators yet"
        return f'<div style="opacity:.66;margin:.3rem 0">{words}</div>'
    parts = [grid(table, "opacity:.55" if stale else "")]
    hidden = len(snapshot.progress) - len(table)
    if hidden > 0:
        parts.append(f'<div style="opacity:.66;font-size:12px">and {hidden:,} more</div>')
    return "".join(parts)


def grid(table: list[Row], look: str = "") -> str:
    """Rows as aligned labels, bars and numbers."""
    return (
        '<div style="display:grid;'
        "grid-template-columns:minmax(6rem,max-content) minmax(8rem,1fr) max-content max-content;"
        f'column-gap:.8rem;row-gap:.28rem;align-items:center;margin:.45rem 0;{look}">'
        + "".join(_cells(row) for row in table)
        + "</div>"
    )


def _cells(row: Row) -> str:
    mark = "&#9888;&nbsp;" if row.standing in ("over", "stalled") else ""
    note_color = f"color:{AMBER}" if row.standing in ("over", "stalled") else "opacity:.66"
    note = f' <span style="{note_color};font-size:12px">{mark}{escaped(row.note)}</span>' if row.note else ""
    numbers = "font-variant-numeric:tabular-nums;white-space:nowrap"
    return (
        f'<bdi style="overflow-wrap:anywhere;max-width:18rem">{escaped(row.label)}</bdi>'
        f"{bar(row)}"
        f'<span style="{numbers};text-align:right;font-weight:600">{escaped(row.percent)}</span>'
        f'<span style="{numbers}">{escaped(row.figures)}{note}</span>'
    )


def bar(row: Row) -> str:
    """A bar, also for screen readers."""
    words = " ".join(part for part in (row.label, row.percent, row.figures, row.note) if part)
    value = f' aria-valuemin="0" aria-valuemax="100" aria-valuenow="{row.share}"' if row.share is not None else ""
    frame = f'role="progressbar"{value} aria-valuetext="{escaped(words)}"'
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


def escaped(value: str) -> str:
    """A text for HTML, with control characters made visible."""
    return escape(printable(value), quote=True)
