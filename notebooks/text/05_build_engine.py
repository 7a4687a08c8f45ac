# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="05-title"
# # 05 · Build the engine
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/05_build_engine.ipynb) · English · [简体中文](zh-CN/05_build_engine.ipynb)
#
# TensorRT turns the graph of lesson 04 into a program for one particular GPU: an *engine*. By the end of this
# page you have put the network in half precision, you know why the last part of the graph must not follow, and
# you can build an engine on TensorRT 10 and 11 with one call. No GPU? Almost everything here happens before
# one is needed. The cells that do need one say `not run`, and nothing pretends.
#
# > **You need** lesson 04's file (made for you if it is missing), about 10 seconds on two cores; an NVIDIA
# > GPU with TensorRT for four of the cells.
# >
# > **You get** `build/<model>/<model>-fp16.onnx`, half the size; with a GPU also
# > `build/<model>/<model>-fp16.engine`.

# %% [markdown] id="05-contents"
# ## Contents
#
# - [What an engine is](#What-an-engine-is)
# - [Half a number](#Half-a-number)
# - [Precision is in the graph](#Precision-is-in-the-graph)
# - [Four casts](#Four-casts)
# - [Why the tail stays in FP32](#Why-the-tail-stays-in-FP32)
# - [The same on a picture](#The-same-on-a-picture)
# - [Box by box](#Box-by-box)
# - [Was that really FP16?](#Was-that-really-FP16?)
# - [The file](#The-file)
# - [An engine for the CPU](#An-engine-for-the-CPU)
# - [TensorRT 10 and 11](#TensorRT-10-and-11)
# - [One call for both](#One-call-for-both)
# - [What stands in front of the plan](#What-stands-in-front-of-the-plan)
# - [Loading an engine runs code](#Loading-an-engine-runs-code)
# - [The other way: Ultralytics builds it](#The-other-way:-Ultralytics-builds-it)
# - [ONNX Runtime on the GPU](#ONNX-Runtime-on-the-GPU)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="05-colab" tags=["colab"]
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

# %% [markdown] id="05-what"
# ## What an engine is
#
# ONNX Runtime reads a graph and runs it wherever you are. TensorRT *compiles* it: it fuses layers, tries many
# kernels for each on the GPU at hand, measures them, keeps the fastest and writes the outcome as a *plan*. So
# an engine fits one TensorRT version, one operating system and one kind of GPU, and is built where it will
# run. What you carry around is the ONNX file. First, what do we have here?

# %% id="05-what-code"
import numpy as np
import onnx
import onnxruntime
import torch

from helpers import Detections, Detector, course, draw, graph, images, show
from helpers.course import charts, exercises
from helpers.drawing import side_by_side
from helpers.engine import EngineError, require_tensorrt
from helpers.table import Table

model = course.pick_model()
path = course.need(model, "ultralytics")
full = onnx.load(path)
try:
    require_tensorrt("this lesson")
    missing = ""
except EngineError:
    missing = "no TensorRT" if torch.cuda.is_available() else "no CUDA device"
print("TensorRT on this machine:", missing or "ready")

# %% [markdown] id="05-half"
# ## Half a number
#
# FP32 spends 32 bits on a number, FP16 half of them: 11 for the digits, 5 for the size. A GPU multiplies FP16
# several times faster, and half the bytes travel. The price is the *step*, the distance to the next number
# that exists. It grows with the number:

# %% id="05-half-code"
places = {
    "a weight": 0.05, "a score": 0.9, "a corner in a 640 px picture": 600,
    "the same, moved by 79 classes of 640 px": 600 + 79 * 640, "1 MPixel": 1e6,
}  # fmt: skip
with np.errstate(over="ignore", invalid="ignore"):
    rows = [(what, f"{x:g}", f"{np.spacing(np.float16(x)):.2g}") for what, x in places.items()]
print(Table(("number", "about", "step in FP16"), tuple(rows)))

# %% [markdown] id="05-half-moral"
# For weights and scores that is plenty. For pixels it is half a pixel at best, and 32 px once the NMS has
# moved the boxes of class 79 out of the way of the others (lesson 03: `apart`). Beyond 65504 there is
# nothing at all: `nan` stands for a step that cannot be taken, because the number became infinity.

# %% [markdown] id="05-graph"
# ## Precision is in the graph
#
# Scripts for TensorRT used to say `config.set_flag(FP16)`, and the builder decided which layers became half.
# TensorRT 11 has no such flag: each value has the type that the graph gives it, and an FP32 graph makes an
# FP32 engine. So half precision is one more graph edit, and you already know how those work. The rule of
# `to_half`: whatever has a convolution behind it becomes FP16; inputs, outputs, decoding and NMS stay.

