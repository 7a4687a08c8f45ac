"""A finished detector of a few nodes, for tests of what stands around one.

It finds two boxes of constant corners; the score of each is a share of the lowest blue in the input, so that
pictures give different answers and a black one gives none.
"""

import numpy as np
import onnx
from onnx import numpy_helper

NAMES = ("RBC", "WBC", "Platelets")
ROWS = np.array([[30, 20, 50, 40, 1, 1], [4, 6, 90, 60, 0.5, 0]], np.float32)  # in a 96 x 64 input
TEXT = """<ir_version: 8, opset_import: ["": 17]>
g (float[BATCH,3,64,96] images) => (float[BATCH,2,6] output) {
    blue = Slice(images, two, three, one)
    mean = ReduceMean<axes=[1,2,3], keepdims=1>(blue)
    flat = Reshape(mean, shape)
    factor = Where(is_score, flat, unit)
    output = Mul(rows, factor)
}"""


def tiny_detector(batch="b", names=NAMES):
    """The bytes of the file; `batch` is a name or a number."""
    model = onnx.parser.parse_model(TEXT.replace("BATCH", str(batch)))
    arrays = {
        "two": np.array([2]), "three": np.array([3]), "one": np.array([1]), "unit": np.float32(1),
        "shape": np.array([-1, 1, 1]), "rows": ROWS[None],
        "is_score": np.array([False] * 4 + [True, False]).reshape(1, 1, 6),
    }  # fmt: skip
    for name, values in arrays.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    metadata = {"names": dict(enumerate(names)), "args": {"nms": True, "dynamic": False}}
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=str(value))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_pictures(folder, count, first=0):
    """Pictures of different sizes and blues, some in a folder below: `00.png`, `deep/01.png`, ..."""
    import cv2

    for index in range(first, first + count):
        path = folder / ("deep" if index % 2 else "") / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        blue = 100 + index
        cv2.imwrite(str(path), np.full((64 + index, 96 + 2 * index, 3), (blue, 9, 7), np.uint8))
