# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="10s-title"
# # 10 · When it breaks: solutions
#
# English · [简体中文](../zh-CN/solutions/10_when_it_breaks.ipynb)
#
# The exercises are at the end of [lesson 10](../10_when_it_breaks.ipynb).

# %% id="10s-imports"
import numpy as np
import onnx

from helpers import course
from helpers.course import exercises
from helpers.course.exercises.lesson_10 import broken, patients
from helpers.course.surgery import output_text
from helpers.patches.metadata import read_metadata, write_metadata
from helpers.patches.ultralytics import to_ultralytics

model = course.pick_model()


# %% [markdown] id="10s-1"
# ## 1. Four patients
#
# Three questions to each file: the output's shape, the names in the metadata, and the way of the boxes to the
# NMS. A cast to FP16 on it is the illness, whatever type they have in the end.

# %% id="10s-1-code"
def casts(graph):
    """The types that boxes are cast to on their last steps to the NMS, the last first."""
    made = {name: node for node in graph.graph.node for name in node.output}
    value = next(node.input[0] for node in graph.graph.node if node.op_type == "NonMaxSuppression")
    types = []
    while made[value].op_type == "Cast":
        types.append(onnx.TensorProto.DataType.Name(made[value].attribute[0].i))
        value = made[value].input[0]
    return types


# %% id="10s-1-look"
for letter, graph in patients().items():
    names = read_metadata(graph).get("names", "no names")
    print(f"{letter}: {output_text(graph)}, {names}, casts: {casts(graph)}")

# %% id="10s-1-check"
answer = {"A": "half", "B": "healthy", "C": "open", "D": "names"}
_ = exercises.check("10", 1, answer)


# %% [markdown] id="10s-2"
# ## 2. In by one door, out by another
#
# The picture lay in the corner, so no grey should have been subtracted. The program took off half of it and
# then divided by the scale: add that much again.

# %% id="10s-2-code"
def put_back(boxes_xyxy, picture_wh):
    scale = min(640 / side for side in picture_wh)
    grey = [(640 - side * scale) / 2 for side in picture_wh]
    return boxes_xyxy + np.array([*grey, *grey]) / scale


answer = put_back
_ = exercises.check("10", 2, answer)

# %% [markdown] id="10s-3"
# ## 3. Repair it
#
# First the columns into the order that the patch expects, with one `Gather`. `to_ultralytics` cannot know that
# they were exchanged: it would have chosen the best *classes*. Then its surgery, then the names.

# %% id="10s-3-code"
ordered = broken()
order = onnx.numpy_helper.from_array(np.array([0, 1, 2, 3, 4, 6, 5]), "order")
ordered.graph.initializer.append(order)
swap = onnx.helper.make_node("Gather", ["detections", "order"], ["ordered"], name="ordered", axis=1)
ordered.graph.node.append(swap)
value = onnx.helper.make_tensor_value_info("ordered", onnx.TensorProto.FLOAT, ["M", 7])
ordered.graph.output[0].CopyFrom(value)
patched = to_ultralytics(ordered).model
answer = write_metadata(patched, names=["RBC", "WBC", "Platelets"], stride=32).model
print(output_text(broken()), "->", output_text(answer))
_ = exercises.check("10", 3, answer)
