"""Exercises of lesson 10: which file has what, a way back that does not fit its way in, a graph to repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.course.exercises import wrong_type

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

__all__ = ["broken", "exercise_1", "exercise_2", "exercise_3", "patients", "through_half"]

WORDS = ("healthy", "names", "open", "half")
NAMES = ("RBC", "WBC", "Platelets")
SIDE, FLOAT16 = 64, 10
_RAW = """<ir_version: 8, opset_import: ["": 17]>
raw (float[1, 3, 64, 64] images) => (float[1, 1536, 8] output) <int64[3] shape = {1, 1536, 8}>
{ output = Reshape(images, shape) }"""
# The rows of this detector lie in its picture: 8 numbers each, of which 7 count.
_BROKEN = """<ir_version: 8, opset_import: ["": 17]>
detector (float[1, 3, 64, 64] images) => (float[M, 7] detections)
<int64[2] shape = {1536, 8}, int64[7] columns = {0, 1, 2, 3, 4, 5, 6}, int64 five = {5}, float zero = {0}>
{ table = Reshape(images, shape)
  rows = Gather <axis = 1> (table, columns)
  score = Gather <axis = 1> (rows, five)
  found = Greater(score, zero)
  detections = Compress <axis = 0> (rows, found) }"""


def through_half(model: onnx.ModelProto, value: str) -> onnx.ModelProto:
    """A copy of a model in which a value is rounded to FP16 and goes on in FP32.

    >>> import onnx
    >>> model = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["": 17]>
    ...     g (float[n] x) => (float[n] y) { y = Neg(x) }''')
    >>> [node.op_type for node in through_half(model, "y").graph.node]
    ['Neg', 'Cast', 'Cast']
    """
    import onnx

    rounded = onnx.ModelProto()
    rounded.CopyFrom(model)
    nodes = list(rounded.graph.node)
    place = next(index for index, node in enumerate(nodes) if value in node.output)
    exact, short = f"{value}/exact", f"{value}/short"
    nodes[place].output[list(nodes[place].output).index(value)] = exact
    casts = [
        onnx.helper.make_node("Cast", [exact], [short], to=FLOAT16),
        onnx.helper.make_node("Cast", [short], [value], to=1),
    ]
    del rounded.graph.node[:]
    rounded.graph.node.extend([*nodes[: place + 1], *casts, *nodes[place + 1 :]])
    return rounded


def patients() -> dict[str, onnx.ModelProto]:
    """Four small detectors; up to three of them are ill.

    >>> list(patients())
    ['A', 'B', 'C', 'D']
    """
    import onnx

    from helpers.patches.metadata import write_metadata
    from helpers.patches.nms import add_nms
    from helpers.patches.ultralytics import to_ultralytics

    end2end = add_nms(onnx.parser.parse_model(_RAW)).model
    patched = to_ultralytics(end2end).model
    whole = write_metadata(patched, names=NAMES, stride=32).model
    return {
        "A": through_half(whole, "nms/apart"),
        "B": whole,
        "C": write_metadata(end2end, names=NAMES, stride=32).model,
        "D": patched,
    }


def broken() -> onnx.ModelProto:
    """A detector whose maker put the score before the class, and wrote down neither names nor a length."""
    import onnx

    return onnx.parser.parse_model(_BROKEN)


def exercise_1(answer: object) -> str | None:
    """A word for each patient.

    >>> exercise_1({})
    'Expected a word for each of A, B, C, D.'
    """
    if hint := wrong_type(answer, dict, "a dictionary"):
        return hint
    given = dict(answer) if isinstance(answer, dict) else {}
    right = {letter: _ailment(model) for letter, model in patients().items()}
    if given.keys() != right.keys():
        return f"Expected a word for each of {', '.join(right)}."
    if strange := sorted({str(word) for word in given.values()} - set(WORDS)):
        return f"Expected {', '.join(WORDS)}; got {', '.join(strange)}."
    wrong = [letter for letter in right if given[letter] != right[letter]]
    hints = {
        "half": "follow the boxes up from NonMaxSuppression's first input, past every Cast.",
        "open": "what is the shape of its output?",
        "names": "what does its metadata say, and what not?",
        "healthy": "shape, names, types: what exactly is wrong with it?",
    }
    return f"{wrong[0]}: {hints[right[wrong[0]]]}" if wrong else None


def _ailment(model: onnx.ModelProto) -> str:
    """What a look at the graph finds."""
    from helpers.patches import shape_of
    from helpers.patches.metadata import read_metadata

    if not all(isinstance(size, int) for size in shape_of(model.graph.output[0]) or (None,)):
        return "open"
    if "names" not in read_metadata(model):
        return "names"
    made = {name: node for node in model.graph.node for name in node.output}
    value = next(node.input[0] for node in model.graph.node if node.op_type == "NonMaxSuppression")
    casts = []
    while made[value].op_type == "Cast":
        casts.append(made[value].attribute[0].i)
        value = made[value].input[0]
    return "half" if FLOAT16 in casts else "healthy"


def exercise_2(answer: object) -> str | None:
    """A function that puts boxes right which went in at the corner and came back as if from the middle.

    >>> exercise_2(lambda boxes_xyxy, picture_wh: boxes_xyxy)
    'A picture of 1280x720: still off by up to 280 px.'
    """
    if not callable(answer):
        return f"Expected a function of boxes and size, got {type(answer).__name__}."
    for picture_wh in ((1280, 720), (480, 640), (640, 640), (900, 300)):
        given, right = _colleague(picture_wh)
        try:
            found = np.asarray(answer(given.copy(), picture_wh), np.float64)
        except (TypeError, ValueError, IndexError) as error:
            return f"The function fails: {type(error).__name__}: {error}"
        what = f"A picture of {picture_wh[0]}x{picture_wh[1]}"
        if found.shape != right.shape:
            return f"{what}: expected boxes {list(right.shape)}, got {list(found.shape)}."
        if not (worst := float(np.abs(found - right).max())) <= 1:
            return f"{what}: still off by up to {worst:.0f} px."
    return None


def _colleague(picture_wh: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes as the colleague's program gives them, and where they should be."""
    width, height = picture_wh
    corners = np.array([[0, 0, 0.2, 0.3], [0.4, 0.1, 0.9, 0.5], [0.5, 0.6, 1, 1]])
    right = corners * (width, height, width, height)
    scale = min(640 / width, 640 / height)
    grey = np.array([(640 - side * scale) / 2 for side in (width, height)] * 2)
    return (right * scale - grey) / scale, right


def exercise_3(answer: object) -> str | None:
    """The broken detector, in the form that Ultralytics reads, with the right numbers.

    >>> exercise_3(broken())
    'Its output is [M, 7]; Ultralytics wants [1, 100, 6].'
    """
    import onnx

    from helpers.patches import PatchError, shape_of
    from helpers.patches.metadata import read_metadata

    if not isinstance(answer, onnx.ModelProto):
        return f"Expected a model, got {type(answer).__name__}."
    try:
        onnx.checker.check_model(answer, full_check=True)
        metadata = read_metadata(answer)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, PatchError) as error:
        return f"This is no valid model: {str(error)[:120]}"
    shape = shape_of(answer.graph.output[0]) or ()
    if shape != (1, 100, 6):
        return f"Its output is [{', '.join(map(str, shape))}]; Ultralytics wants [1, 100, 6]."
    if hint := _try_repaired(answer):
        return hint
    if list(metadata.get("names", {}).values()) != list(NAMES):
        return f"The classes should be called {', '.join(NAMES)}, in this order."
    arguments: Any = metadata.get("args")
    return None if arguments and arguments.get("nms") else "Say in the metadata that the NMS is in the graph."


def _try_repaired(model: onnx.ModelProto) -> str | None:
    """Feed detections, few and many, and look at what comes out."""
    from helpers.session import DetectorError, open_session

    try:
        session = open_session(model.SerializeToString(), providers="cpu")
    except DetectorError as error:
        return f"ONNX Runtime does not load it: {str(error)[:120]}"
    if [port.name for port in session.get_inputs()] != ["images"]:
        return "Its input should still be called images."
    for count in (0, 3, 100, 130):
        images, rows = _picture_of(count)
        out = np.asarray(session.run(None, {"images": images})[0])[0]
        best = rows[np.sort(np.argsort(-rows[:, 4], kind="stable")[:100])]
        if out[: len(best), [5, 4]].tolist() == best[:, [4, 5]].tolist() and count:
            return "The class stands where the score should be. Which of the seven columns is which?"
        if not np.array_equal(out, np.vstack([best, np.zeros((100 - len(best), 6), np.float32)])):
            return f"With {count} detections, what comes out is not the best rows, then zeros."
    return None


def _picture_of(count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """An input that holds so many detections, and the rows that should come out: corners, score, class."""
    random = np.random.default_rng(count)
    rows = np.zeros((count, 6), np.float32)
    rows[:, :4] = random.uniform(0, SIDE, (count, 4))
    rows[:, 4] = random.permutation(np.linspace(0.36, 0.99, count))
    rows[:, 5] = random.integers(0, len(NAMES), count)
    table = np.zeros((3 * SIDE * SIDE // 8, 8), np.float32)
    table[random.permutation(len(table))[:count], 1:7] = rows
    placed = table[table[:, 5] > 0]
    return table.reshape(1, 3, SIDE, SIDE), placed[:, 1:7]
