"""Exercises of lesson 04."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from helpers.course.exercises import wrong_type

if TYPE_CHECKING:
    import onnx

_NOW = ("x0", "y0", "x1", "y1", "score", "class")
_WANTED = ("class", "score", "x0", "y0", "x1", "y1")
_SLOTS = 100
_BENCH = """<ir_version: 8, opset_import: ["": {opset}]>
bench (float[m, 7] rows) => (float[m, 7] detections) {{ detections = Identity(rows) }}"""


def exercise_1(answer: object) -> str | None:
    """Columns that a `Gather` takes for a reader who wants class and score first.

    >>> exercise_1([_NOW.index(name) for name in _WANTED]) is None
    True
    """
    import numpy as np

    listed = answer.tolist() if isinstance(answer, np.ndarray) else answer
    if hint := wrong_type(listed, (list, tuple), "a list of six column numbers"):
        return hint
    numbers: Sequence[Any] = listed  # type: ignore[assignment]
    if len(numbers) != len(_NOW) or any(type(number) is not int for number in numbers):
        return "A Gather needs one whole number for each of the six columns it makes."
    if not all(-len(_NOW) <= number < len(_NOW) for number in numbers):
        return "One of these columns does not exist: there are six, counted from 0."
    taken = tuple(_NOW[number] for number in numbers)
    if taken == _WANTED:
        return None
    if [_WANTED[number] for number in numbers] == list(_NOW):
        return "These say where each column goes to; a Gather wants to know where each one is taken from."
    return f"That gives {', '.join(taken)}."


def exercise_2(answer: object) -> str | None:
    """Boxes that Ultralytics reports where the padding of a blank picture scores 0.5.

    >>> exercise_2(_SLOTS) is None
    True
    """
    if hint := wrong_type(answer, int, "a whole number"):
        return hint
    if answer == _SLOTS:
        return None
    if answer == 0:
        return "That is what it reports with zeros. Which rows does it keep when each of them scores 0.5?"
    return "The picture is blank, so every row is padding: which rows pass Ultralytics' usual conf of 0.25?"


def exercise_3(answer: object) -> str | None:
    """A function that adds the output `count`, tried on tables of several lengths.

    >>> exercise_3(lambda model: model)
    'The model that comes back has 1 output; it should have two, the second called count.'
    """
    if not callable(answer):
        return f"Expected a function that takes a model, got {type(answer).__name__}."
    for opset, slots in ((18, _SLOTS), (17, 7)):
        if hint := _try_count(answer, opset, slots):
            return hint
    return None


def _try_count(add_count: Callable[[Any], Any], opset: int, slots: int) -> str | None:
    import onnx

    from helpers.patches.ultralytics import to_ultralytics

    model = to_ultralytics(onnx.parser.parse_model(_BENCH.format(opset=opset)), slots=slots).model
    before = model.SerializeToString(deterministic=True)
    edited = add_count(model)  # what it raises is the reader's to see
    if not isinstance(edited, onnx.ModelProto):
        return f"Your function should return the edited model, got {type(edited).__name__}."
    names = [value.name for value in edited.graph.output]
    if len(names) != 2 or names[1] != "count":
        count = f"{len(names)} output{'s' if len(names) != 1 else ''}"
        return f"The model that comes back has {count}; it should have two, the second called count."
    if model.SerializeToString(deterministic=True) != before:
        return "The model that was handed in has changed: work on a copy (onnx.ModelProto() and CopyFrom)."
    return _run_count(edited, slots)


def _run_count(edited: onnx.ModelProto, slots: int) -> str | None:
    import onnx
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidGraph", "InvalidArgument", "NotImplemented", "RuntimeException")
    refusals = (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        *(getattr(state, name) for name in names),
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnx.checker.check_model(edited, full_check=True)
        session = onnxruntime.InferenceSession(edited.SerializeToString(), options, ["CPUExecutionProvider"])
        hints = (_count_of(session, slots, rows) for rows in (0, 1, slots - 1, slots, slots + 40))
        return next((hint for hint in hints if hint), None)
    except refusals as error:
        return f"The graph does not work: {str(error).strip().splitlines()[0]}"


def _count_of(session: Any, slots: int, filled: int) -> str | None:
    """A hint on what the edited graph says about so many detections; None where it is right."""
    import numpy as np

    rows = np.zeros((filled, 7), np.float32)  # only the score tells that a slot is filled
    rows[:, 6] = np.linspace(0.02, 0.98, filled)
    table, count = session.run(None, {"rows": rows})
    if table.shape != (1, slots, 6) or (table[0, :, 4] > 0).sum() != min(filled, slots):
        return "The first output has changed; it should be the detections, as before."
    if count.dtype != np.int64 or count.shape != (1,):
        return f"count should be int64 of shape [1], got {count.dtype} of shape {list(count.shape)}."
    if count[0] != min(filled, slots):
        return f"With {filled} detections and {slots} slots it says {count[0]}."
    return None
