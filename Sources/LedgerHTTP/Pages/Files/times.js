// Shows the times of the page in the viewer's time zone, and relative to the server's present time. The server renders
// them in UTC, as PageTime.swift does. Importing this module does it once, and keeps the days right.

import { drawAxes } from "./axes.js";
import { now } from "./clock.js";
import { age, dayAndMonth } from "./text.js";

const dayInterval = 60_000; // Milliseconds between two checks whether the times of today are those of yesterday.

const two = (value) => String(value).padStart(2, "0");
const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
const minute = (date) => `${two(date.getHours())}:${two(date.getMinutes())}`;
const second = (date) => `${minute(date)}:${two(date.getSeconds())}`;

/** The offset of the viewer's time zone from UTC at a moment: `+01:00`. */
function offset(date) {
  const minutes = -date.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** A time of the present day as `03:14`, of this year as `29 Nov 03:14`, else `29 Nov 2025`. */
function minuteText(date) {
  const present = new Date(now());
  if (day(date) === day(present)) return minute(date);
  return date.getFullYear() === present.getFullYear()
    ? `${dayAndMonth(date)} ${minute(date)}` : `${dayAndMonth(date)} ${date.getFullYear()}`;
}

/** A time of the present day as `03:14:05`, of this year as `29 Nov 03:14:05`, else `29 Nov 2025 03:14:05`. */
export function secondText(date) {
  const present = new Date(now());
  if (day(date) === day(present)) return second(date);
  const year = date.getFullYear() === present.getFullYear() ? "" : ` ${date.getFullYear()}`;
  return `${dayAndMonth(date)}${year} ${second(date)}`;
}

/** A time with its day and its time zone: `2026-11-29 03:14:05 +01:00`. */
export const fullText = (date) => `${day(date)} ${second(date)} ${offset(date)}`;

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows a time in the form of its class. */
function showTime(element) {
  const date = new Date(element.dateTime);
  const title = `${fullText(date)} · ${element.dateTime}`;
  if (element.title !== title) element.title = title;
  if (element.matches(".ago")) setText(element, `${age(now() - date.getTime())} ago`);
  else setText(element, element.matches(".minute") ? minuteText(date) : secondText(date));
}

/** Updates the ages on the page, such as `12 min ago`. */
export function showAges() {
  document.querySelectorAll("time.ago").forEach(showTime);
}

/** Shows all times below an element, as the server has rendered it. */
export function showTimes(root = document) {
  root.querySelectorAll("time").forEach(showTime);
  // The title of a mark ends with its time.
  for (const element of root.querySelectorAll("title[data-at]")) {
    const exact = element.dataset.at;
    const words = element.textContent.slice(0, -`${exact.slice(0, 19)} UTC`.length);
    element.textContent = words + secondText(new Date(exact));
    element.removeAttribute("data-at");
  }
  drawAxes(root);
}

/** Sets the moment of a time. */
export function setTime(element, moment) {
  if (element.dateTime === moment) return;
  element.dateTime = moment;
  showTime(element);
}

/** Makes an element with a time to the second. */
export function makeTime(moment) {
  const element = document.createElement("time");
  element.className = "second";
  setTime(element, moment);
  return element;
}

/** Names the viewer's time zone at the foot of the page. */
function showZone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "the time zone of this browser";
  setText(document.querySelector("#zone"), `times are in ${name} (${offset(new Date(now()))})`);
}

showTimes();
showZone();
setInterval(() => document.querySelectorAll("time:not(.ago)").forEach(showTime), dayInterval);
