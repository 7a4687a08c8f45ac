# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="03-title"
# # 03 · Inspect
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/03_inspect.ipynb) · English · [简体中文](zh-CN/03_inspect.ipynb)
#
# Before you operate, you look. You open the end-to-end file of lesson 02 as what it is, a list of nodes,
# and find your way in it: which operators it is made of, where the weights are, where the decoding and the
# NMS begin, what each of the seven output columns means, and what each part costs when it runs.
#
# > **You need** `build/<model>/<model>-end2end.onnx` from lesson 02 (made for you if it is missing); under
# > 5 seconds on two cores.
# >
# > **You get** no new file, but the names of the places where lesson 04 will cut.

# %% [markdown] id="03-contents"
# ## Contents
#
# - [The file in a dozen lines](#The-file-in-a-dozen-lines)
# - [What a node is](#What-a-node-is)
# - [Which operators](#Which-operators)
# - [The biggest weights](#The-biggest-weights)
# - [Four parts](#Four-parts)
# - [Where the decoding is](#Where-the-decoding-is)
# - [Where the NMS is](#Where-the-NMS-is)
# - [The same in Netron](#The-same-in-Netron)
# - [The seven columns](#The-seven-columns)
# - [How many rows](#How-many-rows)
# - [What each part costs](#What-each-part-costs)
# - [What ONNX Runtime makes of it](#What-ONNX-Runtime-makes-of-it)
# - [The official file](#The-official-file)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="03-colab" tags=["colab"]
# On Colab: fetch the course and install what is missing. Anywhere else this cell does nothing.
import sys

if "google.colab" in sys.modules:
    import os
    import site
    import subprocess
    import sysconfig

    folder = os.environ.get("COURSE_FOLDER", "/content/yolov7-graph-surgery")
    if not os.path.isdir(folder):
        source = os.environ.get("COURSE_SOURCE", "https://github.com/OWNER/yolov7-graph-surgery")
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", source, folder], check=True)
    subprocess.run([sys.executable, f"{folder}/bootstrap.py", "colab"], check=True)
    site.addsitedir(sysconfig.get_path("purelib"))  # so that this running kernel sees what was installed
    os.chdir(f"{folder}/notebooks")

# %% id="03-imports"
import onnx

from helpers import course, graph
from helpers.course import charts, exercises
from helpers.table import Table

model = course.pick_model()
path = course.need(model, "end2end")

# %% [markdown] id="03-summary-1"
# ## The file in a dozen lines
#
# An ONNX file is one big record: a graph, the version of the operator set that it is written in, and free
# text (*metadata*). `onnx.load` reads it into Python objects, and everything in this lesson is a question
# to those objects.

# %% id="03-summary"
end2end = onnx.load(path)
for name, value in graph.summarize(end2end).rows:
    if name not in ("producer", "bytes"):  # these differ with the version that made the file
        print(f"{name:18} {value}")

# %% [markdown] id="03-summary-2"
# One input, one output. The output's first dimension has a *name* instead of a number: how many boxes are
# left after the NMS is only known once a picture has been looked at. Remember it; lesson 04 is about
# getting rid of it.

# %% [markdown] id="03-node-1"
# ## What a node is
#
# The graph is a list of **nodes** in an order in which they can run. A node has an operator (`op_type`),
# the names of the values it reads and of those it makes, and attributes. There are no wires: two nodes are
# connected because one makes a value of the *name* that the other reads. Weights are values, too; they lie
# in the file as **initializers**.

# %% id="03-node"
node = end2end.graph.node[0]
weights = {tensor.name: list(tensor.dims) for tensor in end2end.graph.initializer}
print(f"{node.name}: {node.op_type}")
for source in node.input:
    print("  reads", source, weights.get(source, "(from outside or from another node)"))
print("  makes", *node.output)
print("  with ", ", ".join(f"{a.name}={list(a.ints)}" for a in node.attribute if a.ints))

# %% [markdown] id="03-ops-1"
# ## Which operators
#
# A detector of a few million weights is made of surprisingly few kinds of node. `Conv` and its activation
# are the network proper; `Concat` joins feature maps; `MaxPool` and `Resize` go down and up in resolution.
# The rest, from `Mul` to `NonMaxSuppression`, does arithmetic on boxes.

# %% id="03-ops"
counts = graph.op_counts(end2end)
top = dict(list(counts.items())[:9])
rest = {f"{len(counts) - len(top)} others": sum(counts.values()) - sum(top.values())}
chart = charts.bars(top | rest, title="Nodes by operator")
charts.present(chart, ", ".join(f"{op} {count}" for op, count in counts.items()))

