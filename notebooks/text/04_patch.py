# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="04-title"
# # 04 · Patch: the surgery
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/04_patch.ipynb) · English · [简体中文](zh-CN/04_patch.ipynb)
#
# Lesson 02 put the NMS into the graph, lesson 03 took the result apart: `[M, 7]`, a table that is as long
# as there are detections. Ultralytics and TensorRT want another table: always 100 rows, six columns, the
# score before the class. In this lesson you change the graph itself, one edit at a time, look at it before
# and after each, and prove that no number moved. At the end Ultralytics opens your file like one of its
# own.
#
# > **You need** the file of lesson 02 (made for you if it is missing); about 10 seconds on two cores.
# >
# > **You get** `build/<model>/<model>-ultralytics.onnx`: a picture in, `[1, 100, 6]` out, class names inside;
# > and `<model>-batched.onnx`, the same for any number of pictures.

# %% [markdown] id="04-contents"
# ## Contents
#
# - [The patient](#The-patient)
# - [The tools](#The-tools)
# - [Edit 1: drop the picture column](#Edit-1:-drop-the-picture-column)
# - [Edit 2: the score before the class](#Edit-2:-the-score-before-the-class)
# - [Edit 3: a batch dimension](#Edit-3:-a-batch-dimension)
# - [Edit 4: always 100 rows](#Edit-4:-always-100-rows)
# - [Edit 5: more rows than slots](#Edit-5:-more-rows-than-slots)
# - [The same as readable functions](#The-same-as-readable-functions)
# - [The patch, on the real graph](#The-patch,-on-the-real-graph)
# - [A shape that can be derived](#A-shape-that-can-be-derived)
# - [Proof at 0, 1, 99, 100, 101 and 300 detections](#Proof-at-0,-1,-99,-100,-101-and-300-detections)
# - [Twice, and on the wrong graph](#Twice,-and-on-the-wrong-graph)
# - [Filter first](#Filter-first)
# - [Names: the metadata](#Names:-the-metadata)
# - [The file](#The-file)
# - [Ultralytics opens it](#Ultralytics-opens-it)
# - [A list, and a picture with nothing in it](#A-list,-and-a-picture-with-nothing-in-it)
# - [What conf and iou can still do](#What-conf-and-iou-can-still-do)
# - [Any number of pictures](#Any-number-of-pictures)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="04-colab" tags=["colab"]
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

# %% id="04-imports"
import inspect

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from helpers import Detections, Detector, course, draw, graph, images, show
from helpers.course import charts, exercises
from helpers.course.surgery import SEVEN, SIX, before_after, output_text, rows_table
from helpers.patches import PatchError

model = course.pick_model()

# %% [markdown] id="04-patient"
# ## The patient
#
# The end-to-end file of lesson 02, and two pictures to try it on: one with something in it, and one with
# nothing, which is the case that breaks most hand-made graphs.

# %% id="04-patient-code"
end2end = onnx.load(course.need(model, "end2end"))
picture = model.pictures(1)[0]
blank = np.full_like(picture.image_bgr, 230)


def as_input(image_bgr):
    """[H, W, 3] pixels to what the network eats: [1, 3, 640, 640], RGB, 0 to 1, grey bars where needed."""
    return images.to_tensor(images.letterbox(image_bgr, model.size_wh).image_bgr)


print(picture.image_bgr.shape, "->", as_input(picture.image_bgr).shape)
show(picture.image_bgr, picture.name, width=320)


# %% [markdown] id="04-run"
# `run` opens a graph from memory and feeds it. We will call it after every edit, because a graph that
# passes a checker can still compute the wrong thing.

# %% id="04-run-code"
def run(model, value):
    """The output of a graph with one input."""
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet, ["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: value})[0]


rows = run(end2end, as_input(picture.image_bgr))
nothing = run(end2end, as_input(blank))
print("with something in it:", rows.shape, "  with nothing in it:", nothing.shape)
rows_table(rows, SEVEN)


# %% [markdown] id="04-gap"
# Two pictures, two shapes: that is the trouble. Here is what the other side wants, and what happens
# otherwise:
#
# | | we have | Ultralytics and TensorRT want | if not |
# |---|---|---|---|
# | picture column | first | none | seven columns are taken for raw predictions |
# | order | …, class, score | …, score, class | the class number is read as the score |
# | dimensions | `[M, 7]` | `[1, M, 6]` | the first box is taken for the first picture |
# | rows | as many as are found | always the same number | Ultralytics feeds pictures of changing size; TensorRT must allocate memory while it runs |

# %% [markdown] id="04-tools"
# ## The tools
#
# An ONNX file is a list of nodes, and each node names its inputs and outputs. There are no pointers: two
# nodes are connected because they use the same name. So surgery at the end of a graph is three small
# things: append nodes, add the constants that they read, and declare another output. Nothing upstream is
# touched.

# %% id="04-tools-code"
def node(op_type, inputs, output, **attributes):
    """A node that is called like its output; `inputs` are names with spaces between them."""
    return helper.make_node(op_type, inputs.split(), [output], name=output, **attributes)


def operate(model, nodes, shape, **constants):
    """A copy of `model` with nodes and constants added; the last node's output becomes the graph's."""
    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    edited.graph.node.extend(nodes)
    arrays = {name: onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()}
    edited.graph.initializer.extend(arrays.values())
    value = helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, shape)
    edited.graph.output[0].CopyFrom(value)
    onnx.checker.check_model(edited, full_check=True)
    return edited


