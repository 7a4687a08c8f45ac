# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="09s-title"
# # 09 · Scale out: solutions
#
# English · [简体中文](../zh-CN/solutions/09_scale_out.ipynb)
#
# The tasks are in [lesson 09](../09_scale_out.ipynb).

# %% id="09s-model"
from helpers import course
from helpers.course import exercises

model = course.pick_model()

# %% [markdown] id="09s-1"
# **1. How much is a batch?** Pictures × channels × height × width, and a `float32` has four bytes.

# %% id="09s-1-code"
width, height = model.size_wh
answer = 8 * 3 * height * width * 4
print(f"{answer} bytes, {answer / 1e6:.1f} MB")
_ = exercises.check("09", 1, answer)

# %% [markdown] id="09s-2"
# **2. The invoice.** The cores could do 20 × 16 × 4 = 1280 pictures a second, but the storage delivers only
# 300 / 0.5 = 600. The slower one counts.

# %% id="09s-2-code"
computing, reading = 20 * 16 * 4, 300 / 0.5
answer = 90 + 2_000_000 / min(computing, reading)
print(f"{answer:.0f} s; with storage that keeps up it would be {90 + 2_000_000 / computing:.0f} s")
_ = exercises.check("09", 2, answer)


# %% [markdown] id="09s-3"
# **3. Somebody should look.** `max` of an empty list is an error, so the empty case comes first.

# %% id="09s-3-code"
def to_review(rows):
    """Paths with an error, or with boxes of which none scores 0.5."""
    doubtful = (row for row in rows if row["error"] or (row["scores"] and max(row["scores"]) < 0.5))
    return [row["path"] for row in doubtful]


answer = to_review
_ = exercises.check("09", 3, answer)