# %% [markdown] id="03-weights-1"
# ## The biggest weights
#
# A convolution's weight has the shape `[channels out, channels in, kernel height, kernel width]`. Few of
# the tensors hold most of the numbers: those deep in the network, where the picture is small and the
# channels are many.

# %% id="03-weights"
import math

sizes = sorted(((math.prod(t.dims), t.name, list(t.dims)) for t in end2end.graph.initializer), reverse=True)
everything = sum(size for size, _, _ in sizes)
rows = [
    (name, " x ".join(map(str, dims)), f"{size:,}", f"{size / everything:.0%}")
    for size, name, dims in sizes[:8]
]
print(Table(("weight", "shape", "numbers", "share"), tuple(rows)))
half = next(i for i in range(len(sizes)) if sum(size for size, _, _ in sizes[:i]) * 2 >= everything)
print(f"{half} of {len(sizes)} tensors hold half of all {everything:,} numbers")

# %% [markdown] id="03-parts-1"
# ## Four parts
#
# Position tells what a node is for. Whatever has a convolution after it belongs to the network (`backbone`;
# papers call its later half, where the scales are mixed, the *neck*). The last convolutions, one for each stride, are the `head`. From there on
# nothing is learned: `decode` turns logits into pixels, `nms` picks the boxes that stay.

# %% id="03-parts"
table = graph.node_table(end2end)
rows = []
for part in ("backbone", "head", "decode", "nms"):
    inside = [line for line in table.rows if line[1] == part]
    rows.append((part, len(inside), inside[-1][3], inside[-1][5]))
print(Table(("part", "nodes", "last node", "which makes"), tuple(rows)))

# %% [markdown] id="03-decode-1"
# ## Where the decoding is
#
# Each stride has the same short chain. Here is the coarsest, from the head's convolution (top) to rows of
# `5 + C` values. Read the shapes on the arrows: the channels of the convolution are really *anchors ×
# values*, so a `Reshape` and a `Transpose` make the values the last dimension; a `Sigmoid`; then one branch
# makes centres, one makes sizes, one passes the scores on; and a `Concat` puts them side by side again.
# (Grids and anchors are constants.)

# %% id="03-decode"
from IPython.display import SVG

sigmoid = [line[3] for line in table.rows if line[1] == "decode" and line[2] == "Sigmoid"][-1]
concat = [line for line in table.rows if line[1] == "decode" and line[2] == "Concat"][-2]
print(sigmoid, "->", concat[3], concat[5])
SVG(graph.to_svg(graph.neighbourhood(end2end, sigmoid, 3)))

# %% [markdown] id="03-nms-1"
# ## Where the NMS is
#
# Every node that `add_nms` appended has a name that begins with `nms/`. In the order in which they run:

# %% id="03-nms-table"
nms = [(line[3], line[2], line[5]) for line in table.rows if line[1] == "nms"]
print(Table(("node", "operator", "shape it makes"), tuple(nms)))

# %% [markdown] id="03-nms-2"
# Three things happen. Corners are made of centre and size. Each box gets its best class and its score. And
# boxes of different classes are moved `apart`, so that the operator, which sees one class, never compares
# them. What the operator returns are not boxes but **addresses**, `[picture, class, row]`; `GatherND` then
# fetches the rows.

# %% id="03-nms-svg"
operator = next(node for node in end2end.graph.node if node.op_type == "NonMaxSuppression")
print(operator.name, "reads", *operator.input)
SVG(graph.to_svg(graph.neighbourhood(end2end, operator.name, 2)))

# %% [markdown] id="03-nms-3"
# The last three inputs are not computed, they are initializers: this is where the thresholds of lesson 02
# went.

# %% id="03-nms-limits"
for name in operator.input[2:]:
    tensor = next(t for t in end2end.graph.initializer if t.name == name)
    print(f"{name:22} {onnx.numpy_helper.to_array(tensor).item():.2f}")

# %% [markdown] id="03-netron-1"
# ## The same in Netron
#
# [Netron](https://netron.app) draws a whole graph, and shows a node's attributes and weights when you click
# on it. On your own machine it appears below, in a frame (it asks once to accept cookies). Where the
# notebook runs on another machine than the browser (Colab, a hub) there is nothing at `localhost` to show;
# then you see a part of the graph as a drawing: here, how each candidate gets its class and its score.

# %% id="03-netron"
from helpers.netron_view import view

