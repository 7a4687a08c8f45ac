# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="05s-title"
# # 05 · Build the engine: solutions
#
# English · [简体中文](../zh-CN/solutions/05_build_engine.ipynb)
#
# The exercises are at the end of [lesson 05](../05_build_engine.ipynb).

# %% id="05s-imports"
import json

import numpy as np
import onnx

from helpers import course
from helpers.course import exercises

model = course.pick_model()

# %% [markdown] id="05s-1"
# ## 1. How far could one go?
#
# The largest corner of class `c` is `640 c + 640`. Ask NumPy for the step there, class by class, and stop before
# it exceeds 4.

# %% id="05s-1-code"
steps = [float(np.spacing(np.float16(640 * number + 640))) for number in range(80)]
answer = max(number for number, step in enumerate(steps) if step <= 4)
print("class", answer, "has a step of", steps[answer], "px, the next one", steps[answer + 1], "px")
_ = exercises.check("05", 1, answer)


# %% [markdown] id="05s-2"
# ## 2. Read an engine
#
# Two things tell that there is no header: the length does not fit into the file, or what follows is no JSON.

# %% id="05s-2-code"
def read_engine(data):
    """Header and plan of an engine's bytes."""
    length = int.from_bytes(data[:4], "little")
    if 0 < length <= len(data) - 4:
        try:
            header = json.loads(data[4 : 4 + length])
        except ValueError:  # no JSON, or no text at all
            header = None
        if isinstance(header, dict):
            return header, data[4 + length :]
    return {}, data


# %% id="05s-2-check"
answer = read_engine
_ = exercises.check("05", 2, answer)


# %% [markdown] id="05s-3"
# ## 3. Is it half?
#
# A convolution computes in the type of what it reads, and input, weight and result have the same one. Shape
# inference knows the types of all values along with their shapes, so the type of the result answers.

# %% id="05s-3-code"
def in_half(model):
    """How many convolutions compute in FP16."""
    known = onnx.shape_inference.infer_shapes(model).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*known.value_info, *known.output)}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return sum(kinds[node.output[0]] == onnx.TensorProto.FLOAT16 for node in convolutions)


# %% id="05s-3-check"
from helpers.patches.half import to_half

full = onnx.load(course.need(model, "ultralytics"))
print(f"as exported {in_half(full)}, after to_half {in_half(to_half(full).model)}")
answer = in_half
_ = exercises.check("05", 3, answer)
