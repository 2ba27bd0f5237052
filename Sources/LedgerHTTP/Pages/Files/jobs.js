// Makes the list of jobs live.

import { Connection } from "./connection.js";
import { setBar } from "./indicators.js";
import { Stream } from "./stream.js";
import { duration, number, parse, percent } from "./text.js";

const connection = new Connection();
const listInterval = 1_000; // The list is read anew no more often than this.
const jobs = new Map();

let stream = null;
let ids = null;
let timer = 0;

document.body.classList.add("scripted");

/** Shows a job in its row. */
function show(job, row) {
  row.dataset.state = job.state;
  row.querySelector(".state").textContent = job.state;
  const words = job.percent === null ? "no units declared" : `${job.percent} percent`;
  setBar(row.querySelector(".bar"), job.percent, words);
  row.querySelector(".percent").textContent = percent(job.percent);
  row.querySelector(".tasks").textContent = `${number(job.tasks.succeeded)}\u2009/\u2009${number(job.tasks.total)}`;
  const time = row.querySelector(".changed time");
  if (time !== null && job.updated_at !== null) {
    time.dateTime = job.updated_at;
    time.title = job.updated_at;
    time.textContent = `${job.updated_at.slice(0, 10)} ${job.updated_at.slice(11, 19)}`;
  }
}

const row = (id) => document.querySelector(`tr[data-job="${CSS.escape(id)}"]`);

/** Reads the list anew where it holds other jobs than are shown. */
function checkList() {
  if (timer !== 0 || ids === null) return;
  const shown = [...document.querySelectorAll("tr[data-job]")].map((element) => element.dataset.job);
  if (shown.length === ids.length && shown.every((id, index) => id === ids[index])) return;
  timer = setTimeout(async () => {
    timer = 0;
    try {
      const url = new URL(location.href);
      url.searchParams.set("part", "list");
      const answer = await fetch(url);
      if (!answer.ok) return;
      const made = document.createRange().createContextualFragment(await answer.text()).firstElementChild;
      document.querySelector("#list").replaceWith(made);
      for (const job of jobs.values()) if (row(job.job) !== null) show(job, row(job.job));
      checkList();
    } catch { /* The stream breaks as well, and begins with the list when it is back. */ }
  }, listInterval);
}

function tick() {
  for (const job of jobs.values()) {
    if (job.state !== "running") continue;
    const elapsed = row(job.job)?.querySelector(".elapsed");
    if (elapsed) elapsed.textContent = duration(Date.now() - Date.parse(job.started_at ?? job.created_at));
  }
}

function follow() {
  stream?.stop();
  stream = null;
  if (document.hidden) return;
  stream = new Stream(document.querySelector("#list").dataset.watch, {
    state: (state, pause) => connection.set(state, pause),
    event: (name, data) => {
      const value = parse(data);
      if (name === "list") {
        ids = value.jobs;
        for (const id of jobs.keys()) if (!ids.includes(id)) jobs.delete(id);
        checkList();
      } else if (name === "snapshot") {
        jobs.set(value.job, value);
        const latest = [...jobs.values()].map((job) => job.updated_at).filter((at) => at !== null).sort().at(-1);
        connection.changed(latest ?? null);
        const element = row(value.job);
        if (element !== null) show(value, element);
      }
      return false;
    },
  });
}

addEventListener("change", (event) => {
  if (event.target.matches("select")) event.target.form.requestSubmit();
});
document.addEventListener("visibilitychange", follow);
addEventListener("pagehide", () => stream?.stop());
addEventListener("pageshow", (event) => event.persisted && follow());
setInterval(tick, 1000);
follow();
