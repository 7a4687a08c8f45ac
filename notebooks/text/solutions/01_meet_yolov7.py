# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="01s-title"
# # 01 · Meet YOLOv7: solutions
#
# English · [简体中文](../zh-CN/solutions/01_meet_yolov7.ipynb)
#
# One way to solve each exercise of [lesson 01](../01_meet_yolov7.ipynb); the checker accepts any that is
# right.

# %% id="01s-model"
from helpers import course
from helpers.course import exercises, sota

model = course.pick_model()

# %% [markdown] id="01s-1"
# **1.** *Fewer than YOLOR-E6*: YOLOR-E6 is the base.

# %% id="01s-1-answer"
rows = sota.comparison()
ours, theirs = rows["YOLOv7-E6"].params_m, rows["YOLOR-E6"].params_m
print(f"{ours} M instead of {theirs} M: {100 * (theirs - ours) / theirs:.1f} % fewer")
_ = exercises.check("01", 1, 100 * (theirs - ours) / theirs)

# %% [markdown] id="01s-2"
# **2.** Less depth and, as compound scaling has it, less width in the same proportion: a chain of two
# convolutions concatenates three inputs instead of four, so the width is three quarters.

# %% id="01s-2-answer"
from dataclasses import replace

from helpers.counts import count
from helpers.family import VARIANTS

small = replace(VARIANTS["yolov7"], name="yolov7-small", depth=2, width=0.75)
cost = count(small.architecture(tuple(f"class{number}" for number in range(80))))
print(f"{cost.parameters_m:.1f} M parameters, {cost.flops_g:.1f} GFLOPs")
_ = exercises.check("01", 2, small)

# %% [markdown] id="01s-3"
# **3.** Zeros around the 1×1 kernel make it a 3×3 kernel; the identity is a 1×1 kernel that is 1 from each
# channel to itself.

# %% id="01s-3-answer"
import torch


def fold(dense, point):
    kernel = dense.clone()
    kernel[:, :, 1, 1] += point[:, :, 0, 0] + torch.eye(len(dense))
    return kernel


_ = exercises.check("01", 3, fold)
