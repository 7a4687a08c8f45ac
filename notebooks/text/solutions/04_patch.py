# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="04s-title"
# # 04 · Patch: solutions
#
# English · [简体中文](../zh-CN/solutions/04_patch.ipynb)
#
# The exercises are at the end of [lesson 04](../04_patch.ipynb).

# %% id="04s-imports"
import os

import numpy as np
import onnx
from onnx import helper

from helpers import course
from helpers.course import exercises
from helpers.patches import ultralytics as patch
from helpers.patches.metadata import write_metadata

model = course.pick_model()

# %% [markdown] id="04s-1"
# ## 1. Another reader
#
# Read the new order from left to right and write down where each column is now: the class is column 5, the
# score column 4, the corners 0 to 3. A `Gather` lists where to take from, not where to put to.

# %% id="04s-1-code"
now = ("x0", "y0", "x1", "y1", "score", "class")
wanted = ("class", "score", "x0", "y0", "x1", "y1")
answer = [now.index(name) for name in wanted]
print(answer)
_ = exercises.check("04", 1, answer)

# %% [markdown] id="04s-2"
# ## 2. Another fill
#
# The shortest way is to change the constant in a graph that pads. Every padding row now claims a score of
# 0.5, which is above Ultralytics' usual threshold of 0.25; it has no way to tell them from detections, so
# it reports a box for every slot.

# %% id="04s-2-code"
end2end = onnx.load(course.need(model, "end2end"))
careless = patch.to_ultralytics(end2end).model
for tensor in careless.graph.initializer:
    if tensor.name == "ultralytics/empty_rows":
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.full((100, 6), 0.5, np.float32), tensor.name))
path = model.folder / f"{model.name}-careless.onnx"
onnx.save(write_metadata(careless, names=model.names, stride=32).model, path)

# %% id="04s-2-look"
os.environ["YOLO_VERBOSE"] = "False"
from ultralytics import YOLO

blank = np.full((480, 640, 3), 230, np.uint8)
answer = len(YOLO(path, task="detect")(blank, verbose=False)[0].boxes)
print(answer, "boxes in a picture with nothing in it")
_ = exercises.check("04", 2, answer)


# %% [markdown] id="04s-3"
# ## 3. Your own edit
#
# Column 4 is the score; a filled slot is one that scores above 0. `Greater` gives truth values, which
# cannot be summed, so they are cast to int64 first.

# %% id="04s-3-code"
def add_count(model):
    """A copy of a patched model with a second output: how many of its slots are filled."""
    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    constants = {"count/column": np.array(4), "count/zero": np.float32(0), "count/axes": np.array([1])}
    edited.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()
    )
    detections = model.graph.output[0].name
    edited.graph.node.extend([
        helper.make_node("Gather", [detections, "count/column"], ["count/scores"], axis=2),
        helper.make_node("Greater", ["count/scores", "count/zero"], ["count/filled"]),
        helper.make_node("Cast", ["count/filled"], ["count/ones"], to=onnx.TensorProto.INT64),
        helper.make_node("ReduceSum", ["count/ones", "count/axes"], ["count"], keepdims=0),
    ])  # fmt: skip
    edited.graph.output.append(helper.make_tensor_value_info("count", onnx.TensorProto.INT64, [1]))
    onnx.checker.check_model(edited, full_check=True)
    return edited


answer = add_count
_ = exercises.check("04", 3, answer)