# %% id="05-graph-code"
from helpers.patches.half import to_half

result = to_half(full)
half = result.model
print("\n".join(result.report))
megabytes = [len(each.SerializeToString()) / 1e6 for each in (full, half)]
print(f"{megabytes[0]:.1f} MB -> {megabytes[1]:.1f} MB;", "nodes:", graph.diff_graphs(full, half))


# %% [markdown] id="05-types"
# Which numbers are what now? By part of the graph, the types of what the nodes make (indices and counts are
# whole numbers, left out here):

# %% id="05-types-code"
def types_of(model):
    """The type of every value: FLOAT, FLOAT16, INT64, …"""
    known = onnx.shape_inference.infer_shapes(model).graph
    types = {tensor.name: tensor.data_type for tensor in known.initializer}
    for value in (*known.value_info, *known.input, *known.output):
        types[value.name] = value.type.tensor_type.elem_type
    return {name: onnx.TensorProto.DataType.Name(number) for name, number in types.items()}


kinds = types_of(half)
parts = [*zip(graph.node_parts(half), half.graph.node, strict=True)]
for part in ("backbone", "head", "decode", "nms"):
    made = [kinds.get(name) for where, node in parts if where == part for name in node.output]
    print(f"{part:9} FP16 {made.count('FLOAT16'):4}   FP32 {made.count('FLOAT'):4}")

# %% [markdown] id="05-casts"
# ## Four casts
#
# Where types meet, a `Cast` stands: one behind the input, so that callers keep feeding FP32, and one behind
# each head convolution, of which this model has three. No other node is new. Here is the last of them; the
# values that are cast kept their names, so everything downstream reads what it always read:

# %% id="05-casts-code"
from IPython.display import SVG

boundary = [node for node in half.graph.node if node.op_type == "Cast" and node.name.startswith("half/")]
for node in boundary:
    print(f"{node.input[0]:16} {kinds[node.input[0]]:8} -> {node.output[0]:16} {kinds[node.output[0]]}")
SVG(graph.to_svg(graph.neighbourhood(half, boundary[-1].name, 2)))

# %% [markdown] id="05-casts-moral"
# A converter off the shelf would have been nicer. Those that were tried on this graph break it: one gives nodes
# in an order in which they cannot run, one makes a file that ONNX Runtime refuses, and one drops the
# metadata, raises the opset, and decides by a calibration picture what becomes half.

# %% [markdown] id="05-tail"
# ## Why the tail stays in FP32
#
# Because the loss would be silent. The NMS compares boxes of all classes at once, after moving those of class
# `c` by `c × 640` px (the official exporter's `--max-wh 640`). In FP16, class 79 then lives on a grid of
# 32 px, and corners snap to it. `kept` is a small NMS that does its arithmetic in the type you name:

# %% id="05-tail-code"
from helpers.detections import iou_matrix, match


def kept(found, number, first=0):
    """Detections that survive the NMS, best first, with their classes counted from `first` on."""
    shift = (found.class_ids + first).astype(number) * number(640)
    apart = found.boxes_xyxy.astype(number) + shift[:, None]
    iou, alive = iou_matrix(apart, apart), []
    for place in np.argsort(-found.scores, kind="stable"):
        if not (iou[place, alive] > 0.65).any():
            alive.append(int(place))
    return found[alive]


corners = [[100, 96, 118, 128], [108, 96, 126, 128], [302, 96, 324, 128], [306, 96, 328, 128]]
named = dict(zip((0.9, 0.8, 0.7, 0.6), ("A", "B", "C", "C again"), strict=True))
four = Detections(corners, list(named), [0, 0, 0, 0])
for number in (np.float32, np.float16):
    survivors = [named[round(float(score), 1)] for score in kept(four, number, first=79).scores]
    print(f"{number.__name__} keeps {', '.join(survivors)}")

# %% [markdown] id="05-grid"
# Two mistakes in four boxes. A and B are neighbours that overlap by a third; on the grid they are the same box,
# and B is lost. C was found twice; on the grid the second one has no width, overlaps with nothing, and stays.

# %% id="05-grid-code"
from matplotlib.patches import Rectangle

