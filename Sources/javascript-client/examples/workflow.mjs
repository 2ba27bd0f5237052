// A workflow with a task that fails once: node workflow.mjs [URL]
//
// The numbers of the failed attempt are dropped as soon as its retry starts.

import { Client, progress } from "../src/node.js"; // in a program of yours: from "progress-ledger"

const client = new Client(process.argv[2]); // without a URL: PROGRESS_LEDGER_URL
const job = await client.jobs.create("mosaic of javascript");

async function download(tile, attempt) {
  const files = progress("download", { unit: "files" });
  files.add(3);
  for (let file = 1; file <= 3; file += 1) {
    if (tile === 2 && attempt === 1 && file === 2) throw new Error("connection reset");
    files.done(1, { message: `tile ${tile}: file ${file}` });
  }
}

for (const tile of [1, 2, 3]) {
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    try {
      await job.run(`tile-${tile}`, () => download(tile, attempt), { attempt });
      break;
    } catch (error) {
      console.log(`tile ${tile}, attempt ${attempt}: ${error.message}`);
    }
  }
}
await job.finish("completed");

const found = await client.jobs.find(job.id);
for (const { label, done, total } of found.progress) console.log(`${label}: ${done}/${total}`);
await client.close();
