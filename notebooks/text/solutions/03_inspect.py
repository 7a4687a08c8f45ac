# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="03s-title"
# # 03 · Inspect: solutions
#
# English · [简体中文](../zh-CN/solutions/03_inspect.ipynb)
#
# One way to solve each exercise of [lesson 03](../03_inspect.ipynb); the checker accepts any that is right.

# %% id="03s-model"
import onnx

from helpers import course
from helpers.course import exercises

model = course.pick_model()
end2end = onnx.load(course.need(model, "end2end"))

# %% [markdown] id="03s-1"
# **1.** `NonMaxSuppression` reads boxes, scores, the most boxes, the IoU threshold, the score threshold, in
# this order.

# %% id="03s-1-answer"
operator = next(node for node in end2end.graph.node if node.op_type == "NonMaxSuppression")
answer = operator.input[3]
print(answer)
_ = exercises.check("03", 1, answer)

# %% [markdown] id="03s-2"
# **2.** The weight's last two dimensions are the kernel, whether the node says so or not.

# %% id="03s-2-answer"


def count_3x3(model):
    kernels = {tensor.name: list(tensor.dims[2:]) for tensor in model.graph.initializer}
    return sum(node.op_type == "Conv" and kernels.get(node.input[1]) == [3, 3] for node in model.graph.node)


print(count_3x3(end2end), "of", sum(node.op_type == "Conv" for node in end2end.graph.node))
_ = exercises.check("03", 2, count_3x3)

# %% [markdown] id="03s-3"
# **3.** Copy the model, leave out the nodes after the corners, and let the corners be the output.

# %% id="03s-3-answer"
corners_model = onnx.ModelProto()
corners_model.CopyFrom(end2end)
last = next(i for i, node in enumerate(end2end.graph.node) if "nms/corners" in node.output)
del corners_model.graph.node[last + 1 :], corners_model.graph.output[:]
value = onnx.helper.make_tensor_value_info("nms/corners", onnx.TensorProto.FLOAT, [1, None, 4])
corners_model.graph.output.append(value)
onnx.checker.check_model(corners_model)
print(len(end2end.graph.node), "nodes before,", len(corners_model.graph.node), "after")
_ = exercises.check("03", 3, corners_model)