chart, _ = charts.figure("Class 79: the boxes, and what FP16 makes of them", (8.4, 3.0))
chart.axes[0].set_axis_off()
rounded = (four.boxes_xyxy + 79 * 640).astype(np.float16).astype(np.float32) - 79 * 640
for row, (name, boxes) in enumerate({"FP32": four.boxes_xyxy, "FP16": rounded}.items()):
    axes = chart.add_axes((0.08, 0.5 - 0.42 * row, 0.9, 0.36))
    for (x0, y0, x1, y1), label, color in zip(boxes, named.values(), charts.PALETTE, strict=False):
        edge = {"edgecolor": color, "facecolor": color, "linewidth": 2.5, "alpha": 0.55}
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, label=label, **edge))
    axes.set(xlim=(80, 400), ylim=(136, 88), yticks=[], xticks=range(96, 400, 32))
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11)
    axes.grid(axis="x", color="#9aa3ad", linewidth=0.8)
    axes.tick_params(labelsize=8, length=0, labelbottom=bool(row))
    axes.spines[:].set_visible(False)
axes.legend(loc="center right", frameon=False, fontsize=9)
charts.present(chart, f"widths in FP16: {[int(x1 - x0) for x0, _, x1, _ in rounded]} px")

# %% [markdown] id="05-picture"
# ## The same on a picture
#
# Large boxes survive that; small ones do not. So take a picture with small cells, four drawn ones in one, and
# pretend that the model's classes are the *last* of eighty. The candidates are the network's own, in FP32: only
# the NMS is done in both types. (The cells need a model that knows cells, such as `blood-cells`; another one has
# little to say here.)

# %% id="05-picture-candidates"
tiles = [each.image_bgr for each in course.drawn(4)]
crowd = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
letterboxed = images.letterbox(crowd, model.size_wh).image_bgr
session = onnxruntime.InferenceSession(course.need(model, "raw"), providers=["CPUExecutionProvider"])
raw = session.run(None, {"images": images.to_tensor(letterboxed)})[0][0]

classes = raw[:, 5:].argmax(1)
scores = raw[:, 4] * (raw[np.arange(len(raw)), 5 + classes] if raw.shape[1] > 6 else 1)
sure = scores > 0.35
centre, size = raw[sure, :2], raw[sure, 2:4]
found = Detections(np.hstack([centre - size / 2, centre + size / 2]), scores[sure], classes[sure])
last = 80 - max(1, len(model.names))
exact, coarse = (kept(found, number, first=last) for number in (np.float32, np.float16))
partners = len(match(exact, coarse, 0.9))
print("FP16 loses boxes:", partners < len(exact), "| and keeps doubles:", len(coarse) > partners)

# %% [markdown] id="05-picture-text"
# Left, what the NMS keeps in FP32. Right, only what FP16 gets wrong: boxes that should have been suppressed, and
# boxes that should not. (That overlapping cells confuse the network at this size is another matter: both sides
# saw the same candidates.)

# %% id="05-picture-figure"
a, b = (np.array([pair[side] for pair in match(exact, coarse, 0.9)], int) for side in (0, 1))
lost = exact[np.setdiff1d(np.arange(len(exact)), a)]
extra = coarse[np.setdiff1d(np.arange(len(coarse)), b)]
wrong = Detections(
    np.vstack([extra.boxes_xyxy, lost.boxes_xyxy]),
    [*extra.scores, *lost.scores],
    [0] * len(extra) + [1] * len(lost),
)
left, right = draw(letterboxed, exact, model.names), draw(letterboxed, wrong, ("too many", "lost"))
captions = f"FP32: {len(exact)} boxes", f"FP16: {len(extra)} too many (blue), {len(lost)} lost (orange)"
alt = "The same picture twice: the boxes of an NMS in FP32, and what one in FP16 does wrong"
show(side_by_side(left, right, captions=captions, cell_width=480), quality=80, alt=alt)
print("of the wrong ones, most are doubles:", len(extra) > len(lost))

# %% [markdown] id="05-lines"
# And as numbers, for every place that these classes could have among the eighty. The steps are where the
# FP16 grid doubles, at 16384 px (class 25) and 32768 px (class 51):

# %% id="05-lines-code"
firsts = [*range(0, last + 1, 4), last]
pairs = [(kept(found, np.float32, first), kept(found, np.float16, first)) for first in firsts]
lost = [len(a) - len(match(a, b, 0.9)) for a, b in pairs]
doubles = [len(b) - len(match(a, b, 0.9)) for a, b in pairs]
chart = charts.lines(
    firsts, {"lost": lost, "doubles": doubles}, title="NMS in FP16: boxes lost, boxes too many",
    x_label="number of the first class", y_label=f"boxes, of {len(pairs[0][0])}",
)  # fmt: skip
charts.present(chart, f"more than 20 % too many at the end: {doubles[-1] > 0.2 * len(exact)}")


