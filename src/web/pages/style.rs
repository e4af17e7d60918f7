//! The style sheet of all pages.

pub(super) const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2b33; --soft: #5a6b75; --line: #d8e0e4; --back: #f6f8f9; --card: #fff;
  --well: #f1f5f7; --good: #1a7a4c; --warn: #8a5800; --bad: #b3261e; --move: #1f6099; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3eaee; --soft: #9cadb7; --line: #2c3a42; --back: #10181c;
  --card: #172127; --well: #10181c; --good: #5cc491; --warn: #e0a84a; --bad: #f08a80; --move: #7db8ea; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header, main { max-width: 72rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1rem; min-height: 1rem; } main { padding-top: 1rem; padding-bottom: 2rem; }
a { color: var(--move); } a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--move);
  outline-offset: 2px; border-radius: .2rem; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .3rem .6rem; z-index: 1; }
nav ol { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem .5rem; margin: 0; padding: 0; }
nav li + li::before { content: '\u{203a}'; color: var(--soft); margin-right: .5rem; } nav li { overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0; padding: .8rem .9rem .2rem; }
h3 { font-size: .95rem; margin: .6rem 0 .2rem; overflow-wrap: anywhere; }
p { margin: .3rem 0; color: var(--soft); overflow-wrap: anywhere; } p.ink { color: var(--ink); } p.lead { font-size: 1.05rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; margin-top: 1.2rem; overflow-x: auto; }
.body { padding: .1rem .9rem .8rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: .7rem .9rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; padding: 0; }
th, td { text-align: left; padding: .55rem .9rem; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .85rem; white-space: nowrap; }
tbody th { font-weight: 600; white-space: nowrap; }
td { white-space: nowrap; } td:last-child { white-space: normal; min-width: 16rem; }
.soft { color: var(--soft); } code { font-size: .9em; overflow-wrap: anywhere; }
.new { color: var(--soft); } .fresh, .good { color: var(--good); } .running, .rolling { color: var(--move); }
.waiting, .behind, .warn { color: var(--warn); }
.failing, .halted, .refused, .unpromoted, .drifted, .registry_drifted, .bad { color: var(--bad); }
.wide { white-space: normal; min-width: 12rem; }
td.waiting, td.untouched { color: var(--soft); } .moved, .baking, .finishing { color: var(--good); }
.moving { color: var(--move); } .returning, .returned { color: var(--warn); }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .3rem 1.2rem; margin: 0; padding: .4rem .9rem .8rem; }
dt { color: var(--soft); overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; min-width: 0; } dd p { margin: 0; color: inherit; }
pre { margin: .5rem 0; padding: .6rem .8rem; background: var(--well); border: 1px solid var(--line); border-radius: .4rem;
  font: .8rem/1.5 ui-monospace, Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 32rem; overflow-y: auto; }
ul.plain { list-style: none; margin: .3rem 0; padding: 0; } ul.plain li { overflow-wrap: anywhere; }
details { border-top: 1px solid var(--line); padding: .5rem .9rem; } summary { cursor: pointer; font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); gap: 0 1.4rem; }
figure { margin: 0; } figure svg { display: block; width: 100%; height: auto; } figcaption { color: var(--soft); font-size: .85rem; }
svg .base { stroke: var(--line); } svg .curve { stroke: var(--move); fill: none; stroke-width: 1.5; }
svg circle { fill: var(--move); } svg circle.bad { fill: var(--bad); } svg circle.good { fill: var(--good); } svg circle.soft { fill: var(--soft); }
.names p { overflow-wrap: anywhere; }
.note { border-left: 4px solid var(--warn); padding: .6rem .9rem; } .note.bad { border-left-color: var(--bad); color: inherit; }
@media (max-width: 44rem) {
  header, main { padding-left: .6rem; padding-right: .6rem; } .stack thead { display: none; }
  .stack tr { display: grid; grid-template-columns: repeat(2, auto); justify-content: start; gap: .1rem 1.2rem;
    padding: .6rem .9rem; border-top: 1px solid var(--line); }
  .stack tbody tr:first-child { border-top: 0; }
  .stack th, .stack td { display: block; border: 0; padding: 0; font-size: .85rem; white-space: normal; min-width: 0; overflow-wrap: anywhere; }
  .stack th.name { grid-column: 1 / -1; font-size: 1rem; order: -2; } .stack td.state { grid-column: 1 / -1; order: -1; font-size: 1rem; }
  .stack td[data-label]::before { content: attr(data-label) ' '; color: var(--soft); }
  td:last-child, .wide { min-width: 0; } .steps td:last-child { white-space: nowrap; } th, td { padding-left: .6rem; padding-right: .6rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
}
";
