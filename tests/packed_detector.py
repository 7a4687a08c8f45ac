"""A detector whose heads are its input: packed one under the other, so a test chooses every logit.

Two dialects of the decode: `dynamo`, as torch's present exporter writes it for this project, and `script`, as
the official exporter does (Pow, scales folded into the grid).
"""

from __future__ import annotations

import numpy as np
import onnx

LEVELS = ((10, 12, 8), (5, 6, 16))  # height, width, stride
ANCHORS = np.array([[12, 16], [19, 36], [40, 28], [36, 75], [76, 55], [72, 146]], np.float32).reshape(2, 3, 2)
CELLS = [height * width for height, width, _ in LEVELS]
CANDIDATES = 3 * sum(CELLS)
WIDTH = max(width for _, width, _ in LEVELS)
HEIGHT = sum(height for height, _, _ in LEVELS)

LEVEL = {
    "dynamo": """
        five{i} = Reshape (head{i}, split{i})
        turned{i} = Transpose <perm = [0, 1, 3, 4, 2]> (five{i})
        y{i} = Sigmoid (turned{i})
        xy{i} = Slice (y{i}, zero, two, four)
        twice{i} = Mul (xy{i}, scalar_two)
        shifted{i} = Sub (grid{i}, half)
        moved{i} = Add (twice{i}, shifted{i})
        centre{i} = Mul (moved{i}, stride{i})
        wh{i} = Slice (y{i}, two, four, four)
        double{i} = Mul (wh{i}, scalar_two)
        square{i} = Mul (double{i}, double{i})
        size{i} = Mul (square{i}, anchor{i})
        rest{i} = Slice (y{i}, four, end, four)
        boxes{i} = Concat <axis = 4> (centre{i}, size{i}, rest{i})
        rows{i} = Reshape (boxes{i}, table{i})""",
    "script": """
        five{i} = Reshape (head{i}, split{i})
        turned{i} = Transpose <perm = [0, 1, 3, 4, 2]> (five{i})
        y{i} = Sigmoid (turned{i})
        xy{i} = Slice (y{i}, zero, two, four)
        wh{i} = Slice (y{i}, two, four, four)
        rest{i} = Slice (y{i}, four, end, four)
        scaled{i} = Mul (xy{i}, span{i})
        centre{i} = Add (scaled{i}, offset{i})
        square{i} = Pow (wh{i}, scalar_two)
        size{i} = Mul (square{i}, anchor4{i})
        boxes{i} = Concat <axis = 4> (centre{i}, size{i}, rest{i})
        rows{i} = Reshape (boxes{i}, table{i})""",
}


def raw(*, classes=3, batch=1, dialect="dynamo", opset=17):
    """The raw graph: `images` `[batch, 3 V, HEIGHT, WIDTH]`, `output` `[batch, N, V]`, `V = 5 + classes`."""
    columns, lead = 5 + classes, batch if isinstance(batch, int) else -1
    weights = {
        "identity": np.eye(3 * columns, dtype=np.float32)[..., None, None],
        "zero": np.array([0]), "two": np.array([2]), "four": np.array([4]), "end": np.array([2**62]),
        "scalar_two": np.float32(2), "half": np.float32(0.5), "rows_columns": np.array([2, 3]),
    }  # fmt: skip
    lines, top = [], 0
    for i, (height, width, stride) in enumerate(LEVELS):
        row, column = np.mgrid[:height, :width]
        grid = np.stack((column, row), -1).astype(np.float32)
        anchor = ANCHORS[i].reshape(1, 3, 1, 1, 2)
        weights |= {
            f"start{i}": np.array([top, 0]), f"stop{i}": np.array([top + height, width]),
            f"split{i}": np.array([lead, 3, columns, height, width]),
            f"table{i}": np.array([lead, 3 * height * width, columns]),
            f"grid{i}": grid, f"stride{i}": np.float32(stride), f"anchor{i}": anchor,
            f"span{i}": np.float32(2 * stride), f"offset{i}": ((grid - 0.5) * stride)[None, None],
            f"anchor4{i}": 4 * anchor,
        }  # fmt: skip
        lines.append(f"part{i} = Slice (images, start{i}, stop{i}, rows_columns)")
        lines.append(f"[conv{i}] head{i} = Conv (part{i}, identity)")
        lines.append(LEVEL[dialect].replace("{i}", str(i)))
        top += height
    tables = ", ".join(f"rows{i}" for i in range(len(LEVELS)))
    lines.append(f"output = Concat <axis = 1> ({tables})")
    head = f'<ir_version: 8, opset_import: ["": {opset}], metadata_props: ["a": "b"]>'
    model = onnx.parser.parse_model(f"""{head}
        packed (float[{batch}, {3 * columns}, {HEIGHT}, {WIDTH}] images)
        => (float[{batch}, {CANDIDATES}, {columns}] output) {{ {chr(10).join(lines)} }}""")
    read = {name for node in model.graph.node for name in node.input}
    tensors = (
        onnx.numpy_helper.from_array(np.asarray(value), name)
        for name, value in weights.items()
        if name in read
    )
    model.graph.initializer.extend(tensors)
    return model


def images_of(logits):
    """Logits `[B, N, 5 + C]`, in the order of the rows, as the input that holds them."""
    batch, _, columns = logits.shape
    images = np.zeros((batch, 3 * columns, HEIGHT, WIDTH), np.float32)
    top, start = 0, 0
    for height, width, _ in LEVELS:
        rows = logits[:, start : start + 3 * height * width].reshape(batch, 3, height, width, columns)
        planes = rows.transpose(0, 1, 4, 2, 3).reshape(batch, 3 * columns, height, width)
        images[:, :, top : top + height, :width] = planes
        top, start = top + height, start + 3 * height * width
    return images


def decoded(logits):
    """The formula of YOLOv7 in float64: `[B, N, 5 + C]`."""
    values = 1 / (1 + np.exp(-logits.astype(np.float64)))
    start = 0
    for (height, width, stride), anchors in zip(LEVELS, ANCHORS, strict=True):
        row, column = np.mgrid[:height, :width]
        cells = np.stack((column, row), -1).reshape(1, -1, 2)
        block = values[:, start : start + 3 * height * width].reshape(len(logits), 3, height * width, -1)
        block[..., :2] = (2 * block[..., :2] - 0.5 + cells) * stride
        block[..., 2:4] = (2 * block[..., 2:4]) ** 2 * anchors[:, None]
        start += 3 * height * width
    return values


def crowd(rng, counts, *, classes=3, quiet=-9.0, loud=(0.5, 4.0), width=-6.0):
    """Logits `[B, N, 5 + C]`: in each picture so many candidates pass; boxes so small that none overlap."""
    logits = rng.normal(0, 2, (len(counts), CANDIDATES, 5 + classes)).astype(np.float32)
    logits[..., 2:4] = width
    logits[..., 4] = quiet
    for picture, count in zip(logits, counts, strict=True):
        chosen = rng.permutation(CANDIDATES)[:count]
        picture[chosen, 4] = rng.permutation(np.linspace(*loud, count)) if count else 0
        picture[:, 5:] = np.where(picture[:, 5:] == picture[:, 5:].max(1, keepdims=True), 6, picture[:, 5:])
    return logits