source = end2end.graph.output[0].name
print("we operate behind:", output_text(end2end))

# %% [markdown] id="04-edit1"
# ## Edit 1: drop the picture column
#
# Column 0 says to which picture of a batch a row belongs. There is one picture, so it is always 0, and it
# has to go: `Slice` keeps columns 1 to 6 (`last` is one past the end, as in Python).

# %% id="04-edit1-code"
drop = node("Slice", f"{source} first last columns", "boxes")
cut = operate(end2end, [drop], ["M", 6], first=[1], last=[7], columns=[1])
before_after(end2end, cut)

# %% [markdown] id="04-edit1-rows"
# The new node stands at the end, in bold. (`?` is a size that nobody has named: a name such as `M` belongs
# to the declared output, not to the value behind it.) The shape says 6, and the rows are the old ones
# without their zero:

# %% id="04-edit1-rows-code"
six = run(cut, as_input(picture.image_bgr))
print(rows.shape, "->", six.shape, "  the same numbers:", np.array_equal(six, rows[:, 1:]))
rows_table(six, SEVEN[1:])

# %% [markdown] id="04-edit2"
# ## Edit 2: the score before the class
#
# Whoever reads these six columns the Ultralytics way finds the class where the score should be. Nothing
# complains. Boxes of class 0 simply score 0 and vanish; boxes of class 1 score a perfect 1.00:

# %% id="04-misread"
misread = six[six[:, 4] > 0.25]  # "keep what scores more than 0.25", with the class in the score's place
scores = sorted({float(score) for score in misread[:, 4]})
print(f"boxes in the graph: {len(six)}; left when read in the wrong order: {len(misread)}, scores {scores}")

# %% [markdown] id="04-edit2-how"
# There is a page on the web that many people follow here: Ultralytics' own on YOLOv7, with a script of 150
# lines. We call it *the guide*, and do what it does, edit by edit. It cuts the table into three pieces and
# glues them together in another order: four nodes, six constants. `Gather` picks columns by number, in any
# order: one node, one constant.

# %% id="04-edit2-code"
glued = operate(
    cut,
    [
        node("Slice", "boxes c0 c4 columns", "corners"),
        node("Slice", "boxes c4 c5 columns", "class_column"),
        node("Slice", "boxes c5 c6 columns", "score_column"),
        node("Concat", "corners score_column class_column", "glued", axis=1),
    ],
    ["M", 6], c0=[0], c4=[4], c5=[5], c6=[6],
)  # fmt: skip
swapped = operate(cut, [node("Gather", "boxes order", "swapped", axis=1)], ["M", 6], order=[0, 1, 2, 3, 5, 4])
before_after(glued, swapped, captions=("the guide's four nodes", "one Gather"))

# %% id="04-edit2-rows"
ours, theirs = run(swapped, as_input(picture.image_bgr)), run(glued, as_input(picture.image_bgr))
print("both forms give the same numbers:", np.array_equal(ours, theirs))
rows_table(ours, SIX)

# %% [markdown] id="04-edit3"
# ## Edit 3: a batch dimension
#
# Everything in Ultralytics starts with "for each picture", so a table of one picture is `[1, M, 6]`. Two
# operators can make it. `Reshape` to `[1, -1, 6]`, as in the guide, has to work out the `-1` from the number of
# values, and if nothing was found that number is 0. ONNX Runtime makes the best of it; TensorRT has been
# seen to stop with "reshape of empty tensor". `Unsqueeze` asks for a new dimension and nothing else. There
# is nothing to work out.

# %% id="04-edit3-code"
batched = operate(swapped, [node("Unsqueeze", "swapped at_front", "batched")], [1, "M", 6], at_front=[0])
before_after(swapped, batched)
for name, image_bgr in (("picture", picture.image_bgr), ("blank", blank)):
    print(f"{name:8}", run(batched, as_input(image_bgr)).shape)

