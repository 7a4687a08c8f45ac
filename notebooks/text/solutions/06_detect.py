# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="06s-title"
# # 06 · Detect: solutions
#
# English · [简体中文](../zh-CN/solutions/06_detect.ipynb)
#
# Back to [the lesson](../06_detect.ipynb).

# %% id="06s-model"
import numpy as np

from helpers import Detector, course
from helpers.course import exercises

model = course.pick_model()

# %% [markdown] id="06s-1-text"
# **1.** 1280 pixels become 640, so the scale is a half and the content 640×360. Of the 640 rows 280 are
# left over, half of them above: the point moves to half its place, and 140 down.

# %% id="06s-1"
scale = min(640 / 1280, 640 / 720)
answer = (1000 * scale, 300 * scale + (640 - 720 * scale) / 2)
print(answer)
_ = exercises.check("06", 1, answer)

# %% [markdown] id="06s-2-text"
# **2.** Count, then take the largest.

# %% id="06s-2"
detector = Detector(course.need(model, "ultralytics"), providers="cpu")
smears = course.drawn(6, first_seed=9010)
counts = {smear.name: len(detector.detect(smear.image_bgr).above(0.5)) for smear in smears}
answer = max(counts, key=counts.get)
_ = exercises.check("06", 2, answer)


# %% [markdown] id="06s-3-text"
# **3.** Padding first, because its zeros would become boxes; then the grey, then the scale, then the edges.

# %% id="06s-3"
def to_picture(rows, picture_wh, size_wh):
    kept = rows[rows[:, 4] > 0, :4]
    picture_wh, size_wh = np.array(picture_wh), np.array(size_wh)
    scale = (size_wh / picture_wh).min()
    grey = (size_wh - picture_wh * scale) / 2
    boxes = (kept - np.tile(grey, 2)) / scale
    return boxes.clip(0, np.tile(picture_wh, 2))


_ = exercises.check("06", 3, to_picture)