# %% [markdown] id="05-tail-moral"
# Our own offset is the span of the boxes and not 640, which is safer for the NMS and no help here. The cure is
# the boundary: decoding and NMS take a small part of the time (lesson 03) and have no weights, so FP32 costs
# next to nothing there. (`to_half(model, tail=True)` makes the wrong graph, if you want to see one.)

# %% [markdown] id="05-parity"
# ## Box by box
#
# Does the half graph find the same boxes? Digits are the wrong question: rounding moves every one of them, and
# a score of 0.3501 may land on the other side of the threshold. The right question has margins: every box
# that scores at least 0.02 above the threshold, on either side, has a partner that overlaps by 0.95 or more,
# and their scores differ by less than 0.01.

# %% id="05-parity-code"
def unmatched(a, b, sure=0.37):
    """How many of the sure boxes of one side have no partner of nearly the same score on the other."""
    certain = a.above(sure)
    pairs = match(certain, b, 0.95)
    return len(certain) - sum(abs(certain.scores[i] - b.scores[j]) < 0.01 for i, j, _ in pairs)


def parity_table(candidate, pictures=6):
    """Detections of the FP32 graph and of another one, picture by picture."""
    one, other = (Detector(each.SerializeToString(), providers="cpu") for each in (full, candidate))
    rows = []
    for picture in model.pictures(pictures):
        a, b = one.detect(picture.image_bgr), other.detect(picture.image_bgr)
        rows.append((picture.name, len(a.above(0.37)), unmatched(a, b), unmatched(b, a)))
    return Table(("picture", "sure boxes", "only in FP32", "only in the other"), tuple(rows))


print(parity_table(half))

# %% [markdown] id="05-honest"
# ## Was that really FP16?
#
# A good question to ask of any such table. Most CPUs have no FP16 convolutions, so ONNX Runtime turns
# the weights back to FP32 and, to save time, drops every cast in between. What we have compared is FP32
# arithmetic with FP16 *weights*. A GPU also rounds what flows from layer to layer. We can have that here: take
# the FP32 graph and send every value that is FP16 in the other one through FP16 and back. Casts that we
# write ourselves, ONNX Runtime keeps.

# %% id="05-honest-code"
from onnx import helper, numpy_helper


def rounding(full, half):
    """The FP32 graph, with every value rounded to FP16 that the other graph has in FP16."""
    halves = {name.removeprefix("half/") for name, kind in types_of(half).items() if kind == "FLOAT16"}
    model = onnx.ModelProto()
    model.CopyFrom(full)
    for tensor in model.graph.initializer:
        if tensor.name in halves:
            short = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(short, tensor.name))
    del model.graph.node[:]
    for node in full.graph.node:
        added = model.graph.node.add()
        added.CopyFrom(node)
        for place, name in enumerate(node.output):
            if name in halves:
                added.output[place] = f"{name}/exact"
                down = helper.make_node("Cast", [f"{name}/exact"], [f"{name}/short"], to=10)
                back = helper.make_node("Cast", [f"{name}/short"], [name], to=1)
                model.graph.node.extend([down, back])
    return model


# %% id="05-honest-table"
strict = rounding(full, half)
print(f"{graph.op_counts(strict)['Cast'] // 2 - 1} values rounded on their way")
print(parity_table(strict))

# %% [markdown] id="05-honest-moral"
# That is the stricter test, and the boxes hold. It is still no GPU: a GPU adds in another order, so the last
# word has the engine itself, further down.

# %% [markdown] id="05-file"
# ## The file
#
# The graph of lesson 04 filters its candidates with a mask, so how many rows travel on differs from picture to
# picture. ONNX Runtime does not mind. TensorRT chooses kernels for shapes, so its graph gets the filter's other
# form, which always takes the best so many of each level. Then half precision, and the file is written and
# entered in the manifest. By hand it is two calls; `python -m helpers convert --half` makes the same file:

# %% id="05-file-code"
from helpers.patches.filter import filter_candidates

fixed = filter_candidates(full, form="topk")
half_path = course.need(model, "fp16")
print("the same as by hand:", onnx.load(half_path).graph == to_half(fixed.model).model.graph)
for name, each in (("lesson 04", full), ("for engines", fixed.model)):
    counts = graph.op_counts(each)
    print(f"{name}: {counts.get('NonZero', 0)} NonZero, {counts.get('TopK', 0)} TopK")
