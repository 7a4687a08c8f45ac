"""Tables, the README's block, merging of results, and the figure."""

import pytest

from benchmarks import report
from benchmarks.figure import PANELS, draw
from benchmarks.report import END, START


def entry(name, median, ratio=None, note=""):
    def spread(value):
        return {"median": value, "q1": value * 0.9, "q3": value * 1.1, "count": 5}

    return {"name": name, "value": spread(median), "ratio": ratio and spread(ratio), "note": note}


def row(id_, **given):
    empty = {
        "title": f"title of {id_}",
        "timed": "a run",
        "unit": "ms",
        "entries": [],
        "checks": [],
        "series": {},
    }
    empty |= {"x_label": "", "notes": [], "not_run": [], "quiet": True, "others": 0.0}
    return {"id": id_} | empty | given


def data(*rows, **given):
    device = {
        "cpu": "CPU",
        "cores": 2,
        "extensions": ["avx2"],
        "gpu": None,
        "system": "Linux",
        "python": "3.11",
    }
    settings = {"model": "m", "size": 640, "rounds": 25, "threads": 2, "clock": "wall"}
    made = {"schema": 1, "when": "2026-01-01 00:00 UTC", "device": device, "versions": {"onnx": "1"}}
    return made | {"settings": settings, "quiet": True, "quick": False, "rows": list(rows)} | given


CHECK = {"what": "a / b", "value": 1.0312345, "target": "≤ 1.05", "source": "s", "state": "met", "note": ""}
FULL = data(
    row("floor", entries=[entry("convolutions alone", 100.0), entry("ours, x", 103.0, 1.03)], checks=[CHECK]),
    row(
        "batch", series={"-batched": [[1, 9.0], [4, 7.5]], "b|c": [[4, 8.0]]}, x_label="pictures", notes=["n"]
    ),
    row("peers", not_run=["OpenVINO: not installed"]),
)


def test_no_rows(tmp_path):
    assert len(report.checks_table(data())) == 0
    assert "CPU, 2 cores" in report.text(data())
    assert draw(data(), tmp_path / "a.svg") > 0


@pytest.mark.parametrize(("threads", "told"), [(1, "640 px, 1 thread, 25"), (2, "640 px, 2 threads, 25")])
def test_one_thread_is_no_plural(threads, told):
    shown = data()
    shown["settings"]["threads"] = threads
    assert told in report.text(shown)


def test_text_has_targets_first_then_every_row():
    text = report.text(FULL)
    assert "| floor | a / b | 1.03 | ≤ 1.05 | met |  |" in text
    assert text.index("a / b") < text.index("### floor") < text.index("### batch") < text.index("### peers")
    assert "| convolutions alone | 100 (90 – 110) |  |  |" in text
    assert "| ours, x | 103 (92.7 – 113.3) | 1.03 (0.927 – 1.133) |  |" in text
    assert "| ms by pictures | 1 | 4 |" in text
    assert "| b\\|c | – | 8 |" in text
    assert "- not run: OpenVINO: not installed" in text
    assert "onnx 1" in text
    assert "busy" not in text


def test_a_busy_machine_is_said_and_drawn(tmp_path):
    busy = FULL | {"quiet": False}
    assert "not to be quoted" in report.text(busy)
    draw(busy, tmp_path / "a.svg")
    assert "not to be quoted" in (tmp_path / "a.svg").read_text()


def test_a_single_value_has_no_quartiles():
    one = entry("a", 7.0)
    one["value"]["count"] = 1
    assert report.row_table(row("x", entries=[one])).rows[0][1] == "7"


def test_readme(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"# head\n{START}\nold\n{END}\ntail\n")
    for _ in range(2):
        report.into_readme(page, FULL)
    text = page.read_text()
    assert text.startswith(f"# head\n{START}\n\n**CPU, 2 cores")
    assert text.endswith(f"{END}\ntail\n")
    assert "old" not in text
    page.write_text("# no marks")
    with pytest.raises(ValueError, match="expected the lines"):
        report.into_readme(page, FULL)
    assert page.read_text() == "# no marks"


def test_files_come_back_and_others_are_refused(tmp_path):
    report.write_results(tmp_path / "a.json", FULL)
    assert report.read_results(tmp_path / "a.json") == FULL
    for text, said in (("{", "none that can be read"), ('{"schema": 2}', "expected schema 1, got 2")):
        (tmp_path / "b.json").write_text(text)
        with pytest.raises(ValueError, match=said):
            report.read_results(tmp_path / "b.json")
    with pytest.raises(ValueError, match="none that can be read"):
        report.read_results(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({}, [("floor", 2), ("batch", 1), ("new", 2)]),
        ({"versions": {"onnx": "2"}}, [("floor", 2), ("new", 2)]),
        ({"device": {}}, [("floor", 2), ("new", 2)]),
        ({"settings": {}}, [("floor", 2), ("new", 2)]),
        ({"schema": 0}, [("floor", 2), ("new", 2)]),
    ],
)
def test_rows_are_merged_where_machine_and_packages_are_the_same(change, rows):
    old = data(row("floor", notes=1), row("batch", notes=1)) | change
    new = data(row("floor", notes=2), row("new", notes=2), when="later")
    made = report.merged(old, new)
    assert [(r["id"], r["notes"]) for r in made["rows"]] == rows
    assert made["when"] == "later"
    assert report.merged(None, new) == new


def test_the_figure_has_a_panel_for_every_row_that_was_run(tmp_path):
    pair = [entry("convolutions alone", 100.0), entry("the guide's patch", 113.0, 1.13)]
    grown = {"a": [[0, 1.0], [100, 2.0]], "b": [[0, 1.0], [100, 2.0]]}
    rows = [
        row(i, entries=pair) if i in ("floor", "picture", "precision") else row(i, series=grown)
        for i in PANELS
    ]
    size = draw(data(*rows), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert size == len(text.encode()) < 100_000
    for title in (
        "On top of the convolutions",
        "Picture in, boxes out",
        "Times as fast",
        "After the",
        "Pictures a",
    ):
        assert title in text
    assert "+13.0 %" in text
    assert draw(data(*rows), tmp_path / "b.svg") == size
    assert (tmp_path / "b.svg").read_bytes() == (tmp_path / "a.svg").read_bytes()


def test_a_figure_too_large_for_a_page_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.figure.MOST_BYTES", 10)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        draw(FULL, tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()
