// Shows the time without a report of running jobs and executions, in elements of class `silence` with the time of the
// last report in `data-since`.

import { now } from "./clock.js";
import { age } from "./text.js";

const silentAfter = 60_000; // As in Pages/PageText.swift.
const longAfter = 300_000;

/** Updates all elements; `isRunning` returns whether the job or execution of an element is running. */
export function showSilences(isRunning) {
  const time = now();
  for (const element of document.querySelectorAll(".silence[data-since]")) {
    const silence = time - Date.parse(element.dataset.since);
    const isSilent = silence >= silentAfter && isRunning(element);
    if (element.hidden === isSilent) element.hidden = !isSilent;
    if (!isSilent) continue;
    element.classList.toggle("long", silence >= longAfter);
    const text = `no report for ${age(silence)}`;
    if (element.textContent !== text) element.textContent = text;
  }
}
