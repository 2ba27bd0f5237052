// Server-sent events over fetch. EventSource hides the comments by which a silent connection is told from a dead one.

const silenceMax = 40_000; // The server says something every 15 seconds.
const pauseMin = 1_000;
const pauseMax = 15_000;
const patience = 6_000; // The server says something at once; a proxy that collects what it passes on does not.
const pollWait = 25; // Seconds that the server may wait for a change; proxies give up after 30 and more.
const bufferMax = 64 * 1024 * 1024; // Of one event. Beyond it something else than a ledger answers.

/**
 * Follows a stream until it is stopped, and comes back by itself where it breaks.
 *
 * Where something on the way keeps the events back, it asks again and again instead, if it is told whom.
 *
 * @param {string} url
 * @param {{event(name: string, data: string, id: string?): (boolean|void), state(state: string, detail?: number): void}} listener
 *   `event` answers true where the stream has come to its end and is not to be opened again. `state` hears "live", and
 *   "lost" with the milliseconds until it is tried again.
 * @param {string?} snapshotURL What answers the snapshot, and waits for another one with Prefer: wait.
 */
export class Stream {
  #listener;
  #url;
  #lastID = null;
  #failures = 0;
  #control = null;
  #timer = 0;
  #watchdog = 0;
  #snapshotURL;
  #polls = false;
  #entityTag = null;

  constructor(url, listener, snapshotURL = null) {
    this.#url = url;
    this.#listener = listener;
    this.#snapshotURL = snapshotURL;
    addEventListener("online", () => this.#timer && this.#open());
    this.#open();
  }

  stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#timer = 0;
    this.#control?.abort();
    this.#control = null;
  }

  async #open() {
    this.stop();
    const control = new AbortController();
    this.#control = control;
    try {
      if (this.#polls) {
        while (this.#control === control) if (await this.#poll(control)) return this.stop();
        return;
      }
      this.#listen(control, this.#snapshotURL === null ? silenceMax : patience);
      const headers = { accept: "text/event-stream" };
      if (this.#lastID !== null) headers["last-event-id"] = this.#lastID;
      const answer = await fetch(this.#url, { headers, signal: control.signal, cache: "no-store" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      this.#failures = 0;
      this.#listener.state("live");
      if (await this.#read(answer.body, control)) return this.stop();
    } catch (error) {
      if (this.#control !== control) return; // We have stopped it.
    }
    this.#retry();
  }

  /** Gives the connection up when nothing has come for too long; where nothing has come at all, asks from now on. */
  #listen(control, limit = silenceMax) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      if (this.#control !== control) return;
      this.#polls = limit === patience;
      if (this.#polls) this.#open();
      else this.#retry();
    }, limit);
  }

  /** Asks for another snapshot than the one that is known; true where that was the last. */
  async #poll(control) {
    this.#listen(control, (pollWait + 10) * 1_000);
    const headers = this.#entityTag === null ? {} : { "if-none-match": this.#entityTag, prefer: `wait=${pollWait}` };
    const answer = await fetch(this.#snapshotURL, { headers, signal: control.signal, cache: "no-store" });
    if (!answer.ok && answer.status !== 304) throw new Error(`status ${answer.status}`);
    this.#failures = 0;
    this.#listener.state("live");
    if (answer.status === 304) return false;
    this.#entityTag = answer.headers.get("etag");
    const text = await answer.text();
    this.#listener.event("snapshot", text);
    const { state, sequence, ledger_sequence: last } = JSON.parse(text);
    return state !== "running" && sequence === last && this.#listener.event("end", text) === true;
  }

  #retry() {
    this.stop();
    // Those who lose the same server come back at different times.
    const pause = Math.min(pauseMax, pauseMin * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.#listener.state("lost", pause);
    this.#timer = setTimeout(() => this.#open(), pause);
  }

  /** Reads to the end of the answer; true where that was the end of the stream. */
  async #read(body, control) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (true) {
      const { done, value } = await reader.read();
      if (done || this.#control !== control) return false;
      this.#listen(control);
      text += value;
      if (text.length > bufferMax) throw new Error("an event is too large");
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) if (this.#take(block)) return true;
    }
  }

  #take(block) {
    let name = "message", data = "";
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      const value = line.slice(colon + 1).replace(/^ /, "");
      switch (line.slice(0, colon)) {
        case "event": name = value; break;
        case "data": data += value; break;
        case "id": this.#lastID = value; break;
      }
    }
    return data !== "" && this.#listener.event(name, data) === true;
  }
}
