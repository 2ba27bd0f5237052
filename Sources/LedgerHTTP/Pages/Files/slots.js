// Limits the streams that the pages of one browser hold open by themselves, if they cannot share one.
//
// A browser opens at most six connections to an HTTP/1.1 server, for all its windows together. A seventh stream would
// never begin, and six streams would leave no connection for anything else. Web Locks would do the same in fewer lines,
// but browsers offer them under https and on localhost only.

const slotsMax = 2; // With the two shared streams, this leaves two connections for pages, tables and polls.
const replyTime = 150; // Milliseconds; another page replies within one or two.

const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("progress-ledger-streams") : null;
const id = Math.random();
const holders = new Set(); // The pages that hold a slot, or asked for one first.
let state = "none"; // "none", "asking" or "holding".
let asked = 0;
let freed = () => {};

channel?.addEventListener("message", ({ data }) => {
  switch (data.kind) {
    case "asking":
      // If several pages request it at the same time, the one with the lowest id has precedence.
      if (state === "asking" && data.id < id) holders.add(data.id);
      else if (state !== "none") channel.postMessage({ kind: "holding", id, to: data.id });
      break;
    case "holding":
      if (state === "asking" && data.to === id) holders.add(data.id);
      break;
    case "freed":
      freed();
      break;
  }
});

/** Takes a slot for this page; false if the other pages hold all of them. */
export async function takeSlot() {
  if (channel === null || state === "holding") return true;
  const number = ++asked;
  state = "asking";
  holders.clear();
  channel.postMessage({ kind: "asking", id });
  await new Promise((resolve) => setTimeout(resolve, replyTime));
  if (state !== "asking" || number !== asked) return false; // Given up in the meantime.
  state = holders.size < slotsMax ? "holding" : "none";
  return state === "holding";
}

/** Gives the slot back, so that another page can take it. */
export function freeSlot() {
  if (state === "holding") channel?.postMessage({ kind: "freed", id });
  state = "none";
}

/** Sets the function to call when another page gives its slot back. */
export function onFreed(body) {
  freed = body;
}
