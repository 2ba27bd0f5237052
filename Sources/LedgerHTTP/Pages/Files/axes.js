// Draws the time axes of figures in the viewer's time zone. Other times are round there than in UTC, in which the
// server draws them, so the ticks move.

import { dayAndMonth } from "./text.js";

const stepsMax = 5; // Like everything here, as in ChartAxis.swift.
const daySeconds = 86_400;
const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
  ...[1, 2, 7, 14, 28, 91, 182, 364].map((days) => days * daySeconds)];
const margin = 0.03; // Of the width. Texts nearer to the ends would not fit.
const textRoom = 0.15; // Between "now" and another text.

const two = (value) => String(value).padStart(2, "0");

function text(date, step) {
  const [hours, minutes, seconds] = [date.getHours(), date.getMinutes(), date.getSeconds()];
  if (step >= daySeconds || hours + minutes + seconds === 0) return dayAndMonth(date);
  return `${two(hours)}:${two(minutes)}${step < 60 ? `:${two(seconds)}` : ""}`;
}

/** The round times between two times in milliseconds, both included, with their texts. */
export function ticks(from, to) {
  const seconds = (to - from) / 1_000;
  const step = steps.find((step) => step * stepsMax >= seconds)
    ?? (Math.floor(seconds / daySeconds / stepsMax) + 1) * daySeconds;
  const start = new Date(from);
  const [year, month, day] = [start.getFullYear(), start.getMonth(), start.getDate()];
  const days = Math.floor(step / daySeconds);
  // The days are counted from 1970, so that the ticks stay when the axis grows.
  const phase = days === 0 ? 0 : Date.UTC(year, month, day) / 1_000 / daySeconds % days;
  // The clock is round, and not the time that has passed since midnight.
  const clock = start.getHours() * 3_600 + start.getMinutes() * 60 + start.getSeconds();
  const made = [];
  for (let index = days === 0 ? Math.floor(clock / step) : 0; ; index += 1) {
    const date = days === 0
      ? new Date(year, month, day, 0, 0, index * step) : new Date(year, month, day - phase + index * days);
    const at = date.getTime();
    if (at > to) return made;
    // The clock may be put back, or forward over a tick.
    if (at >= from && at > (made.at(-1)?.at ?? -Infinity)) made.push({ at, text: text(date, step) });
  }
}

function makeElement(name, attributes, content = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = content;
  return element;
}

const percent = (share) => `${Math.floor(share * 1_000) / 10}%`;

/** Draws all time axes below an element, and the lines of their grids. */
export function drawAxes(root) {
  for (const axis of root.querySelectorAll("svg[data-from]")) {
    const [from, to] = [Date.parse(axis.dataset.from), Date.parse(axis.dataset.to)];
    const present = axis.querySelector(".now");
    const presentShare = present === null ? -1 : Number.parseFloat(present.getAttribute("x")) / 100;
    const shown = ticks(from, to).map(({ at, text }, index) => ({ share: (at - from) / (to - from), text, index }))
      .filter(({ share }) => share >= margin && share <= 1 - margin);
    const isGrid = axis.matches(".lines");
    const made = isGrid
      ? shown.map(({ share }) => makeElement("line", { class: "grid", x1: percent(share), x2: percent(share), y1: 0, y2: "100%" }))
      : shown.filter(({ share }) => present === null || Math.abs(share - presentShare) >= textRoom)
        .map(({ share, text, index }) =>
          makeElement("text", { ...(index % 2 === 1 && { class: "minor" }), x: percent(share), y: "1em" }, text));
    axis.replaceChildren(...made, ...(present === null ? [] : [present]));
  }
}
