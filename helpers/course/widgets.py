"""Slider, chooser and upload for the lessons; each has one deterministic form where nobody can click."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from helpers.course.pictures import NamedPicture
from helpers.course.place import is_headless, say
from helpers.wording import wording

__all__ = ["choose", "slider", "upload"]

_AS_LONG_AS_IT_IS = {"description_width": "initial"}  # a label: neither cut off nor indented


def slider(
    action: Callable[[float], object],
    *,
    value: float,
    minimum: float = 0.0,
    maximum: float = 1.0,
    step: float = 0.01,
    label: str = "value",
) -> None:
    """Call `action` with the slider's value, again at every move; headless once, with `value`.

    >>> slider(lambda score: print(f"at {score}"), value=0.35)
    at 0.35
    """
    if is_headless():
        action(value)
        return
    import ipywidgets

    digits = ".0f" if step >= 1 else ".2f"
    bar = ipywidgets.FloatSlider(
        value=value, min=minimum, max=maximum, step=step, description=wording(label),
        continuous_update=False, readout_format=digits, style=_AS_LONG_AS_IT_IS, layout={"width": "560px"},
    )  # fmt: skip
    _connect(bar, lambda: action(bar.value))


def choose(action: Callable[[Any], object], options: Sequence[Any], *, label: str = "pick") -> None:
    """Call `action` with the chosen option, again at every choice; headless once, with the first.

    Options that carry a `name` are listed by it.

    >>> choose(lambda word: print(word), ["one", "two"])
    one

    Raises:
        ValueError: There is nothing to choose from.
    """
    if not options:
        raise ValueError("options: expected at least one, got none. Fix: pass what there is to choose from")
    if is_headless():
        action(options[0])
        return
    import ipywidgets

    labels = [wording(str(getattr(option, "name", option))) for option in options]
    choices = [(text, place) for place, text in enumerate(labels)]
    box = ipywidgets.Dropdown(options=choices, description=wording(label), style=_AS_LONG_AS_IT_IS)
    _connect(box, lambda: action(options[box.value]))


def upload(
    action: Callable[[NamedPicture], object], *, fallback: NamedPicture, label: str = "your picture"
) -> None:
    """Call `action` with an uploaded picture; before that, and headless, with `fallback`.

    Args:
        action: Receives the picture.
        fallback: What to use while there is none.
        label: Text on the button.
    """
    if is_headless():
        action(fallback)
        return
    import ipywidgets

    from helpers.images import ImageError

    button = ipywidgets.FileUpload(accept="image/*", multiple=False, description=wording(label))

    def run() -> None:
        try:
            picture = _decoded(button.value[0]) if button.value else fallback
        except ImageError as error:  # a sentence for the reader, not a traceback
            say(f"{button.value[0]['name']}: {str(error).partition(': ')[2]}")
        else:
            action(picture)

    _connect(button, run)


def _decoded(file: Any) -> NamedPicture:
    """A browser's file as a picture; helpers.images says what is wrong with one that is none."""
    import tempfile
    from pathlib import Path

    from helpers.images import load_image

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(file["name"]).name)
        path.write_bytes(bytes(file["content"]))
        return NamedPicture(path.stem, load_image(path))


def _connect(control: Any, run: Callable[[], object]) -> None:
    """Show a control with its output under it, and run at once and at every change."""
    import ipywidgets
    from IPython.display import display

    output = ipywidgets.Output()

    def refresh(_: object = None) -> None:
        output.clear_output(wait=True)
        with output:
            run()

    control.observe(refresh, names="value")
    display(ipywidgets.VBox([control, output]))  # type: ignore[no-untyped-call]
    refresh()