print(fixed.report[2])

# %% [markdown] id="05-cpu"
# ## An engine for the CPU
#
# You do not need a GPU to see what compiling a graph means, because ONNX Runtime does a smaller version of it
# each time it opens a file: constants are computed, neighbours melt together, and at the last level the data
# are laid out anew for this very processor. We save three levels, and count nodes in the file as it is written
# and after the second one, which is the same on every processor:

# %% id="05-cpu-code"
levels = {"DISABLE_ALL": "none", "ENABLE_EXTENDED": "extended", "ENABLE_ALL": "all"}
compiled = {}
for level, name in levels.items():
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{level}")
    options.optimized_model_filepath = str(model.folder / f"compiled-{name}.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    compiled[name] = onnx.load(options.optimized_model_filepath)

before = graph.op_counts(compiled["none"])
after = graph.op_counts(compiled["extended"])
changed = [op for op in dict.fromkeys([*before, *after]) if before.get(op) != after.get(op)]
rows = [(op, before.get(op, 0), after.get(op, 0)) for op in changed]
rows.append(("all nodes", sum(before.values()), sum(after.values())))
print(Table(("operator", "as written", "extended"), tuple(rows)))

# %% [markdown] id="05-cpu-text"
# Each activation went into the convolution before it, as it would in TensorRT. The last level is the
# interesting one: the file that comes out runs here, gives the same boxes, and is tied to this kind of
# processor and this ONNX Runtime, just as a plan is to a GPU and a TensorRT.

# %% id="05-cpu-same"
standard = {"", "ai.onnx"}
own = sum(node.domain not in standard for node in compiled["all"].graph.node)
print("the last level uses operators that are in no standard:", own > 0)
picture = model.pictures(1)[0]
tensor = images.to_tensor(images.letterbox(picture.image_bgr, model.size_wh).image_bgr)


def rows_of(name):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    file = model.folder / f"compiled-{name}.onnx"
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return Detections.from_rows(session.run(None, {"images": tensor})[0][0])


plain, fast = rows_of("none"), rows_of("all")
print("the same boxes:", len(match(plain, fast, 0.99)) == len(plain) == len(fast))
for name in compiled:
    (model.folder / f"compiled-{name}.onnx").unlink()

# %% [markdown] id="05-trt"
# ## TensorRT 10 and 11
#
# Why did the guides' script stop working? The Python bindings answer that. This course has type stubs made
# from both, 10.16 and 11.4; our own code is type-checked against the two. Which members of the enumerations
# are gone?

# %% id="05-trt-code"
import re

from helpers.course.place import repository


def members(version, name):
    """Members of an enumeration and their numbers, from the stubs of one version."""
    text = (repository() / "stubs" / f"tensorrt-{version}" / "tensorrt" / "__init__.pyi").read_text()
    return dict(re.findall(rf"^    (\w+): ClassVar\[{name}\]  # = (\d+)", text, re.MULTILINE))


for name in ("BuilderFlag", "NetworkDefinitionCreationFlag"):
    ten, eleven = members("10.16", name), members("11.4", name)
    print(f"{name}, gone: {', '.join(sorted(ten.keys() - eleven.keys()))}")
    moved = [
        f"{key} {ten[key]} -> {eleven[key]}"
        for key in sorted(ten.keys() & eleven.keys())
        if ten[key] != eleven[key]
    ]
    print(f"    {len(moved)} have another number, such as {moved[-1]}")

# %% [markdown] id="05-trt-table"
# | in the guides' script | today |
# |---|---|
# | `config.set_flag(trt.BuilderFlag.FP16)` | gone; put FP16 in the graph |
# | `1 << int(NetworkDefinitionCreationFlag.EXPLICIT_BATCH)` | gone; there is nothing else any more |
# | calibrators for INT8 | gone; put Q/DQ nodes in the graph (lesson 07) |
# | `STRONGLY_TYPED`, written as a number | the number moved: always take it from the enumeration |
# | the `EfficientNMS_TRT` plug-in | deprecated; our graph has the ONNX operator and needs no plug-in |
#
# One thing follows that makes life easier. A graph that says what is FP16, in a *strongly typed* network, means
# the same on both versions, so one piece of code serves both. This is its heart:

# %% id="05-trt-source"
import inspect

from helpers import engine_build

source = inspect.getsource(engine_build)
print(source[source.index("    strong = ") :].split("\n\n")[0])

# %% [markdown] id="05-call"
# ## One call for both
#
# `build_engine(onnx_path, engine_path)` wraps that, and these are its settings:

# %% id="05-call-settings"
from helpers.engine import build_engine, plan_build

meaning = {
    "workspace_gb": "scratch memory that a layer may use; a limit, not a cost",
    "timing_cache": "what earlier builds measured, so that the next one need not",
    "batch": "fewest, usual, most pictures, for a graph with an open batch",
    "version_compatible": "also loads in later TensorRT versions; a little slower",
    "hardware_compatible": "also loads on other GPUs from Ampere on; a little slower",
    "tf32": "FP32 convolutions may round to TF32, which has FP16's digits",
    "progress": "bars while it builds; Ctrl-C stops it",
}
settings = inspect.signature(build_engine).parameters.values()
rows = [(s.name, s.default, meaning.get(s.name, "")) for s in settings if s.default is not s.empty]
print(Table(("setting", "unless you say", "what it does"), tuple(rows)))

# %% [markdown] id="05-call-plan"
# Half of what can go wrong is known before TensorRT is asked. `plan_build` reads the graph and says what would
# be built; it needs no GPU. It also refuses to lie: an engine called FP16 from an FP32 graph would *be* FP32.
# (On the command line: `python -m helpers build blood-cells` converts and builds, and `--plan` stops here.)

# %% id="05-call-plan-code"
engine_path = model.folder / f"{model.name}-fp16.engine"
print("\n".join(plan_build(half_path, engine_path).lines()))
try:
    plan_build(path, engine_path)
except EngineError as refusal:
    print("refused:", refusal)

# %% [markdown] id="05-build"
# Now the build itself. It takes its time, because kernels are tried and measured. The report says how many
# layers really compute in FP16, read back from the finished engine.

# %% id="05-build-code"
if missing:
    print(f"not run: {missing}")
else:
    report = build_engine(half_path, engine_path)
    print("\n".join(report.lines()))

# %% [markdown] id="05-run"
# And does the engine find what the FP32 graph finds? `Detector` runs an engine as it runs an ONNX file, so the
# question is the same, with the same margins:

# %% id="05-run-code"
if missing:
    print(f"not run: {missing}")
else:
    pair = Detector(path, providers="cpu"), Detector(engine_path)
    one, other = (detector.detect(picture.image_bgr) for detector in pair)
    print("boxes without a partner:", unmatched(one, other), "and", unmatched(other, one))

# %% [markdown] id="05-test-gpu"
# The whole proof is a command of its own, `make test-gpu`: every variant built, FP32 and FP16 held against PyTorch
# box by box, Ctrl-C in the middle of a build, damaged files, Ultralytics on the engine, and how long a picture
# takes by every path (`build/gpu/latency.txt`). Without a GPU it says so and fails, since nothing was proved.

# %% [markdown] id="05-inspector"
# How is precision read back? TensorRT's *inspector* describes a finished engine in JSON, each layer with the
# types of what it reads and makes. The form differs between 10 and 11; `read_layers` takes both. Two examples,
# written by hand in these forms:

# %% id="05-inspector-code"
from helpers.engine_layers import count_precisions, read_layers

ten = """{"Bindings": ["images", "output0"], "Layers": [
  {"Name": "conv + leaky_relu", "LayerType": "CaskConvolution",
   "Inputs": [{"Name": "x", "Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}]}]}"""
eleven = """{"I/O Tensors": [{"Name": "images"}, {"Name": "output0"}], "Layers": [
  {"Name": "cast", "LayerType": "Cast", "Inputs": [{"Name": "x", "Datatype": "Half"}]},
  {"Name": "conv", "LayerType": "CaskConvolution", "Inputs": [{"Name": "x", "Datatype": "Float"}]}]}"""
for version_text, text in (("10", ten), ("11", eleven)):
    layers, ports = read_layers(text)
    print(
        f"form of {version_text}: {len(layers)} layers, computing {count_precisions(layers)}, ports {ports}"
    )

# %% [markdown] id="05-inspector-moral"
# The second one only *moves* FP16 and computes in FP32. `build_engine` refuses to hand out such a thing as an
# FP16 engine.

# %% [markdown] id="05-refused"
# Without a CUDA device `build_engine` stops before TensorRT is even imported. That is more than politeness:
# TensorRT's runtime, asked to load an engine where there is no device, has been seen to take the whole
# process down, notebook included.

# %% id="05-refused-code"
if missing:
    try:
        build_engine(half_path, engine_path)
    except EngineError as refusal:
        print(refusal)

# %% [markdown] id="05-header"
# ## What stands in front of the plan
#
# A plan knows no class names. Ultralytics therefore puts a header in front of it: four bytes that say how long
# the header is (the lowest first), so many bytes of JSON, then the plan. That is easily written by hand. We
# have no plan here, so a **stand-in** takes its place: text that no TensorRT would load.

# %% id="05-header-code"
import json
import shutil

from helpers.patches.metadata import read_metadata

known = read_metadata(half)
text = json.dumps(known).encode()
plan = b"a stand-in: this is no plan"
folder = model.folder / "lesson-05"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()
stand_in = folder / "stand-in.engine"
stand_in.write_bytes(len(text).to_bytes(4, "little") + text + plan)

start = stand_in.read_bytes()
print("first four bytes:", list(start[:4]), "=", int.from_bytes(start[:4], "little"), "=", len(text))
print("then:", start[4:40].decode(), "...")
print("last:", start[4 + len(text) :].decode())

# %% [markdown] id="05-header-read"
# Read back by us, and by Ultralytics' own reader. JSON turns the class numbers into text; both know that.
# The most important entry is the least conspicuous: `"nms": true`. Without it Ultralytics records the engine
# as a CUDA graph when it loads it, and an NMS, which decides on its way how much there is to do, cannot be
# recorded.

# %% id="05-header-read-code"
import os

os.environ["YOLO_VERBOSE"] = "False"  # Ultralytics otherwise logs versions and timings
from ultralytics.nn.backends.base import BaseBackend

from helpers.engine_header import built_here, read_header, read_plan

header = read_header(stand_in)
print("names:", header["names"], "| args:", header["args"])
print("the plan comes back whole:", read_plan(stand_in) == plan)
offset, theirs = BaseBackend.engine_header(stand_in)
print("Ultralytics reads the same:", theirs == header and offset == 4 + len(text))

# %% [markdown] id="05-trust"
# ## Loading an engine runs code
#
# An engine is a program. NVIDIA says so plainly: loading one from a source you do not trust is like running
# its native code. So ours load only what this course has built on this machine, which the manifest knows by
# its hash. Move the file, change a byte, download somebody's `.engine`: refused, unless you insist.

# %% id="05-trust-code"
from helpers.artifacts import Manifest
from helpers.engine_run import Engine


def attempt(what):
    try:
        Engine(stand_in)
    except EngineError as refusal:
        reason = str(refusal).removeprefix(f"{stand_in}: ").partition(". Fix")[0]
        print(f"{what:12} known: {built_here(stand_in)!s:5} -> {reason}")


attempt("found")
Manifest(folder).record(stand_in, call="a stand-in, for this lesson")
if missing:
    attempt("recorded")  # known now, and stopped by the next question: is there a GPU?
stand_in.write_bytes(start + b"!")
attempt("changed")
shutil.rmtree(folder)

# %% [markdown] id="05-theirs"
# ## The other way: Ultralytics builds it
#
# The guides build the engine with Ultralytics' `export_engine`. That function is gone. Its successor is
# `onnx2engine`:

# %% id="05-theirs-code"
import ultralytics.utils.export as ultralytics_export

print("export_engine is there:", hasattr(ultralytics_export, "export_engine"))
print("onnx2engine takes:", ", ".join(inspect.signature(ultralytics_export.onnx2engine).parameters))

# %% [markdown] id="05-theirs-demands"
# Asked for FP16 (`quantize=16`) on TensorRT 11, it hands the graph to NVIDIA's quantiser,
# `nvidia-modelopt[onnx]`, and *installs it by itself* if it is missing. Its release 0.47 wants these versions:

# %% id="05-theirs-demands-code"
from importlib.metadata import version

from packaging.specifiers import SpecifierSet

for package, wanted in {"onnx": "~=1.21.0", "onnxruntime": "~=1.24.2"}.items():
    fits = version(package) in SpecifierSet(wanted)
    print(f"{package:12} {wanted:10} this course's version fits: {fits}")
print("Ultralytics may install packages:", os.environ["YOLO_AUTOINSTALL"])

# %% [markdown] id="05-theirs-ours"
# So that way would pull the course's packages from under your feet in the middle of a lesson; it has no permission
# to (`YOLO_AUTOINSTALL=False`), and stops. But the quantiser is only needed to make half of an FP32 graph,
# and ours *is* half. Leave `quantize` out, and on TensorRT 11 `onnx2engine` takes the file as it is and writes
# the header itself. (On TensorRT 10 it builds a network that is not strongly typed, where the types in the
# graph are a suggestion; there, use ours.)

# %% id="05-theirs-build"
if missing:
    print(f"not run: {missing}")
else:
    target = model.folder / f"{model.name}-theirs.engine"
    ultralytics_export.onnx2engine(str(half_path), target, metadata=known)
    from ultralytics import YOLO

    print(len(YOLO(target, task="detect")(picture.image_bgr, verbose=False)[0].boxes), "boxes")

# %% [markdown] id="05-ort"
# ## ONNX Runtime on the GPU
#
# There is a way between: the ONNX file as it is, on the GPU, with `onnxruntime-gpu`. Its trap is its courtesy. Ask
# for CUDA where there is none, and you get the CPU, with a warning that is easily missed:

# %% id="05-ort-code"
import warnings

from helpers.session import DetectorError, open_session

quiet = onnxruntime.SessionOptions()
quiet.log_severity_level = 4
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    session = onnxruntime.InferenceSession(path, quiet, providers=["CUDAExecutionProvider"])
print("asked for CUDAExecutionProvider, got", session.get_providers()[0])

# %% [markdown] id="05-ort-check"
# So the check is `session.get_providers()[0]`, after the session was made; the list of *available* providers
# proves nothing. The course's own `open_session`, and `Detector` with it, makes that check and refuses:

# %% id="05-ort-check-code"
try:
    session = open_session(path, providers="cuda")
    print("runs on", session.get_providers()[0])
except DetectorError as refusal:
    print("not run:", str(refusal).split(",")[0])

# %% [markdown] id="05-ort-trt"
# ONNX Runtime also has a TensorRT provider, which builds engines behind your back. It is linked against TensorRT
# **10** (`libnvinfer.so.10`, in 1.31). Where TensorRT 11 is installed it cannot be loaded, and that, too,
# ends quietly on another provider. So: the CUDA provider for ONNX files, and TensorRT itself for engines.

# %% [markdown] id="05-summary"
# ## Summary
#
# - An engine is a graph compiled for one GPU, one TensorRT, one system. Carry the ONNX file, build on the spot.
# - TensorRT 11 has no precision flags. FP16 is a graph edit: half the size, four casts, all else as it was.
# - The tail stays in FP32. On the FP16 grid of high class numbers, boxes merge and doubles stay, and nothing
#   complains.
# - Compare boxes with margins, and ask what was really computed: a CPU quietly computes in FP32.
# - `build_engine`, or `python -m helpers build`, works on TensorRT 10 and 11, because a strongly typed graph means
#   the same to both; it reads back what was built. `Detector` runs the engine.
# - The header makes an engine readable to Ultralytics; `nms: true` keeps it alive there.
# - Loading an engine runs code. Load what you built.
# - Check which provider a session got, not which one you asked for.

# %% [markdown] id="05-exercises"
# ## Exercises
#
# Replace `...` and run the cell; the check says `right` or gives a hint.
# [Solutions](solutions/05_build_engine.ipynb).
#
# **1. How far could one go?** Suppose that you accept a grid of 4 px in the NMS, with class offsets of 640 px and
# corners from 0 to 640. What is the highest class number whose boxes never see a coarser grid in FP16?

# %% id="05-exercise-1"
answer = ...  # a whole number
_ = exercises.check("05", 1, answer)

# %% [markdown] id="05-exercise-2-task"
# **2. Read an engine.** Write a function that takes the bytes of an engine file and returns two things: the header
# as a dictionary, and the bytes of the plan. A file may begin with the plan itself; then the header is empty
# and the plan is everything. (The plan's first four bytes then say some number, too. Do not believe it.)

# %% id="05-exercise-2"
answer = ...  # a function: bytes -> (dictionary, bytes)
_ = exercises.check("05", 2, answer)

# %% [markdown] id="05-exercise-3-task"
# **3. Is it half?** Someone hands you `model-fp16.onnx`. Write a function that takes a model and returns how many of
# its `Conv` nodes compute in FP16. Names prove nothing, and neither do the types of the weights alone: a
# weight may lie in the file as FP16 and be cast to FP32 before it is used.

# %% id="05-exercise-3"
answer = ...  # a function: model -> number
_ = exercises.check("05", 3, answer)

# %% [markdown] id="05-next"
# Next: [06 · Detect](06_detect.ipynb)
