# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="02s-title"
# # 02 · Export: solutions
#
# English · [简体中文](../zh-CN/solutions/02_export.ipynb)
#
# One way to solve each exercise of [lesson 02](../02_export.ipynb); the checker accepts any that is right.

# %% id="02s-model"
from helpers import build_network, course, export_onnx
from helpers.course import exercises

model = course.pick_model()

# %% [markdown] id="02s-1"
# **1.** The number of candidates at 416 × 416: cells of each grid, times three anchors.

# %% id="02s-1-answer"
answer = sum(3 * (416 // stride) ** 2 for stride in (8, 16, 32))
print(answer)
_ = exercises.check("02", 1, answer)

# %% [markdown] id="02s-2"
# **2.** Decode one candidate to corners: centre and size first, then half the size to each side.

# %% id="02s-2-answer"
import numpy as np


def decode(t, cell_xy, stride, anchor_wh):
    s = 1 / (1 + np.exp(-np.asarray(t, float)))
    centre = (2 * s[:2] - 0.5 + cell_xy) * stride
    size = (2 * s[2:]) ** 2 * anchor_wh
    return (*(centre - size / 2), *(centre + size / 2))


print([round(float(value), 1) for value in decode((0, 0, 0, 0), (10, 4), 32, (60, 40))])
_ = exercises.check("02", 2, decode)

# %% [markdown] id="02s-3"
# **3.** Width comes first in `size_wh`, height first in the tensor's shape `[1, 3, H, W]`.

# %% id="02s-3-answer"
from helpers.network import fuse
from helpers.patches.nms import add_nms

fused = fuse(build_network(model.load()))
raw = export_onnx(fused, size_wh=(320, 256))
small_graph = add_nms(raw, score_threshold=0.5, max_detections=20).model
print([d.dim_value for d in small_graph.graph.input[0].type.tensor_type.shape.dim])
_ = exercises.check("02", 3, small_graph)