# %% [markdown] id="04-edit4"
# ## Edit 4: always 100 rows
#
# Now the length. `Pad` appends rows of zeros, and it wants to know how many: 100 minus what was found, a
# number that exists only while the graph runs. So the graph has to measure itself: `Shape` reads the size
# of the table, `Gather` takes the middle number out of it, `Sub` finds what is missing, and two `Concat`s
# write it where `Pad` expects it (`[0, 0, 0]` before each dimension, `[0, missing, 0]` after each). Six
# nodes, as in the guide.

# %% id="04-edit4-code"
padded = operate(
    batched,
    [
        node("Shape", "batched", "size"),
        node("Gather", "size middle", "found_rows"),
        node("Sub", "slots found_rows", "missing"),
        node("Concat", "none missing none", "after", axis=0),
        node("Concat", "before after", "pads", axis=0),
        node("Pad", "batched pads fill", "padded"),
    ],
    [1, 100, 6], middle=[1], slots=[100], none=[0], before=[0, 0, 0], fill=np.float32(0),
)  # fmt: skip
before_after(batched, padded)

# %% [markdown] id="04-edit4-rows"
# Zeros are safe as padding, because every reader keeps scores *above* some threshold, and 0 is above none.
# The last rows that are real, and the first that are not:

# %% id="04-edit4-rows-code"
full = run(padded, as_input(picture.image_bgr))
empty = run(padded, as_input(blank))
print(full.shape, empty.shape, "  nothing found, all zeros:", not empty.any())
rows_table(full[0], SIX, first=max(0, len(rows) - 2))

# %% [markdown] id="04-edit5"
# ## Edit 5: more rows than slots
#
# Up to here we rebuilt the guide's script, node by node, and for this graph it is right: its NMS stops at
# 100. But someone will export with `--topk-all 300`, or hand in a graph whose NMS keeps 100 *per class*. To
# try that without waiting for such a picture, we need a patient whose detections we choose ourselves: a
# graph that hands its rows straight through. In ONNX's text form that takes two lines.

# %% id="04-bench"
text = """<ir_version: 10, opset_import: ["": 18]>
    bench (float[M, 7] rows) => (float[M, 7] SOURCE) { SOURCE = Identity(rows) }"""
bench = onnx.parser.parse_model(text.replace("SOURCE", source))


def invented(count):
    """Rows [count, 7] with boxes and classes at random, and different scores in no order."""
    random = np.random.default_rng(count)
    table = random.uniform(1, 640, (count, 7)).astype(np.float32)
    table[:, 0], table[:, 5] = 0, random.integers(0, max(1, len(model.names)), count)
    table[:, 6] = random.permutation(np.linspace(0.36, 0.99, count))
    return table


print(run(bench, invented(300)).shape, "best score:", f"{invented(300)[:, 6].max():.2f}")

# %% [markdown] id="04-transplant"
# Because nodes are connected by names alone, the piece of graph that we made by hand can be transplanted:
# all it needs is a value of the same name to begin with.

# %% id="04-transplant-code"
by_hand = onnx.ModelProto()
by_hand.CopyFrom(bench)
by_hand.graph.node.extend(padded.graph.node[len(end2end.graph.node) :])
by_hand.graph.initializer.extend(padded.graph.initializer[len(end2end.graph.initializer) :])
by_hand.graph.output[0].CopyFrom(padded.graph.output[0])
print([step.op_type for step in by_hand.graph.node])
print(output_text(bench), "->", output_text(by_hand), "  3 rows in:", run(by_hand, invented(3)).shape)

# %% [markdown] id="04-negative"
# With 300 rows, 100 − 300 rows are missing: `Pad` is asked for −200. It does not complain, it *cuts*: the
# first 100 rows stay, whatever they score.

# %% id="04-negative-code"
many = invented(300)
kept = run(by_hand, many)[0, :, 4]
best = np.sort(many[:, 6])[-100:]
lost = best[~np.isin(best, kept)]
print(f"of the 100 best detections {len(best) - len(lost)} are left")
print(f"worst score that was kept: {kept.min():.2f}; best score that was lost: {lost.max():.2f}")

# %% [markdown] id="04-choose"
# A detector that forgets its best detections because of their position in a list is not one you want. So
# the patch of this course does not pad, it **chooses**: put 100 empty rows behind the real ones, then take
# the 100 best of all. `TopK` finds them. Empty rows take part with a score below any other, so they win a
# slot only where no real row wants it.

