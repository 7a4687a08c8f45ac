# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="07s-title"
# # 07 · Quantize: solutions
#
# English · [简体中文](../zh-CN/solutions/07_quantize.ipynb)
#
# The exercises are at the end of [lesson 07](../07_quantize.ipynb).

# %% id="07s-imports"
import numpy as np
import onnx

from helpers import course
from helpers.course import exercises

model = course.pick_model()


# %% [markdown] id="07s-1"
# ## 1. Quantise
#
# The range must contain 0, then 0 is a step if the zero point is a whole number. Round the zero point, too.

# %% id="07s-1-code"
def quantise(x, low, high):
    """Bytes, scale and zero point."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = round(-low / scale)
    return np.clip(np.rint(np.asarray(x) / scale) + zero, 0, 255).astype(np.uint8), scale, zero


print(quantise([-1, 0, 2, 9], 1, 4)[0])
answer = quantise
_ = exercises.check("07", 1, answer)


# %% [markdown] id="07s-2"
# ## 2. Who stayed behind?
#
# A convolution runs in bytes if both its picture and its weight come out of a DequantizeLinear, and its result
# goes into a QuantizeLinear (for a runtime that fuses on its own, the first two are enough). The weight is the
# surest sign: who stays in float has it as it was.

# %% id="07s-2-code"
def in_float(model):
    """Names of the convolutions whose weight does not come out of a DequantizeLinear."""
    unpacked = {
        name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return [node.name for node in convolutions if node.input[1] not in unpacked]


# %% id="07s-2-check"
quantised = onnx.load(course.need(model, "int8"))
count = sum(node.op_type == "Conv" for node in quantised.graph.node)
print("in float: some, and fewer than a quarter:", 0 < len(in_float(quantised)) < count / 4)
answer = in_float
_ = exercises.check("07", 2, answer)

# %% [markdown] id="07s-3"
# ## 3. Never too large
#
# Two products, each at most 255 times the weight: `2 * 255 * w <= 32767`. That is a little more than half of 127, which
# is why `reduce_range` takes seven bits.

# %% id="07s-3-code"
answer = 32767 // (2 * 255)
print("7 bits reach to", 2**6 - 1, "and, to one side,", 2**6)
_ = exercises.check("07", 3, answer)
