// Makes the page of a task live. Without it the page shows the task as it was when it was loaded.

import { learnAtLeast } from "./clock.js";
import { Connection } from "./connection.js";
import "./copy.js";
import { followJob } from "./feed.js";
import { Part } from "./parts.js";
import "./session.js";
import { showSilences } from "./silence.js";
import { parse } from "./text.js";

const main = document.querySelector("#task");
const id = main.dataset.job;

const interval = 2_000; // Milliseconds. Parts are not fetched more often than this.

const address = new URL(location.href);
const isPast = main.dataset.moment !== "";
const connection = new Connection();
let job = null;
let version = `${main.dataset.sequence} ${main.dataset.updated}`;

document.body.classList.add("scripted");

const parts = ["head", "tasks", "events"].map((name) => new Part(name, {
  address: () => address, interval: () => interval,
  applies: () => name !== "events" || !address.searchParams.has("before"), afterwards: tick, version,
}));

function show(received) {
  job = parse(received);
  learnAtLeast(Date.parse(job.now));
  connection.changed(job.updated_at);
  version = `${job.sequence} ${job.updated_at ?? ""}`;
  // An execution falls silent without an event.
  for (const part of parts) part.request(part.name === "events" ? version : `${version} ${job.tasks.silent} ${job.state}`);
  tick();
  return job;
}

function tick() {
  // Without a connection the page keeps its last state, because later reports are unknown.
  if (job === null || connection.state === "lost") return;
  showSilences(() => job.state === "running");
}

if (isPast) {
  connection.set("past");
} else {
  followJob(id, { show, state: (state, detail, error) => connection.set(state, detail, error) });
}

addEventListener("change", (event) => {
  if (event.target.matches("select")) event.target.form.requestSubmit();
});
document.addEventListener("visibilitychange", () => parts.forEach((part) => part.schedule()));
setInterval(tick, 1000);
