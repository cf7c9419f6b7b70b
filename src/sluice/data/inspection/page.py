"""A data report as one HTML page that needs nothing but itself. Everything from the rows is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from sluice.data.inspection.findings import percent
from sluice.data.inspection.style import CSS
from sluice.data.split import SIDES

LONGEST = 300
"""Characters of a text that are shown."""
STATES = {"passed": "passed", "warned": "look at it", "stopped": "stops the run"}
PLOTS = {
    "labels": ("Labels", "Share of each side's rows that have the label."),
    "lengths": ("Lengths", "Characters of the texts, on a logarithmic scale."),
    "languages": ("Languages and scripts", "Of up to 1,500 texts a side; und: too short to tell."),
    "drift": ("Test against the others", "Bar: the difference found. Mark: what chance or indifference explains."),
}


def page(report: Mapping[str, Any], plots: Mapping[str, str]) -> str:
    """The whole page."""
    title = f"{report['name']}: data report"
    parts = [_head(report), _checks(report), _plots(plots), _drift(report), _leaks(report), _dropped(report)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{CSS}</style></head>\n"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _head(report: Mapping[str, Any]) -> str:
    dropped = sum(report["dropped"].values())
    left_out = sum(report.get("left_out", {}).values())
    tiles = [(side, f"{report['rows'][side]:,}", f'<i class="dot {side}"></i>') for side in SIDES]
    tiles += [("dropped", f"{dropped:,}", ""), *([("left out", f"{left_out:,}", "")] if left_out else [])]
    counts = {state: sum(check["state"] == state for check in report["checks"]) for state in STATES}
    summary = ", ".join(
        f"{counts[state]} {words}" for state, words in zip(counts, ("passed", "to look at", "stop"), strict=True)
    )
    banner = f'<p class="banner">{_text(report["refusal"])}</p>' if report["refusal"] else ""
    digests = f"data <code>{report['data'][:12]}</code> split <code>{report['split'][:12]}</code>"
    figures = "".join(
        f'<div class="tile"><span>{mark}{_text(name)}</span><strong>{value}</strong></div>'
        for name, value, mark in tiles
    )
    return (
        f"<header><h1>{_text(report['name'])}</h1><p>Data report: {report['read']:,} rows read, "
        f"{len(report['checks'])} checks, {summary}.</p><p class=soft>{digests}</p></header>"
        f'{banner}<section class="tiles">{figures}</section>'
    )


def _checks(report: Mapping[str, Any]) -> str:
    order = list(STATES)[::-1]
    rows = "".join(
        f'<tr class="{check["state"]}"><td><b class="chip">{STATES[check["state"]]}</b></td>'
        f"<th scope=row>{_text(check['title'])}</th><td>{_text(check['says'])}{_more(check)}</td>"
        f"<td>{_bound(check)}</td></tr>"
        for check in sorted(report["checks"], key=lambda check: order.index(check["state"]))
    )
    others = [
        line for line in report["warnings"] if not any(line.startswith(f"{c['title']}: ") for c in report["checks"])
    ]
    notes = "".join(f"<li>{_text(line)}</li>" for line in others)
    return (
        '<section class="card"><h2>Checks</h2><table class="checks"><thead><tr><td></td><td>check</td><td>found</td>'
        f"<td>bound</td></tr></thead><tbody>{rows}</tbody></table>{f'<ul>{notes}</ul>' if notes else ''}</section>"
    )


def _more(check: Mapping[str, Any]) -> str:
    """Rows and cure, where there is something to look at."""
    if check["state"] == "passed":
        return ""
    rows = "".join(f"<li><code>{_text(row)}</code></li>" for row in check["rows"])
    cure = check["cure"][:1].upper() + check["cure"][1:]
    return f"{f'<ul class=rows>{rows}</ul>' if rows else ''}<p class=soft>{_text(cure)}.</p>"


def _bound(check: Mapping[str, Any]) -> str:
    setting = f" <code>checks.{_text(check['setting'])}</code>"
    if check["bound"] is None:
        return f"<span class=soft>only reported{setting}</span>"
    return f"{'at least' if check['setting'].startswith('min_') else 'at most'} {check['bound']:g}{setting}"


def _plots(plots: Mapping[str, str]) -> str:
    legend = "".join(f'<span><i class="dot {side}"></i>{side}</span>' for side in SIDES)
    figures = "".join(
        f'<figure class="card"><figcaption><h2>{PLOTS[name][0]}</h2><p class=soft>{PLOTS[name][1]}</p></figcaption>'
        f"{'' if name == 'drift' else f'<p class=legend>{legend}</p>'}{svg}</figure>"
        for name, svg in plots.items()
    )
    return f'<section class="plots">{figures}</section>'


def _drift(report: Mapping[str, Any]) -> str:
    if not report["drift"]:
        return _card("What differs", "<p class=soft>Too few rows on a side to tell the test from the others.</p>")
    shifted = [test for test in report["drift"] if test["shifted"]]
    if not shifted:
        return _card("What differs", "<p class=soft>Nothing that chance does not explain.</p>")
    return _card("What differs", f"<div class=tellings>{''.join(map(_telling, shifted))}</div>")


def _telling(test: Mapping[str, Any]) -> str:
    figure = "ROC AUC" if test["kind"] == "words" else "distance"
    lengths = test["kind"] == "lengths"
    rows = "".join(
        f"<tr><th scope=row>{_text(name)}</th><td>{one:,.0f}</td><td>{other:,.0f}</td></tr>"
        if lengths
        else f"<tr><th scope=row>{_text(name)}</th><td>{percent(one)}</td><td>{percent(other)}</td></tr>"
        for name, one, other in test["telling"]
    )
    table = (
        f"<table class=figures><thead><tr><td></td><td>{_text(test['against'])}</td><td>test</td></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
    return (
        f"<div><h3>{_text(test['kind'])}, test against {_text(test['against'])}</h3>"
        f"<p class=soft>{figure} {test['found']:.3f}; up to {test['bound']:.3f} would be chance. "
        f"{test['rows'][0]:,} and {test['rows'][1]:,} rows.</p>{table if rows else ''}</div>"
    )


def _leaks(report: Mapping[str, Any]) -> str:
    if not report["leaks"]:
        return _card("Leaks", "<p class=soft>No validation or test row stands, or nearly stands, on another side.</p>")
    rows = "".join(
        f"<tr><td>{leak['kind']}</td><td>{_place(leak, 'held_out')}</td><td>{_place(leak, 'other')}</td></tr>"
        for leak in report["leaks"]
    )
    more = report["leaks_found"] - len(report["leaks"])
    all_of_them = f"<p class=soft>and {more:,} more in <code>leaks.jsonl</code></p>" if more else ""
    return _card(
        "Leaks",
        "<p class=soft>Held-out rows that a model could know from another side. Of exact ones the other row was "
        'dropped; near ones are kept.</p><div class="scroll"><table class="pairs"><thead><tr><td></td><td>held out</td>'
        f"<td>other row</td></tr></thead><tbody>{rows}</tbody></table></div>{all_of_them}",
        folded=len(report["leaks"]) > 10,
    )


def _place(leak: Mapping[str, str], which: str) -> str:
    text = leak.get(f"{which}_text")
    shown = _clipped(text) if text is not None else f"row {_text(leak[f'{which}_row'])}"
    origin, side = _text(leak[f"{which}_origin"]), _text(leak[f"{which}_side"])
    return f"{shown}<br><code>{origin}</code> <span class=soft>{side}</span>"


def _dropped(report: Mapping[str, Any]) -> str:
    if not report["dropped"]:
        return _card("Dropped rows", "<p class=soft>None.</p>")
    parts = []
    for reason, count in sorted(report["dropped"].items(), key=lambda item: -item[1]):
        examples = "".join(f"<li>{_example(row)}</li>" for row in report["examples"][reason])
        parts.append(
            f"<details><summary><strong>{_text(reason.replace('_', ' '))}</strong> {count:,} "
            f"<span class=soft>{percent(count / max(1, report['read']))} of the rows read</span></summary>"
            f"<ul class=examples>{examples}</ul></details>"
        )
    return _card("Dropped rows", "".join(parts) + "<p class=soft>All of them are in <code>dropped.jsonl</code>.</p>")


def _example(row: Mapping[str, str | None]) -> str:
    texts = "".join(
        f"<p><span class=soft>{_text(name)}</span> {_clipped(value or '')}</p>"
        for name, value in row.items()
        if name != "origin"
    )
    return f"<code>{_text(row['origin'] or '')}</code>{texts}"


def _card(title: str, content: str, *, folded: bool = False) -> str:
    if folded:
        return f'<section class="card"><details><summary><h2>{title}</h2></summary>{content}</details></section>'
    return f'<section class="card"><h2>{title}</h2>{content}</section>'


def _clipped(text: str) -> str:
    return _text(text if len(text) <= LONGEST else f"{text[:LONGEST]} …")


def _text(value: str) -> str:
    """Escaped for HTML; controls, which a page must not hold, are shown as U+FFFD."""
    return escape("".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in value))
