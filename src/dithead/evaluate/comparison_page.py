"""A comparison of two reports as one HTML file: what is better, by how much, and is it more than luck?"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from dithead.errors import OutputError
from dithead.evaluate.compare import GOAL, LEVEL
from dithead.evaluate.report import GROUPS, number
from dithead.evaluate.report_page import document

_WIDTH = 220  # pixels of an interval's drawing


def write_comparison(result: Mapping[str, Any], path: Path | str) -> Path:
    """Write what ``compare_reports`` found as a page. Raises OutputError."""
    path = Path(path)
    first, second = (escape(result[side]["label"]) for side in ("first", "second"))
    wins = {side: sum(m["better"] == side for m in result["metrics"].values()) for side in ("first", "second")}
    body = (
        f"<h1>{first} <span class=dim>against</span> {second}</h1><p class=dim>{len(result['clips'])} clips that both "
        f"have. Difference: second less first, with its 95 % bootstrap interval over clips. p: sign-flip test; below "
        f"{LEVEL} the better one is marked, otherwise it may be luck (five clips or fewer never suffice).</p>"
        f"<p><b>{first}</b> is better in {wins['first']}, <b>{second}</b> in {wins['second']} of "
        f"{len(result['metrics'])} measures; many measures are tested, so a few are marked by luck alone.</p>"
        + "".join(_group(result, title, columns) for title, _, columns in GROUPS)
        + (f"<p>Not in both reports: {escape(', '.join(result['left_out']))}</p>" if result["left_out"] else "")
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document(f"{first} against {second}", body), "utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
    return path


def _group(result: Mapping[str, Any], title: str, columns: tuple[tuple[str, str, int], ...]) -> str:
    lines = [_line(result["metrics"][name], name, text, digits) for name, text, digits in columns
             if name in result["metrics"]]  # fmt: skip
    if not lines:
        return ""
    heads = "".join(
        f"<th>{escape(head)}</th>"
        for head in (title, result["first"]["label"], result["second"]["label"], "difference", "", "p", "clips")
    )
    return f"<div class=scroll><table class=versus><tr>{heads}</tr>{''.join(lines)}</table></div>"


def _line(entry: Mapping[str, Any], name: str, title: str, digits: int) -> str:
    cells = [
        f"<td{' class=better' if entry['better'] == side else ''}>{number(entry[side], digits)}</td>"
        for side in ("first", "second")
    ]
    low, high = (number(edge, digits) for edge in entry["ci"])
    return (
        f"<tr><td>{escape(title)}<small>{_wanted(name)}</small></td>{''.join(cells)}"
        f"<td>{number(entry['difference'], digits)}<small>{low} … {high}</small></td><td>{_interval(entry)}</td>"
        f"<td>{entry['p']:.3f}</td><td>{entry['n']}</td></tr>"
    )


def _wanted(name: str) -> str:
    goal = GOAL.get(name.removeprefix("cross_").removeprefix("silent_"))
    return "larger is better" if goal is None else f"best is {goal:g}"


def _interval(entry: Mapping[str, Any]) -> str:
    """The interval of the difference on a line around zero, as wide as it needs to be."""
    low, high = entry["ci"]
    reach = max(abs(low), abs(high), 1e-9) * 1.1

    def x(value: float) -> float:
        return _WIDTH / 2 * (1 + value / reach)

    kind = "made" if entry["better"] == "second" else "truth" if entry["better"] == "first" else "other"
    return (
        f"<svg class=strip style='width:{_WIDTH}px' viewBox='0 0 {_WIDTH} 18' role=img aria-label='interval'>"
        f"<line class=axis x1={_WIDTH / 2} x2={_WIDTH / 2} y1=0 y2=18 />"
        f"<rect class={kind} x={x(low):.1f} y=7 width={max(1.0, x(high) - x(low)):.1f} height=4 />"
        f"<circle class={kind} style='opacity:1' cx={x(entry['difference']):.1f} cy=9 r=5 /></svg>"
    )
