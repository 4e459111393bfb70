// The style sheet of HTML pages.
#pragma once

#include <string_view>

namespace reflect::html {

inline constexpr std::string_view kPageStyle = R"css(
:root {
  --paper: #fcfbf8; --card: #ffffff; --ink: #22262b; --soft: #6a6f76; --line: #e4e1d9;
  --pale: #d5d2c8; --accent: #0d7468; --mark: #b4432b;
  --error: #fbdcd6; --error-ink: #8f2a16; --reflection: #fcebc2; --reflection-ink: #74500a;
  --correction: #d3efdf; --correction-ink: #0d5b3a; --format: #9a9da3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --card: #1c1f23; --ink: #e4e2dc; --soft: #9aa0a8; --line: #31353b;
    --pale: #43484f; --accent: #43b8a5; --mark: #f08a70;
    --error: #4a221b; --error-ink: #ffb8a8; --reflection: #43361a; --reflection-ink: #f3d48c;
    --correction: #173a2a; --correction-ink: #9ce0bd; --format: #6e747c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 "Inter", "Segoe UI", system-ui, -apple-system, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-font-smoothing: antialiased;
}
main { max-width: 1020px; margin: 0 auto; padding: 48px 24px 80px; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 4px; font-weight: 650; }
h2 { font-size: 20px; letter-spacing: -0.01em; margin: 52px 0 4px; font-weight: 620; }
h3 { font-size: 15px; margin: 0 0 6px; font-weight: 600; }
p { margin: 0 0 14px; max-width: 68ch; }
.lead, .note { color: var(--soft); }
.note { font-size: 14px; }
.figures { display: flex; flex-wrap: wrap; gap: 12px; margin: 26px 0 0; }
.figure { flex: 1 1 140px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 12px 16px; }
.figure b { display: block; font-size: 25px; line-height: 1.25; font-weight: 640;
  letter-spacing: -0.01em; }
.figure span { font-size: 13px; color: var(--soft); }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 16px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 16px 18px; margin: 0; overflow: hidden; }
.card + .card { margin-top: 12px; }
.grid .card + .card { margin-top: 0; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Arial, sans-serif; fill: var(--soft); }
svg text.strong { fill: var(--ink); font-weight: 600; }
svg .all { fill: var(--pale); } svg .part { fill: var(--accent); }
svg .axis { stroke: var(--line); } svg .rule { stroke: var(--line); stroke-dasharray: 2 4; }
svg .mark { stroke: var(--mark); stroke-dasharray: 4 3; } svg text.mark { fill: var(--mark); stroke: none; }
svg circle.all { fill: var(--soft); fill-opacity: .32; } svg circle.part { fill-opacity: .62; }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin: 0 5px 0 12px;
  vertical-align: -1px; }
.key:first-child { margin-left: 0; }
.key.all { background: var(--pale); } .key.part { background: var(--accent); }
table { border-collapse: collapse; font-size: 14px; width: 100%; }
th { text-align: right; font-weight: 500; color: var(--soft); padding: 5px 10px;
  border-bottom: 1px solid var(--line); }
td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.now, th.now { color: var(--accent); font-weight: 650; }
.scroll { overflow-x: auto; }
.row header { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline;
  font-size: 13px; color: var(--soft); margin-bottom: 10px; }
.row header b { color: var(--ink); font-weight: 600; }
.row header .id { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; color: var(--ink);
  max-width: 26em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.chip { border-radius: 99px; padding: 1px 10px; font-size: 12px; border: 1px solid var(--line); }
.chip.kept { color: var(--correction-ink); background: var(--correction); border-color: transparent; }
.chip.dropped { color: var(--error-ink); background: var(--error); border-color: transparent; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 14.5px; }
.prompt { color: var(--soft); border-left: 3px solid var(--line); padding-left: 12px;
  margin-bottom: 10px; }
.text .format { color: var(--format); font-size: 12.5px; }
.text .error { background: var(--error); color: var(--error-ink); }
.text .reflection { background: var(--reflection); color: var(--reflection-ink); }
.text .correction { background: var(--correction); color: var(--correction-ink); }
.text .output { font-weight: 650; }
.text .error, .text .reflection, .text .correction { border-radius: 3px; padding: 1px 2px;
  -webkit-box-decoration-break: clone; box-decoration-break: clone; }
footer { margin-top: 56px; padding-top: 14px; border-top: 1px solid var(--line); font-size: 13px;
  color: var(--soft); }
@media (max-width: 560px) { .grid { grid-template-columns: 1fr; } main { padding: 28px 16px; } }
@media print { body { background: #fff; } .card, .figure { break-inside: avoid; } }
)css";

}  // namespace reflect::html
