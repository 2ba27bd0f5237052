// Requests by `fetch`, in browsers.

import { keepaliveBytesMax } from "./limits.js";

/** The bytes of requests that the browser delivers even after the end of the page. */
let keepaliveBytes = 0;

/** @type {import("./platform.js").Transport} */
export async function webTransport(url, { method, headers, body }, signal) {
  const size = body === undefined ? 0 : new TextEncoder().encode(body).length;
  const isKept = size > 0 && keepaliveBytes + size <= keepaliveBytesMax;
  if (isKept) keepaliveBytes += size;
  try {
    const response = await fetch(url, {
      method, headers, body, signal, keepalive: isKept, redirect: "manual", credentials: "omit", cache: "no-store",
      referrerPolicy: "no-referrer",
    });
    const reader = response.body?.getReader();
    return {
      status: response.status,
      header: (name) => response.headers.get(name),
      close: () => void reader?.cancel().catch(() => {}),
      chunks: (async function* () {
        if (reader === undefined) return;
        for (let piece = await reader.read(); !piece.done; piece = await reader.read()) yield piece.value;
      })(),
    };
  } finally {
    if (isKept) keepaliveBytes -= size;
  }
}
