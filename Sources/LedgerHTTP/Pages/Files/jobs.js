// Makes the list of jobs live.

import { learnAtLeast, now } from "./clock.js";
import { Connection } from "./connection.js";
import { Feed } from "./feed.js";
import { setBar } from "./indicators.js";
import { Part } from "./parts.js";
import "./session.js";
import { showSilences } from "./silence.js";
import { duration, firstLine, number, parse, percent, remaining, silentText } from "./text.js";

const listInterval = 1_000; // The list is not fetched more often than this.
const visibleInterval = 5_000; // Milliseconds between polls of a page without a stream.

const base = new URL("..", import.meta.url); // The modules are at BASE/pages/.
const query = new URL(document.querySelector("#list").dataset.watch, location.href).search;
const address = new URL(location.href);
const connection = new Connection();
const jobs = new Map();

document.body.classList.add("scripted");

const rows = () => [...document.querySelectorAll("tr[data-job]")];
const rowOf = (id) => document.querySelector(`tr[data-job="${CSS.escape(id)}"]`);
const shownIDs = () => rows().map((row) => row.dataset.job).join(" ");

const list = new Part("list", {
  address: () => address,
  interval: () => listInterval,
  applies: () => true,
  afterwards() {
    for (const job of jobs.values()) showRow(job);
    tick();
  },
  version: shownIDs(),
});

/** Shows a job in its row. */
function showRow(job) {
  const row = rowOf(job.job);
  if (row === null) return;
  row.dataset.state = job.state;
  row.querySelector(".state").textContent = job.state;
  setBar(row.querySelector(".bar"), job.percent, job.percent === null ? "no units declared" : `${job.percent} percent`);
  row.querySelector(".percent").textContent = percent(job.percent);
  row.querySelector(".failures").textContent = job.tasks.failed == 0 ? "" : `${number(job.tasks.failed)} failed`;
  row.querySelector(".tasks").textContent = `${number(job.tasks.succeeded)}\u2009/\u2009${number(job.tasks.total)}`;
  row.querySelector(".newest").textContent = firstLine(job.message);
  const time = row.querySelector(".changed time");
  if (time !== null && job.updated_at !== null) {
    time.dateTime = job.updated_at;
    time.title = job.updated_at;
    time.textContent = `${job.updated_at.slice(0, 10)} ${job.updated_at.slice(11, 19)}`;
  }
  const silence = row.querySelector(".silence");
  if (silence !== null) silence.dataset.since = job.stalled_since ?? "";
  const silent = row.querySelector(".silent");
  if (silent !== null) silent.textContent = job.state === "running" ? silentText(job.tasks.silent ?? 0) : "";
}

function showJob(job) {
  learnAtLeast(Date.parse(job.now));
  jobs.set(job.job, job);
  showRow(job);
}

/** Sets the jobs in the list. */
function showList(ids) {
  for (const id of jobs.keys()) if (!ids.includes(id)) jobs.delete(id);
  list.request(ids.join(" "));
}

function showAge() {
  const times = [...jobs.values()].map((job) => job.updated_at).filter((time) => time !== null);
  connection.changed(times.sort().at(-1) ?? null);
}

function tick() {
  // Without a connection the page keeps its last state, because later reports are unknown.
  if (connection.state === "lost") return;
  for (const job of jobs.values()) {
    if (job.state !== "running") continue;
    const finish = rowOf(job.job)?.querySelector(".finish");
    if (finish) finish.textContent = remaining(job.estimate, now());
    const elapsed = rowOf(job.job)?.querySelector(".elapsed");
    if (elapsed) elapsed.textContent = duration(now() - Date.parse(job.started_at ?? job.created_at));
  }
  showSilences((element) => element.closest("[data-state]")?.dataset.state === "running");
}

new Feed(new URL(`v1/watch${query}`, base), {
  waits: false, interval: visibleInterval, hiddenInterval: null, endedInterval: visibleInterval,
  state: (state, detail, error) => connection.set(state, detail, error),
  event(name, data) {
    const value = parse(data);
    if (name === "list") showList(value.jobs);
    if (name === "snapshot") showJob(value);
    showAge();
  },
  async poll(request) {
    const response = await request(new URL(`v1/jobs${query}`, base));
    const page = parse(await response.text());
    page.jobs.forEach(showJob);
    showList(page.jobs.map((job) => job.job));
    showAge();
  },
});

addEventListener("change", (event) => {
  if (event.target.matches("select")) event.target.form.requestSubmit();
});
document.addEventListener("visibilitychange", () => list.schedule());
setInterval(tick, 1000);
