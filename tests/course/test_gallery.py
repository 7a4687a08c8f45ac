"""Pages with pictures outside the lessons: as in the notebooks, all there, small enough for GitHub."""

from __future__ import annotations

import base64
import re

import nbformat
import numpy as np
import pytest

from helpers.course import gallery
from helpers.course.atlas import CARDS
from helpers.course.language import LANGUAGES
from helpers.course.place import repository
from helpers.drawing import encode_jpeg

DOCS = repository() / "docs"


def picture(alt=""):
    jpeg = encode_jpeg(np.full((20, 30, 3), 90, np.uint8))
    data = {"image/jpeg": base64.b64encode(jpeg).decode(), "text/plain": "<picture 30x20>"}
    return nbformat.v4.new_output(
        "display_data", data=data, metadata={"image/jpeg": {"alt": alt}} if alt else {}
    )


def notebook(*outputs):
    cell = nbformat.v4.new_code_cell("x", id="00-draw", outputs=list(outputs))
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 00 · Title", id="t"), cell])


def test_no_cells_have_no_pictures():
    assert gallery.pictures_of(notebook(), ()) == []


def test_the_first_picture_of_a_cell_with_what_it_says():
    (found,) = gallery.pictures_of(notebook(picture("a cell"), picture("another")), ("00-draw",))
    assert (found.name, found.alt, found.width) == ("00-draw.jpg", "a cell", 30)
    assert found.jpeg[:2] == b"\xff\xd8"
    (found,) = gallery.pictures_of(notebook(picture()), ("00-draw",))
    assert found.alt == "picture 30x20"
    bare = picture()
    del bare.data["text/plain"]
    (found,) = gallery.pictures_of(notebook(bare), ("00-draw",))
    assert found.alt == "", "a picture that says nothing is shown all the same"


@pytest.mark.parametrize("cells", [("00-gone",), ("00-draw",), ("t",)])
def test_a_cell_without_a_picture_is_named(cells):
    with pytest.raises(ValueError, match=f"got {cells[0]}. Fix: course execute {cells[0][:2]}, or"):
        gallery.pictures_of(notebook(), cells)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A repository with one lesson."""
    book = notebook(picture("<a cell>"))
    (tmp_path / "notebooks").mkdir()
    nbformat.write(book, tmp_path / "notebooks" / "00_start_here.ipynb")
    monkeypatch.setattr(gallery, "repository", lambda: tmp_path)
    monkeypatch.setattr(gallery, "SHOWN", {"00": ("00-draw",)})
    return tmp_path


def test_update_writes_what_changed_and_removes_what_is_no_longer_shown(copy):
    assert [path.as_posix() for path in gallery.update(("en",))] == [
        "docs/gallery/00-draw.jpg",
        "docs/gallery.md",
    ]
    assert gallery.update(("en",)) == []
    (copy / "docs" / "gallery" / "old.jpg").write_bytes(b"x")
    (copy / "docs" / "gallery" / "00-draw.jpg").write_bytes(b"x")
    assert len(gallery.update(("en",))) == 2
    assert sorted(path.name for path in (copy / "docs" / "gallery").iterdir()) == ["00-draw.jpg"]
    text = (copy / "docs" / "gallery.md").read_text("utf-8")
    assert "## [00 · Title](../notebooks/00_start_here.ipynb)" in text
    assert '<img src="gallery/00-draw.jpg" alt="&lt;a cell&gt;" width="30">' in text


def test_an_edition_without_notebooks_removes_only_its_own_pictures(copy):
    for path in ("docs/result.jpg", "docs/gallery/zh-CN/old.jpg", "docs/gallery/00-draw.jpg"):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes(b"x")
    assert {path.as_posix() for path in gallery.update(("zh-CN",))} == {
        "docs/gallery.zh-CN.md",
        "docs/gallery/zh-CN/old.jpg",
    }
    assert (copy / "docs" / "result.jpg").is_file()
    assert (copy / "docs" / "gallery" / "00-draw.jpg").is_file()


def test_after_a_run_a_missing_picture_is_said_and_the_other_edition_renewed(copy, capsys, monkeypatch):
    assert gallery.renew(()) == 0
    assert gallery.renew() == 0
    before = (copy / "docs" / "gallery.md").read_bytes()
    (copy / "docs" / "gallery.zh-CN.md").unlink()
    monkeypatch.setattr(gallery, "SHOWN", {"00": ("00-gone",)})
    assert gallery.renew() == 1
    assert "gallery (en): not brought up to date: cell: expected one with" in capsys.readouterr().out
    assert (copy / "docs" / "gallery.md").read_bytes() == before
    assert (copy / "docs" / "gallery.zh-CN.md").is_file()


def test_a_lesson_that_shows_nothing_has_its_line(copy, monkeypatch):
    monkeypatch.setattr(gallery, "SHOWN", {})
    ((_, text),) = gallery.pages()
    assert "## [00 · Title](../notebooks/00_start_here.ipynb)\n\n## The pipeline" in text.decode()


# --- the committed pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_committed_gallery_is_what_the_notebooks_show(language):
    wanted = dict(gallery.pages(language))
    different = [p for p, data in wanted.items() if (repository() / p).read_bytes() != data]
    assert different == [], "run python -m helpers course picture"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_that_github_renders(language):
    ending = "" if language == "en" else f".{language}"
    page = DOCS / f"gallery{ending}.md"
    text = page.read_text("utf-8")
    assert text.count("\n## ") == len(CARDS) + 1, "every lesson, and the sheet"
    sources = re.findall(r'<img src="([^"]+)" alt="([^"]+)" width="\d+">', text)
    assert len(sources) == text.count("<img") >= len(CARDS)
    targets = [*(source for source, _ in sources), *re.findall(r"\]\(([^)\s]+)\)", text)]
    assert [target for target in targets if not (DOCS / target).is_file()] == []
    assert sum((DOCS / source).stat().st_size for source, _ in sources) < 2_000_000


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_has_a_picture_of_every_lesson(name):
    text = (repository() / name).read_text("utf-8")
    folder = "docs/gallery/zh-CN" if "zh-CN" in name else "docs/gallery"
    for card in CARDS:
        assert f'<img src="{folder}/{gallery.SHOWN[card.number][0]}.jpg"' in text
