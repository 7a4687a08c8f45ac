"""What page.js finds on a page: each flaw by itself, and nothing on a page without one."""

import base64

import pytest
from browser_support import SCRIPT

from helpers.images import save_image
from helpers.training.smears import draw_smear

PAGE = """<body style="margin: 0; background: {background}"><div class="jp-Notebook">
<div class="jp-Cell" data-windowed-list-index="0"><div class="jp-OutputArea" style="width: 600px">
<div class="jp-OutputArea-output">{output}</div></div></div></div></body>"""
PRE = '<pre style="font: 14px monospace; white-space: pre-wrap; margin: 0; padding: 0">{}</pre>'
DRAWING = (
    "<svg width='200' height='60'><rect width='200' height='60' fill='{}'/>"
    "<text x='20' y='30' fill='{}'>Conv</text></svg>"
)
GOOD = {
    "text": PRE.format("15 boxes\n" + "a sentence may be long " * 9),
    "table": "<table style='color: #111'><tr><td>op</td><td>58</td></tr></table>",
    "drawing": DRAWING.format("#222", "#eee"),
    "widget": "<div class='jp-OutputArea'><div class='jp-OutputArea-output'>one</div></div>",
}
FLAWS = {
    "an error": ("failures", "<div data-mime-type='application/vnd.jupyter.error'>Traceback</div>"),
    "stderr": ("failures", "<div data-mime-type='application/vnd.jupyter.stderr'>warning</div>"),
    "a picture that is none": ("unseen", "<img src='data:image/png;base64,AAAA'>"),
    "a picture without a size": ("unseen", "<img src='PICTURE' width='0'>"),
    "a picture beyond the page": ("wide", "<img src='PICTURE' width='700'>"),
    "a drawing beyond the page": ("wide", "<svg width='700' height='20'></svg>"),
    "a scroll bar": ("wide", "<div style='overflow: auto; width: 9em'><p style='width: 12em'>1</p></div>"),
    "cut off": ("wide", "<div style='overflow: hidden; white-space: nowrap'>" + "word " * 99 + "</div>"),
    "columns folded": ("folded", PRE.format("name   " + "x" * 90 + "   1")),
    "grey on white": ("faint", "<span style='color: #ccc'>faint</span>"),
    "black on a dark cell": ("faint", "<p style='background: #222; color: #000'>faint</p>"),
    "grey on grey in a drawing": ("faint", DRAWING.format("#999", "#aaa")),
}
KINDS = ("failures", "unseen", "wide", "folded", "faint")


@pytest.fixture
def look(browser, tmp_path):
    """A function: an output's HTML to what each kind of look finds, kinds without a finding left out."""
    picture = save_image(tmp_path / "smear.png", draw_smear(9000, (64, 48)).image_bgr).read_bytes()
    address = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    page = browser.new_page(viewport={"width": 800, "height": 600})

    def looked(output, background="#fff"):
        page.set_content(PAGE.format(output=output.replace("PICTURE", address), background=background))
        page.wait_for_function("() => [...document.images].every(each => each.complete)")
        page.add_script_tag(path=SCRIPT)
        found = {kind: page.locator(".jp-Cell").evaluate(f"course.{kind}") for kind in KINDS}
        return {kind: lines for kind, lines in found.items() if lines}

    yield looked
    page.close()


def test_an_empty_output(look):
    assert look("") == {}


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_found_on_a_good_page(look, name):
    assert look(GOOD[name]) == {}


@pytest.mark.parametrize("name", FLAWS)
def test_a_flaw_is_found_and_no_other(look, name):
    kind, output = FLAWS[name]
    assert list(look(output)) == [kind]


def test_what_is_good_on_white_is_lost_on_black(look):
    assert look("<p style='color: #111'>text</p>") == {}
    assert list(look("<p style='color: #111'>text</p>", "#000")) == ["faint"]


def test_the_text_of_an_output_in_an_output_counts_once(browser, look):
    look(GOOD["widget"])
    page = browser.contexts[-1].pages[-1]
    assert page.evaluate("course.output", 0) == "one"
    assert page.evaluate("course.changed", [0, "zero"])
    assert not page.evaluate("course.changed", [0, "one"])
    look("")
    assert not page.evaluate("course.changed", [0, "one"]), "an output that is being drawn anew"
