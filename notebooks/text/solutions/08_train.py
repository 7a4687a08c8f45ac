# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="08-a82f60"
# # 08 · Train: solutions
#
# English · [简体中文](../zh-CN/solutions/08_train.ipynb)
#
# [Back to the lesson](../08_train.ipynb)

# %% id="08-9ee0ea"
import numpy as np

from helpers import course
from helpers.course import exercises
from helpers.family import COCO_ANCHORS_TINY

model = course.pick_model()


# %% [markdown] id="08-b720c9"
# **1. Write a label.** The centre, then the size, each x divided by the picture's width and each y by its height.

# %% id="08-538c3a"
def label(box_xyxy, size_wh, class_id):
    x0, y0, x1, y1 = box_xyxy
    width, height = size_wh
    shares = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height
    return f"{class_id} " + " ".join(f"{share:.4f}" for share in shares)


print(label([10, 20, 50, 100], (200, 160), 0))
_ = exercises.check("08", 1, label)

# %% [markdown] id="08-5d8336"
# **2. Within reach.** For each side take the factor, upside down where it is below 1; the worse side decides.

# %% id="08-61354f"
anchors_wh = np.array(COCO_ANCHORS_TINY).reshape(-1, 2)
factor = np.array([20, 90]) / anchors_wh
worst = np.maximum(factor, 1 / factor).max(axis=1)
for (width, height), value in zip(anchors_wh, worst, strict=True):
    print(f"{width:3.0f} x {height:3.0f}   {value:4.1f}   {'yes' if value < 4 else 'no'}")
_ = exercises.check("08", 2, int((worst < 4).sum()))


# %% [markdown] id="08-e2b77e"
# **3. AP by hand.** `max(initial=0)` takes care of recalls that are never reached, and of the empty list.

# %% id="08-fe6dab"
def average_precision(right, objects):
    hits = np.cumsum(right)
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / objects
    lifted = [precision[recall >= at].max(initial=0) for at in np.linspace(0, 1, 101)]
    return float(np.mean(lifted))


print(f"{average_precision([True, False, True, False], 3):.4f}")
_ = exercises.check("08", 3, average_precision)