# %% [markdown] id="04-functions"
# ## The same as readable functions
#
# Stacked `make_node` calls are hard to read and harder to review. With `onnxscript` a piece of graph is a
# Python function: each call of an operator is one node. It is decorated, compiled to ONNX, and can be tried
# on an array right away:

# %% id="04-script"
from onnxscript import FLOAT, script
from onnxscript import opset12 as op


@script()
def reorder(rows: FLOAT) -> FLOAT:
    return op.Gather(rows, [1, 2, 3, 4, 6, 5], axis=1)


print(invented(3).shape, "->", reorder(invented(3)).shape)
print(onnx.printer.to_text(reorder.to_function_proto()))

# %% [markdown] id="04-source"
# One `Gather` does edits 1 and 2 together. Here are the other two functions of the patch, as they stand in
# `helpers/patches/ultralytics.py`. Read `choose` from top to bottom: the scores as a row; 100 empty scores
# behind them; the places of the 100 best; these places in rising order, so that the rows keep the order the
# NMS gave them; and one last `Gather`.

# %% id="04-source-code"
from helpers.patches import ultralytics as patch

print(inspect.getsource(patch.pad.function))
print(inspect.getsource(patch.choose.function))

# %% [markdown] id="04-last-gather"
# The last `Gather` is worth a second look. Its list of places has the shape `[1, 100]`, and a `Gather` puts
# the shape of its list where the rows were: `[M + 100, 6]` becomes `[1, 100, 6]`. It picks, cuts to length
# and adds the batch dimension in one node. (There is a `Reshape` after all, but not of the table: it gives
# the list of places its shape, and that list has 100 entries even where nothing was found.)

# %% [markdown] id="04-real"
# ## The patch, on the real graph
#
# `to_ultralytics` checks that it understands the graph, splices the functions in, and checks the result.
# Its report is one line for each change. Nine nodes are new, all at the end; of the others none is touched.

# %% id="04-real-code"
result = patch.to_ultralytics(end2end)
patched = result.model
print("\n".join(result.report))
before_after(end2end, patched)

# %% id="04-real-same"
for name, image_bgr in (("picture", picture.image_bgr), ("blank", blank)):
    out, hand = run(patched, as_input(image_bgr)), run(padded, as_input(image_bgr))
    print(f"{name:8} {out.shape}  the same numbers as by hand: {np.array_equal(out, hand)}")

# %% [markdown] id="04-shape"
# ## A shape that can be derived
#
# The shape of an output is written into the file by whoever makes it; it is a claim. Ultralytics believes
# it: with numbers it sends pictures of one size; with a name in the first place, such as `["M", 7]`, it
# sends rectangles of varying size, which this network refuses. TensorRT takes nobody's word: it derives
# shapes while it builds the engine. What can be derived here? We put a node behind each output, so that it
# is an output no more and nothing is claimed about it, and ask ONNX:

# %% id="04-shape-code"
for name, candidate in (("by hand", padded), ("the patch", patched)):
    output = candidate.graph.output[0].name
    longer = operate(candidate, [node("Identity", output, "end")], ["any", "rows", "columns"])
    derived = graph.value_shapes(longer)[output]
    print(f"{name:10} claims {output_text(candidate):22} derived: {derived}")

# %% [markdown] id="04-shape-moral"
# By hand, everything hangs on the claim, because the amount of padding is computed while the graph runs. In
# the patch the claim is what anybody would work out.

# %% [markdown] id="04-proof"
# ## Proof at 0, 1, 99, 100, 101 and 300 detections
#
# Up to 100 the patch must give the numbers of the graph made by hand, and not about: exactly. Beyond, it
# must keep the 100 best rows in their old order. The counts are the places where such code breaks: nothing,
# a single row, one short, full, one over, far over. In the table, `exact` says that every number of the
# output is the expected one.

# %% id="04-proof-code"
short = patch.to_ultralytics(bench).model
print("detections  output       exact  as by hand  of the 100 best")
tables = {}
for count in (0, 1, 99, 100, 101, 300):
    given = invented(count)
    out, hand = run(short, given), run(by_hand, given)
    best = np.sort(np.argsort(-given[:, 6])[:100])
    exact, same = np.array_equal(out, run(by_hand, given[best])), np.array_equal(out, hand)
    kept, kept_by_hand = (np.isin(given[best, 6], table[0, :, 4]).sum() for table in (out, hand))
    print(f"{count:10}  {out.shape}  {exact!s:5}  {same!s:10}  {kept} (by hand: {kept_by_hand})")
    tables[f"{count} detections"] = out

