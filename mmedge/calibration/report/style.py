"""How the page looks: light and dark, from a phone to a wide screen."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root {
  --paper: #ffffff; --panel: #f5f6f8; --ink: #1b1f24; --soft: #5b6470; --line: #d5d9df;
  --int8: #1f6fd0; --above: #d9730d; --limit: #b3261e; --good: #1a7f4b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --panel: #1d2127; --ink: #e6e9ed; --soft: #9aa4b1; --line: #39404a;
    --int8: #6aa9f5; --above: #f0a04b; --limit: #ff8a80; --good: #5fcf95;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 62rem; margin: 0 auto; padding: 1rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: .5rem 0 1rem; overflow-wrap: anywhere; }
h2 {
  font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line);
}
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
h4 { font-size: .95rem; margin: 1rem 0 .25rem; }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere; }
.soft, figcaption { color: var(--soft); font-size: .875rem; }
.note { border-left: 4px solid var(--above); padding-left: .75rem; }
.tag {
  display: inline-block; border: 1px solid; border-radius: 1rem; padding: 0 .6rem;
  font-size: .8rem; font-weight: 600; vertical-align: middle; margin-left: .25rem;
}
.tag.good { color: var(--good); }
.tag.warning { color: var(--above); }
.wide { overflow-x: auto; margin: .5rem 0; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; vertical-align: bottom; }
td { overflow-wrap: break-word; unicode-bidi: isolate; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
details { margin: .5rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
li { overflow-wrap: anywhere; unicode-bidi: isolate; }
figure { margin: .5rem 0; }
svg { display: block; width: 100%; }
svg text { font-size: 11px; fill: var(--ink); }
svg text.soft { font-size: 11px; fill: var(--soft); }
.picture { max-width: 32rem; }
.grid { stroke: var(--line); }
.axis { stroke: var(--soft); }
.reference { stroke: var(--soft); stroke-dasharray: 2 3; }
line.limit { stroke: var(--limit); stroke-dasharray: 5 4; stroke-width: 1.5; }
svg text.limit {
  fill: var(--limit); paint-order: stroke; stroke: var(--paper); stroke-width: 3px;
}
.mark { stroke: var(--soft); fill: var(--soft); stroke-width: 1.5; }
.mark.plan { stroke: var(--int8); fill: var(--int8); stroke-width: 2; }
.mark.unseen { stroke: var(--int8); fill: var(--paper); stroke-width: 2; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; font-size: .875rem; }
.legend span { display: inline-flex; align-items: center; gap: .4rem; }
.key { width: 12px; height: 12px; flex: none; }
.bars { list-style: none; margin: 0; padding: 0; }
.bars li {
  display: grid; grid-template-columns: minmax(0, 22rem) minmax(4rem, 1fr) 6.5rem;
  gap: 0 .75rem; align-items: center; font-size: .875rem; padding: .1rem 0;
}
.track { background: var(--panel); border-radius: 2px; height: .8rem; }
svg.bar { height: 100%; fill: var(--soft); }
svg.bar.key { height: 12px; }
svg.bar.int8 { fill: var(--int8); }
svg.bar.restored { fill: var(--above); }
.value { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.name {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .8rem;
  overflow-wrap: anywhere;
}
.many { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem; }
.small { margin: 0; padding: .5rem; background: var(--panel); border-radius: .4rem; min-width: 0; }
.small figcaption span { display: block; }
.area { fill: var(--int8); fill-opacity: .75; }
.threshold { stroke: var(--limit); stroke-dasharray: 4 3; stroke-width: 1.5; }
.pair {
  display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr));
}
.pair .frame { fill: none; stroke: var(--line); }
.pair .right rect { fill: var(--int8); }
.pair .wrong rect { fill: var(--above); }
@media (max-width: 40rem) {
  .bars li { grid-template-columns: minmax(0, 1fr) 6.5rem; }
  .bars .track { grid-row: 2; grid-column: 1 / -1; margin-bottom: .3rem; }
}
"""
