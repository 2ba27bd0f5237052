// Keeps the bars of a job up to date. Pages/IndicatorRow.swift makes the same.

import { duration, less, number, percent, rate, run, visible } from "./text.js";

const stalledAfter = 60_000;
const rateWindow = 30_000; // A rate is told over so much of what this page has seen.
const remarkTime = 20_000; // So long it is told why a number changed.

/** How an indicator stands, where done and total alone do not tell. */
export function standing(indicator, state, now) {
  const { done, total } = indicator;
  if (total == 0) return done == 0 ? "empty" : "unknown";
  if (done >= total) return done == total ? "complete" : "over";
  if (done == 0) return "waiting";
  return state === "running" && now - Date.parse(indicator.updated_at) > stalledAfter ? "stalled" : "moving";
}

function words(indicator) {
  if (indicator.percent === null) {
    return indicator.done == 0 ? "nothing declared" : `${indicator.done} done, total unknown`;
  }
  return `${indicator.done} of ${indicator.total}, ${indicator.percent} percent`;
}

/** Sets what has changed, so that nothing is laid out anew for nothing. */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows how far a bar is. */
export function setBar(bar, value, text) {
  const shown = value === null ? 0 : Math.min(100, Number(value));
  bar.querySelector(".fill").setAttribute("width", `${shown}%`);
  if (value === null) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", String(shown));
  bar.setAttribute("aria-valuetext", text);
  bar.setAttribute("aria-label", text);
}

class Row {
  #parts;
  #indicator = null;
  #samples = [];
  #remark = null;

  constructor(element) {
    this.element = element;
    this.#parts = Object.fromEntries(
      ["bar", "percent", "done", "total", "rate", "note", "label"].map((name) => [name, element.querySelector(`.${name}`)]));
  }

  /** A row of an indicator that has appeared. */
  static make(indicator, link) {
    const row = new Row(document.querySelector("#indicator").content.firstElementChild.cloneNode(true));
    row.element.dataset.label = indicator.label ?? "";
    row.#parts.label.href = link;
    if (indicator.label !== null) {
      const name = document.createElement("bdi");
      name.textContent = visible(indicator.label);
      row.#parts.label.replaceChildren(name);
    }
    return row;
  }

  /** Takes a new snapshot in; true where a number fell. */
  take(indicator, now) {
    const before = this.#indicator;
    this.#indicator = indicator;
    if (before !== null && before.done === indicator.done && before.total === indicator.total) return false;
    this.#samples.push({ at: now, done: Number(indicator.done) });
    set(this.#parts.percent, percent(indicator.percent));
    set(this.#parts.done, number(indicator.done));
    set(this.#parts.total, indicator.total == 0 ? "" : `\u2009/\u2009${number(indicator.total)}`);
    setBar(this.#parts.bar, indicator.percent, `${indicator.label ?? "default"}: ${words(indicator)}`);
    if (before === null) return false;
    if (indicator.done < before.done || indicator.total < before.total) {
      this.#samples = [];
      this.remark("fell", change(before, indicator), now);
      return true;
    }
    if (indicator.total > before.total && before.total != 0) {
      this.remark("grew", `total +${number(less(indicator.total, before.total))}`, now);
    }
    return false;
  }

  remark(kind, text, now) {
    this.#remark = { kind, text, until: now + remarkTime };
  }

  /** Shows what changes with time alone. */
  tick(state, now) {
    const indicator = this.#indicator;
    if (indicator === null) return;
    const stands = standing(indicator, state, now);
    if (this.element.dataset.standing !== stands) this.element.dataset.standing = stands;
    if (this.#remark !== null && this.#remark.until < now) this.#remark = null;
    const note = this.#parts.note;
    note.classList.toggle("fell", this.#remark?.kind === "fell");
    note.classList.toggle("grew", this.#remark?.kind === "grew");
    set(note, this.#remark?.text ?? remarkOf(indicator, stands, now));
    set(this.#parts.rate, state === "running" && (stands === "moving" || stands === "unknown") ? rate(this.#rate(now)) : "");
  }

  #rate(now) {
    while (this.#samples.length > 2 && this.#samples[0].at < now - rateWindow) this.#samples.shift();
    const first = this.#samples[0], last = this.#samples.at(-1);
    // Counted up to now, so that it falls when nothing comes.
    return first && last.done > first.done ? (last.done - first.done) / Math.max(1, (now - first.at) / 1000) : 0;
  }
}

function change(before, after) {
  const parts = [];
  if (after.done < before.done) parts.push(`−${number(less(before.done, after.done))}`);
  if (after.total < before.total) parts.push(`total −${number(less(before.total, after.total))}`);
  return parts.join(", ");
}

function remarkOf(indicator, stands, now) {
  switch (stands) {
    case "empty": return "no units declared";
    case "unknown": return "total unknown";
    case "over": return `${number(less(indicator.done, indicator.total))} more than declared`;
    case "stalled": return `stalled for ${duration(now - Date.parse(indicator.updated_at))}`;
    default: return "";
  }
}

/** All bars of a job. */
export class Indicators {
  #list = document.querySelector("ul.indicators");
  #empty = document.querySelector("#indicators .empty");
  #rows = new Map();
  #link;
  #state = "running";

  constructor(link) {
    this.#link = link;
    for (const element of this.#list.children) this.#rows.set(element.dataset.label, new Row(element));
  }

  /** Shows a snapshot; returns the labels whose numbers fell. */
  show(job, now) {
    this.#state = job.state;
    const fell = [];
    const labels = new Set();
    let place = this.#list.firstElementChild;
    for (const indicator of job.progress) {
      const label = indicator.label ?? "";
      labels.add(label);
      let row = this.#rows.get(label);
      if (row === undefined) {
        row = Row.make(indicator, this.#link(label));
        this.#rows.set(label, row);
      }
      // In the order of the snapshot.
      if (row.element === place) place = place.nextElementSibling;
      else this.#list.insertBefore(row.element, place);
      if (row.take(indicator, now)) fell.push(label);
    }
    for (const [label, row] of this.#rows) {
      if (labels.has(label)) continue;
      row.element.remove();
      this.#rows.delete(label);
    }
    this.#empty.hidden = labels.size > 0;
    this.tick(now);
    return fell;
  }

  tick(now) {
    for (const row of this.#rows.values()) row.tick(this.#state, now);
  }

  /** Says why numbers fell: the runs that were superseded, and what they had counted. */
  explain(superseded, now) {
    for (const [label, row] of this.#rows) {
      const causes = superseded.flatMap((change) => change.lost.filter((lost) => (lost.label ?? "") === label)
        .filter((lost) => lost.done > 0 || lost.total > 0).map((lost) => ({ change, lost })));
      if (causes.length === 0) continue;
      const { change, lost } = causes.at(-1);
      const units = lost.done > 0 ? `−${number(lost.done)}` : `total −${number(lost.total)}`;
      const more = causes.length > 1 ? `, and ${causes.length - 1} more` : "";
      row.remark("fell", `${units}: ${visible(change.task)} restarted, ${run(change.superseded_by)}${more}`, now);
    }
    this.tick(now);
  }
}
