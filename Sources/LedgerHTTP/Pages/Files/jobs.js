// Makes the list of jobs live.

import { learnAtLeast, now } from "./clock.js";
import { Connection } from "./connection.js";
import { Feed } from "./feed.js";
import { setBar } from "./indicators.js";
import { Part } from "./parts.js";
import "./session.js";
import { showSilences } from "./silence.js";
import { duration, firstLine, number, parse, percent, remaining, silentText } from "./text.js";
import { setTime, showTimes, showZone } from "./times.js";
import { urgencyOf } from "./urgency.js";

const listInterval = 1_000; // The list is not fetched more often than this.
const sortedInterval = 5_000; // Milliseconds between two changes of an order that depends on progress.
const visibleInterval = 5_000; // Milliseconds between polls of a page without a stream.

const base = new URL("..", import.meta.url); // The modules are at BASE/pages/.
const section = document.querySelector("#list");
const query = new URL(section.dataset.watch, location.href).search;
const isSorted = !["newest", "oldest"].includes(section.dataset.sort);
const address = new URL(location.href);
const connection = new Connection();
const jobs = new Map();
let listed = null; // The ids of the jobs in the list; null until they are known.
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
  setText(find(".silent"), job.state === "running" ? silentText(job.tasks.silent ?? 0) : "");
}

function showJob(job) {
  learnAtLeast(Date.parse(job.now));
  if (isSorted && jobs.has(job.job)) order += 1;
  jobs.set(job.job, job);
  showRow(job);
}

/** Fetches the list again if it shows other jobs, or jobs in other states. */
function requestList() {
  list.request(version([...jobs].map(([id, job]) => [id, job.state])));
}

/** Sets the jobs in the list. */
function showList(ids) {
  for (const id of jobs.keys()) if (!ids.includes(id)) jobs.delete(id);
  listed = ids;
}

/** Handles what has arrived, once all jobs of the list are known. */
function arrived() {
  if (listed !== null && listed.every((id) => jobs.has(id))) requestList();
  const times = [...jobs.values()].map((job) => job.updated_at).filter((time) => time !== null);
  connection.changed(times.sort().at(-1) ?? null);
}

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
  showTimes();
}

/** Completes what the server has rendered. */
function show() {
  document.querySelector("form.filters").hidden = document.querySelector("#list .start") !== null;
  // The browser knows the scheme and the path by which a proxy serves the ledger.
  for (const element of document.querySelectorAll(".server")) setText(element, base.href.replace(/\/$/, ""));
  tick();
}

show();
showZone();

new Feed(new URL(`v1/watch${query}`, base), {
  waits: false, interval: visibleInterval, hiddenInterval: null, endedInterval: visibleInterval,
  state: (state, detail, error) => connection.set(state, detail, error),
  event(name, data) {
    const value = parse(data);
    if (name === "list") showList(value.jobs);
    if (name === "snapshot") showJob(value);
    arrived();
  },
  async poll(request) {
    const response = await request(new URL(`v1/jobs${query}`, base));
    const page = parse(await response.text());
    page.jobs.forEach(showJob);
    showList(page.jobs.map((job) => job.job));
    arrived();
  },
});

addEventListener("change", (event) => {
  if (event.target.matches("form.filters :is(select, input[type=checkbox])")) event.target.form.requestSubmit();
});
document.addEventListener("visibilitychange", () => list.schedule());
setInterval(tick, 1000);