view(path, focus="nms/score", hops=2)

# %% [markdown] id="03-columns-1"
# ## The seven columns
#
# Enough of the graph; what comes out of it? Run one picture and take the row with the best score:

# %% id="03-columns-run"
import ast

import numpy as np
import onnxruntime

from helpers.images import letterbox, to_tensor

picture = model.pictures(1)[0]
box = letterbox(picture.image_bgr, model.size_wh)
session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
(found,) = session.run(None, {"images": to_tensor(box.image_bgr)})
best = max(found, key=lambda row: row[6], default=np.zeros(7))  # zeros if nothing was found
print("output", list(found.shape))
print("best row", [round(float(value), 2) for value in best])

# %% [markdown] id="03-columns-2"
# Two of these numbers mean nothing without something from outside: a class is a position in the list of
# names, which the file carries in its metadata, and corners are pixels **of the letterboxed input**, not of
# your picture. For a picture of 640 × 480, the input has a grey bar above and below, and `y` counts from
# the top of the bar.

# %% id="03-columns-table"
names = ast.literal_eval({entry.key: entry.value for entry in end2end.metadata_props}["names"])
(x0, y0, x1, y1), back = best[1:5], box.boxes_to_picture(best[1:5])[0]
rows = [
    ("0 picture", f"{best[0]:.0f}", "which picture of the batch, from 0"),
    ("1 x0", f"{x0:.0f}", f"left edge in the input; {back[0]:.0f} in the picture"),
    ("2 y0", f"{y0:.0f}", f"upper edge in the input; {back[1]:.0f} in the picture"),
    ("3 x1", f"{x1:.0f}", f"right edge in the input; {back[2]:.0f} in the picture"),
    ("4 y1", f"{y1:.0f}", f"lower edge in the input; {back[3]:.0f} in the picture"),
    ("5 class", f"{best[5]:.0f}", f"a position in the names: {names[int(best[5])]}"),
    ("6 score", f"{best[6]:.2f}", "objectness x class score, 0 to 1"),
]
print(Table(("column", "value", "meaning"), tuple(rows)))

# %% [markdown] id="03-columns-3"
# Drawn on the input, grey bars and all, and beside it after the way back:

# %% id="03-columns-draw"
from helpers import Detections, draw
from helpers.drawing import show, side_by_side

in_input = Detections([best[1:5]], [best[6]], [int(best[5])])
in_picture = Detections([back], [best[6]], [int(best[5])])
views = [draw(box.image_bgr, in_input, names), draw(picture.image_bgr, in_picture, names)]
sizes_wh = {"the input": box.size_wh, "the picture": picture.size_wh}
captions = [f"{what}, {width} x {height}" for what, (width, height) in sizes_wh.items()]
show(side_by_side(*views, captions=captions, cell_width=420), alt="the best box, in input and picture")
print(f"grey bars of {box.pad_xy[1]} px above and {box.pad_xy[0]} px to the left; scale {box.scale:.2f}")

# %% [markdown] id="03-rows-1"
# ## How many rows
#
# `M` is the number of boxes, so it changes with the picture, and it can be zero. That is honest, and
# awkward: memory for the output cannot be set aside beforehand, two pictures do not stack, and Ultralytics
# expects `[1, 100, 6]`.

# %% id="03-rows"
from helpers.course.pictures import NamedPicture

grey = NamedPicture("plain grey", np.full((480, 640, 3), 200, np.uint8))
for each in (*model.pictures(3), grey):
    (rows,) = session.run(None, {"images": to_tensor(letterbox(each.image_bgr, model.size_wh).image_bgr)})
    print(f"{each.name:12} {list(rows.shape)}")

# %% [markdown] id="03-cost-1"
# ## What each part costs
#
# ONNX Runtime has a profiler that notes when each node began and ended. `profile_nodes` runs the file a few
# times and takes the median of each node. The milliseconds are those of the machine at hand; that one bar
# dwarfs the others is not. (`layout`, where there is such a bar, is the runtime's own: it rearranges
# tensors so that convolutions run faster.)

# %% id="03-cost-chart" tags=["nbval-ignore-output"]
costs = graph.profile_nodes(path, {"images": to_tensor(box.image_bgr)}, runs=7)
for by, few in (("part", 6), ("op", 7)):
    rows = graph.cost_table(costs, by).rows[:few]
    times = {name: ms for name, _, ms, _ in rows}
    chart = charts.bars(times, title=f"Milliseconds by {by}", unit="ms", digits=1)
    charts.present(chart, ", ".join(f"{name} {share} %" for name, _, _, share in rows))

