// A program in TypeScript: the compiler checks that the declarations of the package suit it. It is not run.

import { Client, current, flushOnSignal, progress, InvalidValueError, NotFoundError } from "progress-ledger";
import type { Execution, Snapshot } from "progress-ledger";
import { Client as BrowserClient } from "progress-ledger/browser";
import { ProgressLedgerJobElement } from "progress-ledger/element";

async function main(): Promise<number> {
  const client = new Client({ url: "http://127.0.0.1:8080", interval: 500, log: (line: string) => console.error(line) });
  const stop: () => void = flushOnSignal(client, ["SIGTERM"]);
  const job = await client.jobs.create("mosaic", { key: "mosaic-1", tags: { team: "maps" } });
  const execution: Execution = job.execution("tile", { attempt: 2, onJobEnded: (state, own) => own.finish(state === "failed" ? "failed" : "canceled") });
  execution.progress("download", { unit: "bytes" }).done(10n, { message: "reading", link: "https://x", carried: 3 });
  execution.progress().setTotal(4);
  for (const item of execution.track([1, 2], "tiles")) item.toFixed();
  const isRecorded: boolean = await execution.finish("succeeded", { message: "done" });
  const length: number = await job.run("other", async (own) => own.name.length);
  progress("a").add(length);
  current()?.signal.throwIfAborted();
  const child = client.attach(execution.handle(), { part: "child" });
  await child.finish();
  const snapshots: Snapshot[] = [];
  for await (const snapshot of job.watch({ signal: new AbortController().signal })) snapshots.push(snapshot);
  for await (const found of client.jobs.list({ state: "running", tags: { team: "maps" } })) {
    const sums: bigint = found.progress.reduce((sum, { done, total }) => sum + total - done, 0n);
    const remaining: number | undefined = found.estimate?.remainingSeconds?.p50;
    console.log(found.id, sums, remaining);
  }
  for await (const { task, executions } of job.tasks({ silent: true })) console.log(task, executions[0].silentSince?.getTime());
  for await (const { verdict, total } of job.events({ label: null })) console.log(verdict, total);
  const { conservation, contributions } = await job.explain("download");
  console.log(conservation.received.done, contributions[0].supersededBy?.attempt, (await job.answer()).text);
  try {
    await client.jobs.find({ key: "k" });
  } catch (error) {
    if (error instanceof NotFoundError) console.log(error.problem.status, error.code);
    if (error instanceof InvalidValueError) console.log(error.field);
  }
  // @ts-expect-error: units are bigints
  const wrong: number = job.progress[0].done;
  // @ts-expect-error: no such outcome
  await execution.finish("done");
  stop();
  await client.close();
  return isRecorded ? wrong : 1;
}

function page(element: ProgressLedgerJobElement): string | null {
  element.setAttribute("job", "id");
  new BrowserClient("https://ledger.example");
  return element.snapshot?.state ?? null;
}

void main;
void page;