# %% [markdown] id="04-figure"
# The same as a picture: each line is one output, each cell one of the 100 slots, grey where it is empty,
# coloured by the score where it is not. The last line is what the guide's `Pad` leaves of 300.

# %% id="04-figure-code"
strips = tables | {"300, by hand": run(by_hand, many)}
scores = np.vstack([out[0, :, 4] for out in strips.values()])
chart, axes = charts.figure("100 slots, whatever was found", (7.6, 2.8))
cells = axes.pcolormesh(np.ma.masked_equal(scores, 0), cmap="viridis", edgecolor="white", linewidth=0.4)
axes.set_facecolor("#d9d6ce")
axes.set_yticks(np.arange(len(strips)) + 0.5, list(strips))
axes.set_xlabel("slot")
axes.invert_yaxis()
chart.colorbar(cells, label="score", pad=0.02)
show(charts.render(chart), quality=60, alt="chart: 100 slots for 0 to 300 detections")
print("filled slots:", (scores > 0).sum(axis=1).tolist())


# %% [markdown] id="04-try"
# Try other numbers: the slider feeds that many invented detections through the patched graph.

# %% id="04-slider"
def feed(count):
    out = run(short, invented(int(count)))[0]
    kept = out[out[:, 4] > 0, 4]
    worst = f"{kept.min():.2f}" if len(kept) else "-"
    print(f"{count:.0f} detections in, {len(kept)} slots filled, worst score in a slot {worst}")


course.slider(feed, value=120, minimum=0, maximum=300, step=1, label="detections")

# %% [markdown] id="04-wrong"
# ## Twice, and on the wrong graph
#
# Scripts are run twice by accident. The guide's, run on its own result, writes a file without a word, and
# no runtime opens it: all its nodes are in there twice, under the same names. A patch should see that its
# work is done. And it should refuse what it does not understand, with the reason and a way out, because the
# alternative is a file that loads and lies.

# %% id="04-twice"
again = patch.to_ultralytics(patched)
print("changed:", again.changed, "|", again.report[0], "| the same model:", again.model == patched)

# %% id="04-wrong-code"
raw = onnx.load(course.need(model, "raw"))
eight = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 18]>
    eight (float[8, 3, 9, 7] images) => (float[M, 7] detections) <int64[2] shape = {-1, 7}>
    { detections = Reshape(images, shape) }