# %% [markdown] id="03-cost-2"
# What holds on every machine is this: the time goes into the convolutions. Decoding and NMS are many nodes
# but little work. So the surgery of the next lesson, a few more nodes at the very end, costs next to
# nothing.

# %% id="03-cost-bounds"
total = sum(cost.ms for cost in costs)
convolutions = sum(cost.ms for cost in costs if "Conv" in cost.op)
after = sum(cost.ms for cost in costs if cost.part in ("decode", "nms"))
print("convolutions take more than half of the time:", convolutions > total / 2)
print("decoding and NMS take less than a third:", after < total / 3)

# %% [markdown] id="03-fused-1"
# ## What ONNX Runtime makes of it
#
# The names in the chart may not be those in the file. Before it runs a graph, ONNX Runtime rewrites it: it
# computes what is constant, and melts nodes that follow each other into one, which saves a trip through
# memory for each. A `Conv` and the `LeakyRelu` after it become a `FusedConv`; `Slice`s that share out one
# value become a `Split`; where a model has SiLU, its `Sigmoid` and `Mul` become a `QuickGelu`. We can ask the runtime to save what it made:

# %% id="03-fused"
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
options.optimized_model_filepath = str(model.folder / "optimized.onnx")
options.log_severity_level = 3
onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
optimized = onnx.load(options.optimized_model_filepath)

after = graph.op_counts(optimized)
operators = [op for op in dict.fromkeys([*counts, *after]) if counts.get(op, 0) != after.get(op, 0)]
rows = [(op, counts.get(op, 0), after.get(op, 0)) for op in operators]
rows.append(("all", sum(counts.values()), sum(after.values())))
print(Table(("operator", "in the file", "as it runs"), tuple(rows)))

# %% [markdown] id="03-fused-2"
# So there is no need to hand-optimise what a runtime does by itself. What a runtime will *not* do is change
# what goes in and comes out, and that is what the next lesson is for.

# %% [markdown] id="03-official-1"
# ## The official file
#
# If you have an end-to-end file that the official repository exported, set `YOLOV7_OFFICIAL_ONNX` to its
# path and compare: the same convolutions and activations, but a longer way from the logits to the seven
# columns.

# %% id="03-official"
import os

official = os.environ.get("YOLOV7_OFFICIAL_ONNX")
if official and not course.is_checked():
    theirs = graph.op_counts(onnx.load(official))
    rows = [(op, counts.get(op, 0), theirs.get(op, 0)) for op in dict.fromkeys([*theirs, *counts])]
    print(Table(("operator", "ours", "official"), tuple(rows)))
else:
    print("not run: no official file; set YOLOV7_OFFICIAL_ONNX to the path of one")

# %% [markdown] id="03-summary-text"
# ## Summary
#
# - A graph is a list of nodes connected by the names of values; weights are values that lie in the file.
# - Four parts: backbone, head, decode, nms. Only the first two have learned anything; they take most of the
#   time.
# - The thresholds are initializers that `NonMaxSuppression` reads.
# - Seven columns: picture, `x0, y0, x1, y1` in input pixels, class, score; as many rows as there are boxes.

# %% [markdown] id="03-ex-1"
# ## Exercises
#
# **1.** Which initializer holds the **IoU threshold** of the NMS? Give its name.

# %% id="03-ex-1-check"
answer = ...  # your answer: a name, as text
_ = exercises.check("03", 1, answer)

# %% [markdown] id="03-ex-2"
# **2.** Write `count_3x3(model)`: how many `Conv` nodes of a graph have a kernel of 3 × 3? It must be right
# for any graph, also where a node leaves out its `kernel_shape` attribute (which ONNX allows).

# %% id="03-ex-2-check"
count_3x3 = ...  # your answer: a function
_ = exercises.check("03", 2, count_3x3)

# %% [markdown] id="03-ex-3"
# **3.** A first small operation. Make a model that ends at the **corners of all candidates**, in input
# pixels, before boxes of different classes are moved apart: its single output has the shape `[1, 25200,
# 4]`. Leave `end2end` itself as it is.

# %% id="03-ex-3-check"
corners_model = ...  # your answer: an onnx.ModelProto
_ = exercises.check("03", 3, corners_model)

# %% [markdown] id="03-next"
# Stuck? The [solutions](solutions/03_inspect.ipynb) are executed notebooks, too.
#
# Next: [04 · Patch](04_patch.ipynb)
