// The style of <progress-ledger-job>. Pages change it by the custom properties, and by ::part().

const text = `
  :host {
    --ink: var(--progress-ledger-ink, #1d2127);
    --soft: var(--progress-ledger-soft, #5d6570);
    --paper: var(--progress-ledger-paper, #ffffff);
    --line: var(--progress-ledger-line, #e2e4e8);
    --track: var(--progress-ledger-track, #e6e8ec);
    --running: var(--progress-ledger-running, #2f6fde);
    --done: var(--progress-ledger-done, #1a8550);
    --failed: var(--progress-ledger-failed, #c23434);
    --stalled: var(--progress-ledger-stalled, #8f5400);
    --canceled: var(--progress-ledger-canceled, #636a73);
    display: block;
    container-type: inline-size;
    color-scheme: light;
    color: var(--ink);
    font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
    font-variant-numeric: tabular-nums;
  }
  :host([theme="dark"]) {
    --ink: var(--progress-ledger-ink, #e6e8eb);
    --soft: var(--progress-ledger-soft, #9aa3af);
    --paper: var(--progress-ledger-paper, #1b1f24);
    --line: var(--progress-ledger-line, #2b3038);
    --track: var(--progress-ledger-track, #2d333c);
    --running: var(--progress-ledger-running, #6ea1ff);
    --done: var(--progress-ledger-done, #4cc38a);
    --failed: var(--progress-ledger-failed, #ff7b72);
    --stalled: var(--progress-ledger-stalled, #e0a13c);
    --canceled: var(--progress-ledger-canceled, #9aa3af);
    color-scheme: dark;
  }
  @media (prefers-color-scheme: dark) {
    :host(:not([theme="light"])) {
      --ink: var(--progress-ledger-ink, #e6e8eb);
      --soft: var(--progress-ledger-soft, #9aa3af);
      --paper: var(--progress-ledger-paper, #1b1f24);
      --line: var(--progress-ledger-line, #2b3038);
      --track: var(--progress-ledger-track, #2d333c);
      --running: var(--progress-ledger-running, #6ea1ff);
      --done: var(--progress-ledger-done, #4cc38a);
      --failed: var(--progress-ledger-failed, #ff7b72);
      --stalled: var(--progress-ledger-stalled, #e0a13c);
      --canceled: var(--progress-ledger-canceled, #9aa3af);
      color-scheme: dark;
    }
  }
  :host([hidden]) { display: none; }
  * { box-sizing: border-box; }
  [hidden] { display: none !important; }
  p, ul { margin: 0; padding: 0; list-style: none; }
  bdi { overflow-wrap: anywhere; }
  .card { padding: 1rem 1.15rem; background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; }
  .header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem .75rem; }
  .name { flex: 1 1 auto; min-width: 0; font-weight: 650; }
  .state { padding: 0 .6rem; border: 1px solid; border-radius: 1rem; font-size: .85rem; font-weight: 600; color: var(--running); }
  [data-state="completed"] .state { color: var(--done); }
  [data-state="failed"] .state { color: var(--failed); }
  [data-state="canceled"] .state, [data-state=""] .state { color: var(--canceled); }
  .overall { display: grid; grid-template-columns: 1fr auto; align-items: center; gap: .75rem; margin: .55rem 0 .3rem; }
  .overall .percent { font-weight: 650; }
  .bar { height: .65rem; border-radius: .35rem; overflow: hidden; background: var(--track); --fill: var(--running); }
  .fill { height: 100%; width: 0; border-radius: inherit; background: var(--fill); transition: width .4s ease; }
  [data-state="completed"] .overall .bar, [data-status="complete"] .bar { --fill: var(--done); }
  [data-state="failed"] .overall .bar { --fill: var(--failed); }
  [data-state="canceled"] .overall .bar { --fill: var(--canceled); }
  [data-status="stalled"] .bar { --fill: var(--stalled); }
  [data-status="over"] .bar { --fill: var(--done); box-shadow: 0 0 0 2px var(--stalled); }
  [data-status="unknown"] .bar { background: repeating-linear-gradient(90deg, var(--running) 0 4px, var(--track) 4px 12px); }
  .finish, .message, .connection, .more, .note { color: var(--soft); font-size: .87rem; }
  .message { white-space: pre-line; }
  .warning { color: var(--stalled); font-size: .87rem; font-weight: 600; }
  .failures, .error { color: var(--failed); font-size: .87rem; font-weight: 600; }
  .indicators {
    display: grid; column-gap: .75rem; margin-top: .65rem;
    grid-template-columns: fit-content(12rem) minmax(4rem, 1fr) minmax(3.6rem, max-content) max-content;
  }
  .indicators:empty { margin: 0; }
  /* All rows share the columns of the list, so that bars and numbers line up. */
  .indicator {
    display: grid; grid-column: 1 / -1; grid-template-columns: subgrid; align-items: center; padding: .22rem 0;
    font-size: .93rem;
  }
  .indicator .bar { height: .5rem; }
  .indicator .percent, .count { text-align: right; white-space: nowrap; }
  .count { color: var(--soft); font-size: .87rem; }
  .note { grid-column: 2 / -1; }
  .note[data-kind="stalled"] { color: var(--stalled); }
  .connection[data-state="lost"] { color: var(--failed); font-weight: 600; }
  .live { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  @container (max-width: 26rem) {
    .indicators { grid-template-columns: minmax(0, 1fr) auto; }
    .indicator { padding: .3rem 0; }
    .indicator .bar, .note { grid-column: 1 / -1; }
    .indicator .percent { grid-column: 2; grid-row: 1; }
    .count { grid-column: 1 / -1; text-align: left; overflow-wrap: anywhere; white-space: normal; }
  }
  @media (prefers-reduced-motion: reduce) { .fill { transition: none; } }
  @media (forced-colors: active) {
    .bar { border: 1px solid CanvasText; }
    .fill { background: Highlight; forced-color-adjust: none; }
  }
`;

/** @type {CSSStyleSheet | null} */
let sheet = null;

/** The style sheet that all elements of the page share. A content security policy does not apply to it. */
export function elementStyle() {
  if (sheet === null) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(text);
  }
  return sheet;
}
