// A watch through outages, by a simulated clock.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Client, UnavailableError } from "../../Sources/javascript-client/src/node.js";
import { pauseMax, watchOutageMax } from "../../Sources/javascript-client/src/limits.js";
import { currentPlatform, setPlatform } from "../../Sources/javascript-client/src/platform.js";

const platform = currentPlatform();

afterEach(() => setPlatform(platform));

/** A clock that moves to the next timer as soon as nothing else is left to do. */
class SimulatedClock {
  now = 0;
  #timers = new Set();

  schedule = (action, milliseconds) => {
    const timer = { at: this.now + milliseconds, action };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  };

  /** The result of work that waits by this clock only. */
  async run(work) {
    let isOver = false;
    const result = work.finally(() => (isOver = true));
    // Its failure is that of the caller, below.
    result.catch(() => {});
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isOver) return result;
      const [next] = [...this.#timers].sort((left, right) => left.at - right.at);
      assert.notEqual(next, undefined, "the work waits for something else");
      this.#timers.delete(next);
      this.now = next.at;
      next.action();
    }
  }
}

const snapshot = (sequence) => JSON.stringify({ job: "j", state: "running", sequence, ledger_sequence: sequence, progress: [], tasks: {} });

/** The responses to the requests of a watch, in order: a snapshot in a stream, or a failure. */
function transport(responses) {
  return async () => {
    const sequence = responses.shift() ?? null;
    const text = sequence === null ? "" : `id: ${sequence}\nevent: snapshot\ndata: ${snapshot(sequence)}\n\n`;
    return {
      status: sequence === null ? 503 : 200,
      header: (name) => (name === "content-type" && sequence !== null ? "text/event-stream" : null),
      chunks: (async function* () {
        yield new TextEncoder().encode(text);
      })(),
      close: () => {},
    };
  };
}

test("a watch resumes for an hour after each snapshot, and then gives up", async () => {
  assert.equal(watchOutageMax, 3_600_000);
  const clock = new SimulatedClock();
  const responses = [1, ...Array(100).fill(null), 2];
  setPlatform({ ...platform, now: () => clock.now, schedule: clock.schedule, transport: () => transport(responses) });
  const snapshots = new Client("http://ledger.example").job("j").watch()[Symbol.asyncIterator]();
  const next = async () => (await clock.run(snapshots.next())).value.sequence;
  assert.deepEqual([await next(), await next()], [1, 2]);
  const resumedAt = clock.now;
  assert.ok(resumedAt > 0.4 * watchOutageMax && resumedAt < watchOutageMax, `the first outage took ${resumedAt} ms`);
  await assert.rejects(clock.run(snapshots.next()), UnavailableError);
  const lasted = clock.now - resumedAt;
  assert.ok(lasted > watchOutageMax && lasted <= watchOutageMax + 2 * pauseMax, `it tried for ${lasted} ms`);
});
