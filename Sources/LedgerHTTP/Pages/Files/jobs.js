// Makes the list of jobs live.

import { now } from "./clock.js";
import { Connection } from "./connection.js";
import { followList } from "./feed.js";
import { setBar } from "./indicators.js";
import { Part } from "./parts.js";
import "./session.js";
import { showSilences } from "./silence.js";
import { duration, firstLine, number, percent, remaining, silentText } from "./text.js";
import { setTime, showAges } from "./times.js";
import { urgencyOf } from "./urgency.js";

const listInterval = 1_000; // The list is not fetched more often than this.
const sortedInterval = 5_000; // Milliseconds between two changes of an order that depends on progress.

const base = new URL("..", import.meta.url); // The modules are at BASE/pages/.
const section = document.querySelector("#list");
const query = new URL(section.dataset.watch, location.href).search;
const isSorted = !["newest", "oldest"].includes(section.dataset.sort);
const address = new URL(location.href);
const connection = new Connection();
let order = 0; // Counts the changes that may have changed an order by something else than age.

document.body.classList.add("scripted");

const rows = () => [...document.querySelectorAll("tr[data-job]")];
const rowOf = (id) => document.querySelector(`tr[data-job="${CSS.escape(id)}"]`);

/** Identifies jobs and their states. The list and its counts are fetched again if one of them changes. */
const version = (entries) => `${entries.map(([id, state]) => `${id} ${state}`).sort().join(" ")} ${order}`;

const list = new Part("list", {
  address: () => address,
  interval: () => (isSorted ? sortedInterval : listInterval),
  applies: () => true,
  afterwards() {
    for (const job of jobs.values()) showRow(job);
    show();
  },
  version: version(rows().map((row) => [row.dataset.job, row.dataset.state])),
});

function setText(element, text) {
  if (element !== null && element.textContent !== text) element.textContent = text;
}

/** Shows a job in its row. */
function showRow(job) {
  const row = rowOf(job.job);
  if (row === null) return;
  const find = (selector) => row.querySelector(selector);
  row.dataset.state = job.state;
  setText(find(".state"), job.state);
  setBar(find(".bar"), job.percent, job.percent === null ? "no units declared" : `${job.percent} percent`);
  setText(find(".percent"), percent(job.percent));
  setText(find(".failures"), job.tasks.failed == 0 ? "" : `${number(job.tasks.failed)} failed`);
  setText(find(".tasks"), `${number(job.tasks.succeeded)}\u2009/\u2009${number(job.tasks.total)}`);
  setText(find(".newest"), firstLine(job.message));
  for (const time of row.querySelectorAll(".changed time")) setTime(time, job.updated_at ?? job.created_at);
  if (job.state !== "running") {
    setText(find(".finish"), "");
    find(".late").hidden = true;
  }
  find(".silence").dataset.since = job.stalled_since ?? "";
  setText(find(".silent"), job.state === "running" ? silentText(job.tasks) : "");
}

const { jobs, isComplete } = followList(query, {
  state: (state, detail, error) => connection.set(state, detail, error),
  show(job, isKnown) {
    if (isSorted && isKnown) order += 1;
    showRow(job);
  },
  arrived(newest) {
    // The list is fetched again if it has other jobs than the page, or jobs in other states.
    if (isComplete()) list.request(version([...jobs].map(([id, job]) => [id, job.state])));
    connection.changed(newest);
  },
});

function tick() {
  // Without a connection the page keeps its last state, because later reports are unknown.
  if (connection.state === "lost") return;
  for (const job of jobs.values()) {
    if (job.state !== "running") continue;
    const row = rowOf(job.job);
    if (row === null) continue;
    const left = remaining(job.estimate, now());
    setText(row.querySelector(".finish"), left === "" ? "" : `${left} left`);
    row.querySelector(".late").hidden = urgencyOf(job, row.dataset.deadline) !== "late";
    setText(row.querySelector(".elapsed"), duration(now() - Date.parse(job.started_at ?? job.created_at)));
  }
  showSilences((element) => element.closest("[data-state]")?.dataset.state === "running");
  showAges();
}

/** Completes what the server has rendered. */
function show() {
  document.querySelector("form.filters").hidden = document.querySelector("#list .start") !== null;
  // The browser knows the scheme and the path by which a proxy serves the ledger.
  for (const element of document.querySelectorAll(".server")) setText(element, base.href.replace(/\/$/, ""));
  tick();
}

show();

addEventListener("change", (event) => {
  if (event.target.matches("form.filters :is(select, input[type=checkbox])")) event.target.form.requestSubmit();
});
document.addEventListener("visibilitychange", () => list.schedule());
setInterval(tick, 1000);
