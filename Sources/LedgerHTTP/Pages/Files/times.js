// Shows times relative to the server's present time, and in the viewer's time zone. The server renders them in UTC.

import { now } from "./clock.js";
import { age } from "./text.js";

const two = (value) => String(value).padStart(2, "0");
const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
const minute = (date) => `${two(date.getHours())}:${two(date.getMinutes())}`;

/** The offset of the viewer's time zone from UTC at a moment: `+01:00`. */
function offset(date) {
  const minutes = -date.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A time in the viewer's time zone: of the present day `03:14`, of this year `29 Nov 03:14`, else `29 Nov 2025`. */
function localText(date) {
  const present = new Date(now());
  if (day(date) === day(present)) return minute(date);
  const dayAndMonth = `${date.getDate()} ${months[date.getMonth()]}`;
  return date.getFullYear() === present.getFullYear() ? `${dayAndMonth} ${minute(date)}` : `${dayAndMonth} ${date.getFullYear()}`;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Updates all times below an element. */
export function showTimes(root = document) {
  for (const element of root.querySelectorAll("time.ago, time.local")) {
    const date = new Date(element.dateTime);
    const title = `${day(date)} ${minute(date)}:${two(date.getSeconds())} ${offset(date)} · ${element.dateTime}`;
    if (element.title !== title) element.title = title;
    setText(element, element.classList.contains("ago") ? `${age(now() - date.getTime())} ago` : localText(date));
  }
}

/** Sets the moment of a time; returns whether it was another one. */
export function setTime(element, moment) {
  if (element === null || element.dateTime === moment) return false;
  element.dateTime = moment;
  return true;
}

/** Names the viewer's time zone at the foot of the page. */
export function showZone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "the time zone of this browser";
  setText(document.querySelector("#zone"), `times are in ${name} (${offset(new Date(now()))})`);
}
