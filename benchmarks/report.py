"""The results as JSON, as tables for the README, and as a figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from helpers.artifacts import atomic_path
from helpers.table import Table

SCHEMA = 1
START, END = "<!-- results: written by python -m benchmarks, not by hand -->", "<!-- end of results -->"


def read_results(path: Path) -> dict[str, Any]:
    """A results file.

    Raises:
        ValueError: none, or one of another schema.
    """
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}: expected a results file, got none that can be read; run the benchmark"
        ) from error
    if data.get("schema") != SCHEMA:
        raise ValueError(
            f"{path}: expected schema {SCHEMA}, got {data.get('schema')!r}; run the benchmark again"
        )
    return data


def write_results(path: Path, data: dict[str, Any]) -> None:
    """Whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", "utf-8")


def merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """New rows in the place of old ones of the same name, if the machine and the packages are the same."""
    if old is None or any(old.get(key) != new[key] for key in ("schema", "device", "versions", "settings")):
        return new
    fresh = {row["id"]: row for row in new["rows"]}
    kept = [fresh.pop(row["id"], row) for row in old["rows"]]
    return new | {"rows": [*kept, *fresh.values()]}


def _number(value: float | None, digits: int = 3) -> str:
    """Significant digits, without an exponent.

    >>> _number(0.123456), _number(1234.5), _number(12.345), _number(None)
    ('0.123', '1234', '12.3', '–')
    """
    if value is None:
        return "–"
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e" in text else text


def _spread(value: dict[str, Any] | None) -> str:
    """Median, and the quartiles where there is more than one value."""
    if value is None:
        return ""
    median = _number(value["median"], 4)
    return (
        median if value["count"] == 1 else f"{median} ({_number(value['q1'], 4)} – {_number(value['q3'], 4)})"
    )


def checks_table(data: dict[str, Any]) -> Table:
    """Every number that has a target."""
    rows = [
        (row["id"], check["what"], _number(check["value"]), check["target"], check["state"], check["note"])
        for row in data["rows"]
        for check in row["checks"]
    ]
    return Table(("row", "what", "measured", "target (DESIGN §6)", "state", "note"), tuple(rows))


def row_table(row: dict[str, Any]) -> Table:
    """The contestants of one row."""
    head = ("", f"{row['unit']}, median (quartiles)", "ratio (quartiles)", "note")
    cells = [(e["name"], _spread(e["value"]), _spread(e["ratio"]), e["note"]) for e in row["entries"]]
    return Table(head, tuple(cells))


def series_table(row: dict[str, Any]) -> Table:
    """How one thing grows with another."""
    xs = sorted({x for points in row["series"].values() for x, _ in points})
    cells = [
        (name, *(_number(dict(map(tuple, points)).get(x)) for x in xs))
        for name, points in row["series"].items()
    ]
    return Table((f"{row['unit']} by {row['x_label']}", *(_number(x, 4) for x in xs)), tuple(cells))


def markdown(table: Table) -> str:
    """A table as GitHub reads it."""
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def text(data: dict[str, Any]) -> str:
    """The whole report in Markdown."""
    device = data["device"]
    extensions = ", ".join(device["extensions"])
    where = f"{device['cpu']}, {device['cores']} cores ({extensions}), {device['gpu'] or 'no GPU'}"
    packages = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    s = data["settings"]
    threads = f"{s['threads']} thread{'s' if s['threads'] != 1 else ''}"
    parts = [
        f"**{where}.** {device['system']}, Python {device['python']}, {packages}.",
        (
            f"Model {s['model']}, {s['size']} px, {threads}, {s['rounds']} interleaved rounds, "
            f"{s['clock']} time, {data['when']}."
        ),
    ]
    if not data["quiet"]:
        parts.append("**The machine was busy with other work: these numbers are not to be quoted.**")
    parts.append(markdown(checks_table(data)))
    for row in data["rows"]:
        parts.append(f"### {row['id']}: {row['title']}\n\nTimed: {row['timed']}.")
        if row["entries"]:
            parts.append(markdown(row_table(row)))
        if row["series"]:
            parts.append(markdown(series_table(row)))
        parts += [
            "\n".join(f"- {note}" for note in (*row["notes"], *(f"not run: {n}" for n in row["not_run"])))
        ]
    return "\n\n".join(part for part in parts if part)


def into_readme(path: Path, data: dict[str, Any]) -> None:
    """Put the report between the two marks of a README."""
    whole = path.read_text("utf-8")
    if START not in whole or END not in whole:
        raise ValueError(f"{path}: expected the lines {START!r} and {END!r}, got a page without; put them in")
    before, rest = whole.split(START, 1)
    with atomic_path(path) as temporary:
        temporary.write_text(f"{before}{START}\n\n{text(data)}\n\n{END}{rest.split(END, 1)[1]}", "utf-8")
