# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="00s-title"
# # 00 · Start here: solutions
#
# English · [简体中文](../zh-CN/solutions/00_start_here.ipynb)
#
# Back to [the lesson](../00_start_here.ipynb).

# %% id="00s-model"
import numpy as np

from helpers import Detector, course
from helpers.course import exercises

model = course.pick_model()

# %% [markdown] id="00s-1-text"
# **1.** The rows are the second number of the raw graph's output shape `[1, N, 5 + classes]`. The three
# grids have 80×80, 40×40 and 20×20 cells, and every cell three anchors.

# %% id="00s-1"
width, height = model.size_wh
answer = sum(3 * (width // stride) * (height // stride) for stride in (8, 16, 32))
print(answer)
_ = exercises.check("00", 1, answer)

# %% [markdown] id="00s-2-text"
# **2.** `detect` gives all boxes, `above` keeps the good ones, `len` counts them.

# %% id="00s-2"
detector = Detector(course.need(model, "ultralytics"), providers="cpu")
answer = len(detector.detect(model.pictures(1)[0].image_bgr).above(0.6))
_ = exercises.check("00", 2, answer)


# %% [markdown] id="00s-3-text"
# **3.** Area is width times height; the empty case comes first, because `argmax` of nothing is an error.

# %% id="00s-3"
def class_of_largest(found):
    if len(found) == 0:
        return None
    widths, heights = (found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]).T
    return int(found.class_ids[np.argmax(widths * heights)])


_ = exercises.check("00", 3, class_of_largest)
