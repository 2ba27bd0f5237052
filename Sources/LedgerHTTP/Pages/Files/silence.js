// Shows the time since which running jobs are stalled and executions are silent or running, in elements with
// `data-since`. The server decides whether they are: `data-since` is empty if not. The time is the server's, whatever
// the viewer's clock.

import { now } from "./clock.js";
import { age } from "./text.js";

/** Updates all elements; `isRunning` returns whether the job or execution of an element is running. */
export function showSilences(isRunning) {
  const time = now();
  for (const element of document.querySelectorAll("[data-since]")) {
    const since = element.dataset.since;
    const isShown = since !== "" && isRunning(element);
    if (element.hidden === isShown) element.hidden = !isShown;
    if (!isShown) continue;
    const text = `${element.dataset.words} ${age(time - Date.parse(since))}`.trim();
    if (element.textContent !== text) element.textContent = text;
  }
}
