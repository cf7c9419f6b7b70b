"""The style sheet of the data report: the playground's colours, light and dark, one column on a phone."""

CSS = """
:root { color-scheme: light dark; --page: #f6f7f7; --card: #fff; --line: #dfe4e3; --text: #17211f; --soft: #55635f;
  --rest: #a9bbb7; --train: #0f766e; --validation: #b45309; --test: #6d4fc4; --bad: #9f1d1d; --bad-page: #fdf0ef;
  --warn: #8a4b08; --warn-page: #fdf5e6; --good: #0b5f58; --good-page: #e8f4f2 }
@media (prefers-color-scheme: dark) { :root { --page: #0f1413; --card: #171e1c; --line: #2a3431; --text: #e6edeb;
  --soft: #9dada8; --rest: #4f6a64; --train: #2dd4bf; --validation: #f5b85c; --test: #b6a1f7; --bad: #fca5a5;
  --bad-page: #2f1a1a; --warn: #f5c677; --warn-page: #2b2313; --good: #5eead4; --good-page: #12302b } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif }
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 4rem }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; letter-spacing: -.02em; overflow-wrap: anywhere }
h2 { margin: 0 0 .5rem; font-size: 1.05rem } h3 { margin: 0; font-size: .95rem }
p { margin: .25rem 0 } ul { margin: .5rem 0; padding-left: 1.1rem }
code { font: .84em ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere }
.soft { color: var(--soft); font-size: .9rem }
.card { margin: 0 0 1rem; padding: 1.25rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 14px }
.banner { margin: 1rem 0; padding: .9rem 1.1rem; color: var(--bad); background: var(--bad-page);
  border-left: 4px solid; border-radius: 8px; overflow-wrap: anywhere }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0 1rem }
.tile { padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 14px }
.tile span { display: block; color: var(--soft); font-size: .9rem }
.tile strong { font-size: 1.4rem; letter-spacing: -.01em }
.dot { display: inline-block; width: .65em; height: .65em; margin-right: .4em; border-radius: 50% }
.dot.train { background: var(--train) } .dot.validation { background: var(--validation) }
.dot.test { background: var(--test) }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
thead td { padding: 0 .9rem .35rem 0; color: var(--soft); font-size: .85rem }
tbody td, tbody th { padding: .55rem .9rem .55rem 0; border-top: 1px solid var(--line); text-align: left;
  vertical-align: top; font-weight: 400; overflow-wrap: anywhere }
.checks th { font-weight: 600; width: 24% } .checks td:first-child { width: 8.5rem }
.checks td:last-child { width: 22% }
.chip { display: inline-block; padding: .05rem .55rem; border-radius: 99px; font-size: .8rem; font-weight: 600;
  white-space: nowrap; color: var(--good); background: var(--good-page) }
.warned .chip { color: var(--warn); background: var(--warn-page) }
.stopped .chip { color: var(--bad); background: var(--bad-page) }
.rows { margin: .25rem 0; padding: 0; list-style: none; line-height: 1.35 }
.checks td:last-child code { display: block }
.plots { columns: 2; column-gap: 1rem; margin-bottom: 1rem } .plots figure { break-inside: avoid }
svg { display: block; width: 100%; height: auto } svg text { font-family: inherit !important }
.legend { display: flex; gap: 1rem; font-size: .85rem; color: var(--soft) }
.tellings { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.25rem 2.5rem }
.figures { margin-top: .35rem }
.figures td, .figures tbody td { padding-block: .2rem; text-align: right; white-space: nowrap }
.figures tbody th { padding-block: .2rem }
.pairs td:first-child { width: 4rem } .pairs { margin-top: .75rem; table-layout: fixed }
details { padding: .4rem 0 } summary { cursor: pointer } summary h2 { display: inline }
.examples { padding: 0; list-style: none } .examples li { padding: .5rem 0; border-top: 1px solid var(--line) }
.examples p { margin: 0; overflow-wrap: anywhere }
@media (max-width: 44rem) {
  main { padding: 1.25rem .8rem 3rem } .card { padding: 1rem } .plots { columns: 1 }
  .tiles { grid-template-columns: repeat(2, 1fr) }
  .checks thead, .pairs thead { display: none }
  .checks tr { display: grid; grid-template-columns: 1fr auto; padding: .7rem 0; border-top: 1px solid var(--line) }
  .pairs tr { display: block; padding: .7rem 0; border-top: 1px solid var(--line) }
  .checks td, .checks th, .pairs td { display: block; width: auto !important; padding: .1rem 0; border: 0 }
  .checks td { grid-column: 1 / 3 } .checks th { grid-area: 1 / 1 } .checks td:first-child { grid-area: 1 / 2 }
  .checks td:last-child code { display: inline }
  tbody tr:first-child { border-top: 0 !important }
}
@media print { body { background: #fff } .card, .tile { break-inside: avoid } }
"""