""")
cases = {
    "a raw graph": lambda: patch.to_ultralytics(raw),
    "rows of eight pictures": lambda: patch.to_ultralytics(eight),
    "only six columns": lambda: patch.to_ultralytics(cut),
    "other slots than before": lambda: patch.to_ultralytics(patched, slots=50),
    "a path": lambda: patch.to_ultralytics("yolov7-tiny.onnx"),
}
for name, attempt in cases.items():
    try:
        attempt()
    except PatchError as refusal:
        reason, _, fix = str(refusal).partition("; fix: ")
        print(f"{name}\n    {reason}\n    -> {fix}")

# %% [markdown] id="04-filter"
# ## Filter first
#
# Every edit so far added nodes at the end. The next one takes work away in the middle. Between the
# convolutions and the NMS the graph decodes *every* candidate, a sigmoid for each of its 5 + C numbers, and
# then the NMS throws nearly all of them away, because they score no more than 0.35. Could one not know
# earlier? A score is objectness × class score, and a class score is at most 1. So where the objectness is
# not above 0.35, nothing else matters:

# %% id="04-filter-count"
import cv2

from helpers.drawing import side_by_side

candidates = run(raw, as_input(picture.image_bgr))[0]
passing = candidates[candidates[:, 4] > 0.35]


def dotted(rows, radius):
    canvas = images.letterbox(picture.image_bgr, model.size_wh).image_bgr.copy()
    for x, y in rows[:, :2].round().astype(int).tolist():
        cv2.circle(canvas, (x, y), radius, (30, 90, 240), -1)
    return canvas


captions = f"{len(candidates)} candidates, decoded", f"{len(passing)} can score above 0.35"
pair = side_by_side(dotted(candidates, 2), dotted(passing, 6), captions=captions, cell_width=240)
show(pair, quality=50, alt="the centres of all candidates, and of those that can pass")
print("; ".join(captions))

# %% [markdown] id="04-filter-how"
# (Dots are the centres of boxes. Around each thing many candidates pass; which of them stays is the NMS's
# business.) Even the objectness need not be decoded: a sigmoid rises, so σ(t) > 0.35 is the same question as
# t > −0.62. `filter_candidates` asks it right behind the convolutions. It reads only the objectness planes
# of the heads, notes where they pass, gathers the numbers of those candidates, and decodes those. The
# network and the NMS stay as they are, node for node; the NMS sees fewer rows.

# %% id="04-filter-code"
from helpers.patches.filter import filter_candidates

result = filter_candidates(patched)
filtered = result.model
print("\n".join(result.report))
for name, image_bgr in (("picture", picture.image_bgr), ("blank", blank)):
    largest = np.abs(run(filtered, as_input(image_bgr)) - run(patched, as_input(image_bgr))).max()
    print(f"{name:8} the same to 0.0001 px: {largest <= 1e-4}")

# %% [markdown] id="04-filter-found"
# How does it find the decode in a graph of hundreds of nodes? Not by names, which every exporter chooses
# anew: it takes the last convolutions, and the first value of three dimensions through which all that
# comes behind must pass. And it does not believe that this is YOLOv7's decode. It runs that piece on random
# logits, compares with the formula, and afterwards compares the whole tail before and after (the last line
# of the report). The core are two small functions for each level: `survivors` notes where the objectness
# passes, `rows_of` fetches the logits. In a head the numbers of one candidate lie H × W apart.

# %% id="04-filter-source"
from helpers.patches import filter_nodes

print(inspect.getsource(filter_nodes.survivors.function))
print(inspect.getsource(filter_nodes.rows_of.function))

# %% [markdown] id="04-filter-cost"
# What does it save? ONNX Runtime's profiler again, as in lesson 03, for everything behind the convolutions
# (milliseconds, so they are this machine's). The more classes a model has, the more there was to save.

# %% id="04-filter-cost-code" tags=["nbval-ignore-output"]
tail = ("decode", "nms", "ultralytics")
for name, candidate in (("decode all", patched), ("filter first", filtered)):
    onnx.save(candidate, model.folder / "profiled.onnx")
    costs = graph.profile_nodes(model.folder / "profiled.onnx", {"images": as_input(picture.image_bgr)}, 7)
    behind = sum(cost.ms for cost in costs if cost.part in tail)
    print(f"{name:12} {behind:5.2f} ms of {sum(cost.ms for cost in costs):.0f} ms")

# %% [markdown] id="04-filter-forms"
# One thing is lost: shapes. How many candidates pass is known only while the graph runs, and TensorRT does
# better with sizes it knows. So there is a second form. Instead of whatever passes it keeps a fixed number,
# the best by objectness of each level. It is exact while no more than that many pass, and says so, in the
# report and in the metadata. Engines (lesson 05) are built from it.

# %% id="04-filter-forms-code"
print("\n".join(filter_candidates(filtered, form="topk").report))

# %% [markdown] id="04-names"
# ## Names: the metadata
#
# A graph knows numbers, not names. Ultralytics looks for the rest in the file's metadata, a few texts
# beside the graph. The guide's file has none, and this is what a user of it sees:

# %% id="04-no-names"
import os

os.environ["YOLO_VERBOSE"] = "False"  # Ultralytics otherwise logs versions and timings
from ultralytics import YOLO

nameless = onnx.ModelProto()
nameless.CopyFrom(filtered)
del nameless.metadata_props[:]
onnx.save(nameless, model.folder / f"{model.name}-nameless.onnx")
seen = YOLO(model.folder / f"{model.name}-nameless.onnx", task="detect").names
print(len(seen), "classes:", ", ".join(seen[number] for number in range(3)), "...")

# %% [markdown] id="04-keys"
# `write_metadata` writes every key that matters. It takes the picture size and the batch from the graph
# itself, so they cannot contradict it.
#
# | key | what breaks without it |
# |---|---|
# | `names` | boxes are labelled `class0`, `class1`, … |
# | `args` with `nms: True` | lists of pictures fail; torchvision must be loaded; an engine is recorded as a CUDA graph, which an NMS does not survive (lesson 05) |
# | `task` | a warning, and a guess |
# | `stride`, `imgsz` | defaults of 32 and 640, wrong for other exports |
# | `batch`, `channels` | assumed to be 1 and 3 |
#
# (`filter` is ours: a note of what the last section did, which Ultralytics passes over.)

# %% id="04-keys-code"
from helpers.patches.metadata import read_metadata, write_metadata

stride = read_metadata(end2end).get("stride", 32)
finished = write_metadata(filtered, names=model.names, stride=stride).model
for key, value in read_metadata(finished).items():
    print(f"{key:9} {value}")
print("the graph is untouched:", finished.graph == filtered.graph)

# %% [markdown] id="04-file"
# ## The file
#
# `to_ultralytics`, `filter_candidates` and `write_metadata`: these three calls are all that the pipeline does
# between the end-to-end file and the final one. Here is the file that it writes; it is, to the last bit, the
# model that you have just made.
# (`helpers.netron_view.view(path)` from lesson 03 shows it in Netron.)

# %% id="04-file-code"
path = course.need(model, "ultralytics")
print("the same as ours:", onnx.load(path) == finished)
graph.io_table(finished)

# %% [markdown] id="04-ultralytics"
# ## Ultralytics opens it
#
# No plug-in, no special loader: to Ultralytics it is a detector that it could have exported itself. Are its
# boxes ours? The detector of this course runs the same file through ONNX Runtime alone, so any difference
# would come from how the picture is prepared or how the boxes are carried back.

# %% id="04-ultralytics-code"
from helpers.parity import Tolerance, compare_detections

yolo = YOLO(path, task="detect")


def seen_by_ultralytics(result):
    boxes = result.boxes.cpu().numpy()
    return Detections(boxes.xyxy, boxes.conf, boxes.cls)


answer = yolo(picture.image_bgr, verbose=False)[0]
ours, theirs = Detector(path).detect(picture.image_bgr), seen_by_ultralytics(answer)
parity = compare_detections(ours, theirs)
print("ours:       ", ours.summary(model.names))
print("Ultralytics:", theirs.summary(list(answer.names.values())))
print("every box has its partner, corners within 0.05 px, scores within 0.0001:", parity.within(Tolerance()))

# %% id="04-ultralytics-figure"
pair = draw(picture.image_bgr, ours, model.names), answer.plot(line_width=2)
captions = f"helpers: {len(ours)} boxes", f"Ultralytics: {len(theirs)} boxes"
show(side_by_side(*pair, captions=captions, cell_width=420), quality=70, alt="; ".join(captions))

# %% [markdown] id="04-list"
# ## A list, and a picture with nothing in it
#
# Thanks to `nms: True` a list goes through picture by picture. And a blank picture, 100 rows of zeros,
# comes out as what it is: no boxes. Ultralytics keeps a row only if its score is *above* the threshold, so
# even at `conf=0` padding stays out.

# %% id="04-list-code"
answers = yolo([picture.image_bgr, blank, picture.image_bgr[:, ::-1].copy()], verbose=False)
for name, result in zip(("the picture", "blank", "mirrored"), answers, strict=True):
    print(f"{name:12} {seen_by_ultralytics(result).summary(model.names)}")
print("blank, conf=0:", len(yolo(blank, conf=0.0, verbose=False)[0].boxes), "boxes")

# %% [markdown] id="04-settings"
# ## What conf and iou can still do
#
# Ultralytics has two settings for detection, and both belong to an NMS that it runs itself. Here the NMS has
# already happened. So, plainly: **a `conf` below the graph's own 0.35 has no effect, and `iou` has none at
# all.** A higher `conf` still cuts. For comparison the same NMS in NumPy, on the raw predictions, with a
# threshold of 0.05, and a more crowded picture, where that makes a difference:

# %% id="04-settings-code"
from helpers.parity import reference_nms

crowd_bgr = model.pictures(3)[-1].image_bgr
free = reference_nms(run(raw, as_input(crowd_bgr))[0], score_threshold=0.05, max_detections=300)
asked = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
through = [len(yolo(crowd_bgr, conf=conf, verbose=False)[0].boxes) for conf in asked]
without = [int((free[:, 6] > conf).sum()) for conf in asked]
lines = {"NMS with threshold 0.05": without, "Ultralytics on our file": through}
chart = charts.lines(asked, lines, title="Boxes in the picture", x_label="conf", y_label="boxes")
chart.axes[0].axvline(0.35, color="#5c6b7a", linestyle=":")
chart.axes[0].text(0.355, 0.5, "threshold in the graph", color="#5c6b7a", fontsize=9)
chart.axes[0].set_ylim(bottom=0)
charts.present(chart, f"Ultralytics at conf 0.05, 0.35, 0.9: {through[0]}, {through[6]}, {through[-1]} boxes")

# %% id="04-iou"
for iou in (0.01, 0.7, 0.99):
    print(f"iou={iou:<5} {len(yolo(crowd_bgr, conf=0.35, iou=iou, verbose=False)[0].boxes)} boxes")

# %% [markdown] id="04-settings-moral"
# So whoever wants more boxes, or fewer overlaps, changes them where they are decided, in lesson 02's
# `add_nms(score_threshold=…, iou_threshold=…)`, and patches again. It takes seconds.

# %% [markdown] id="04-many"
# ## Any number of pictures
#
# A network can look at several pictures in one run. The NMS keeps them apart, and writes into column 0 to
# which picture a row belongs, the very column that edit 1 threw away. What do edits 1 to 4 make of two
# pictures, with three detections in the first and two in the second?

# %% id="04-many-mixed"
two = np.vstack([invented(3), invented(2)])
two[3:, 0] = 1  # the last two rows belong to the second picture
mixed = run(by_hand, two)
print(f"output {mixed.shape}: {(mixed[0, :, 4] > 0).sum()} detections, all in the first picture")

# %% [markdown] id="04-many-how"
# No error, no warning, and boxes of one picture drawn on another. `to_batched` gives each picture a contest
# of its own: its rows by their score, then empty rows, then those of the others.
#
# But our file was exported for one picture. Can that be undone? In the full decode it could not: it is full
# of shapes such as `1 x 3 x 80 x 80 x 8`, written down as numbers, the 1 among them. The filter has removed
# them all, and convolutions take any batch. So here the order matters: filter first.

# %% id="04-many-code"
from helpers.patches.batch import to_batched

try:
    to_batched(end2end)
except PatchError as refusal:
    print(str(refusal).rpartition("; ")[2])
many_pictures = to_batched(filter_candidates(end2end).model).model
mirrored = picture.image_bgr[:, ::-1].copy()
three = [as_input(image_bgr) for image_bgr in (picture.image_bgr, blank, mirrored)]
together, alone = run(many_pictures, np.vstack(three)), np.vstack([run(filtered, one) for one in three])
print(output_text(many_pictures), "  for three pictures:", together.shape)
print("found in each:", (together[..., 4] > 0).sum(axis=1).tolist())
print("the same as one at a time, to 0.001 px:", np.abs(together - alone).max() < 1e-3)

# %% [markdown] id="04-many-file"
# This is a file of its own, because Ultralytics wants a number in the first dimension. `Detector` takes
# it and feeds several pictures at once (`detect_many(…, batch_size=8)`).

# %% id="04-many-file-code"
_ = course.need(model, "batched")

# %% [markdown] id="04-summary"
# ## Summary
#
# - Graph surgery appends nodes, adds constants and declares another output. Nothing upstream changes, and
#   you can check that.
# - `[M, 7]` became `[1, 100, 6]` in five edits: drop a column, swap two, add a dimension, fill up to 100,
#   and choose where there are more.
# - What cannot pass the NMS's threshold need not be decoded. That edit takes nodes out of the middle, so it
#   proves itself on random logits, every time.
# - For many pictures the picture column must not be dropped: it says whose a row is.
# - By hand with `make_node` it is a page of code; as onnxscript functions it is nine nodes that read like
#   Python.
# - `Gather` with constants gives a shape that every tool can derive; `Reshape` with `-1` and `Pad` with
#   computed amounts do not.
# - Proof is a comparison, at the counts where code breaks, with equality and not with "looks right".
# - Metadata turns `class0` into names, lets lists work, and keeps an engine from being recorded as a CUDA
#   graph.

# %% [markdown] id="04-exercises"
# ## Exercises
#
# Replace `...` and run the cell; the check says `right` or gives a hint.
# [Solutions](solutions/04_patch.ipynb).
#
# **1. Another reader.** A colleague's program also wants six columns, but as `class, score, x0, y0, x1,
# y1`. Which six numbers does a `Gather` on the columns of our finished `[1, 100, 6]` need?

# %% id="04-exercise-1"
answer = ...  # a list of six column numbers
_ = exercises.check("04", 1, answer)

# %% [markdown] id="04-exercise-2-task"
# **2. Another fill.** Repeat edit 4 with `fill=np.float32(0.5)` instead of 0 (and add metadata), save the
# model, and show Ultralytics the blank picture with its usual settings. How many boxes does it report?

# %% id="04-exercise-2"
answer = ...  # a whole number
_ = exercises.check("04", 2, answer)

# %% [markdown] id="04-exercise-3-task"
# **3. Your own edit.** Other programs do not want to count zeros. Write a function that takes a patched
# model and returns a copy with a second output, `count`, an int64 of shape `[1]`: how many slots are
# filled. The first output stays as it is, and so does the model that was handed in. (`operate` replaces the
# output; here you append one, with `model.graph.output.append(…)`.) Useful nodes: `Gather`, `Greater`,
# `Cast`, `ReduceSum`.

# %% id="04-exercise-3"
answer = ...  # a function: model -> model
_ = exercises.check("04", 3, answer)

# %% [markdown] id="04-next"
# Next: [05 · Build the engine](05_build_engine.ipynb)
