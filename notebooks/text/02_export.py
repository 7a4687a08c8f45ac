# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="02-title"
# # 02 · Export
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/02_export.ipynb) · English · [简体中文](zh-CN/02_export.ipynb)
#
# You take a YOLOv7 checkpoint, whatever machine it came from, and turn it into an ONNX file that needs
# neither PyTorch nor the repository it was trained in. You see what is inside the checkpoint without
# running it, build the network from its own layer table, prove that the exported graph gives PyTorch's
# numbers, and put the non-maximum suppression into the graph, so that finished boxes come out.
#
# > **You need** nothing but this repository; about 10 seconds on two cores.
# >
# > **You get** `build/<model>/<model>.onnx` (raw predictions) and `build/<model>/<model>-end2end.onnx`
# > (finished boxes).

# %% [markdown] id="02-contents"
# ## Contents
#
# - [What a .pt file is](#What-a-.pt-file-is)
# - [A hostile file](#A-hostile-file)
# - [From layer table to network](#From-layer-table-to-network)
# - [Fuse](#Fuse)
# - [Export](#Export)
# - [Where 25200 comes from](#Where-25200-comes-from)
# - [One row by hand](#One-row-by-hand)
# - [PyTorch and ONNX Runtime agree](#PyTorch-and-ONNX-Runtime-agree)
# - [Which sizes work](#Which-sizes-work)
# - [Two pictures at once](#Two-pictures-at-once)
# - [End to end](#End-to-end)
# - [The score threshold](#The-score-threshold)
# - [The IoU threshold](#The-IoU-threshold)
# - [The class offset trap](#The-class-offset-trap)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="02-colab" tags=["colab"]
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

# %% id="02-imports"
from helpers import build_network, course, draw, export_onnx, letterbox, load_checkpoint, show
from helpers.course import charts, exercises
from helpers.table import Table

model = course.pick_model()

# %% [markdown] id="02-pt-1"
# ## What a .pt file is
#
# A `.pt` file is a zip. In it lies `data.pkl`, a *pickle*: a small program that, when it runs, rebuilds
# Python objects. The official repository saves the whole model, so its pickle does not hold numbers alone,
# it **names classes** of that repository: `models.yolo.Model`, `models.common.Conv`, and so on. Here is the
# smallest such file. One convolution, saved by a program that has a module called `models.common`:

# %% id="02-pt-make"
import sys
import types

import torch

common = types.ModuleType("models.common")
common.Conv = type("Conv", (torch.nn.Conv2d,), {"__module__": "models.common"})
package = {"models": types.ModuleType("models"), "models.common": common}
sys.modules |= package  # the program that trains has these modules ...
here = model.folder / "lesson-02"
here.mkdir(exist_ok=True)
torch.save({"epoch": 3, "model": common.Conv(3, 8, 3)}, here / "small.pt")
for name in package:
    del sys.modules[name]  # ... and you do not
print("written:", course.relative(here / "small.pt"))

# %% [markdown] id="02-pt-2"
# You can read what a pickle *asks for* without running it. `pickletools.genops` steps through its
# instructions as data; every class or function it wants is in an instruction called `GLOBAL`:

# %% id="02-pt-globals"
import pickletools
import zipfile


def globals_of(path):
    """What a checkpoint's pickle asks for; nothing of it runs."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        steps = pickletools.genops(archive.read(name))
        return sorted({argument.replace(" ", ".") for step, argument, _ in steps if step.name == "GLOBAL"})


print(*globals_of(here / "small.pt"), sep="\n")

# %% [markdown] id="02-pt-3"
# `models.common.Conv` is the catch. PyTorch's own reader has two ways with such a file, and neither helps
# you: the careful one refuses every class it does not know, and the old one imports whatever is named,
# which you do not have. (If you do have it, it runs, and so would anything else in the file.) The first
# line below is where the guides' `python export.py …` stops today.

# %% id="02-pt-load"
import pickle

for careful in (True, False):
    try:
        torch.load(here / "small.pt", weights_only=careful)
    except (pickle.UnpicklingError, ModuleNotFoundError) as error:
        reason = "refuses models.common.Conv" if "models.common.Conv" in str(error) else error
        print(f"weights_only={careful}: {type(error).__name__}: {reason}")

# %% [markdown] id="02-hostile-1"
# ## A hostile file
#
# `load_checkpoint` takes a third way. It interprets the pickle as data: a layer becomes a record of its
# attributes, a tensor becomes bytes that are checked to lie inside the file, and a name outside a short
# list ends the reading. No class is constructed and no function called. So a file that carries a trap is
# refused, with the trap's name:

# %% id="02-hostile-make"
import textwrap

trace = here / "trace.txt"
trace.unlink(missing_ok=True)


class Trap:
    def __reduce__(self):  # "to rebuild me, run this line"
        return exec, (f"open({str(trace)!r}, 'w').close()",)


def try_to_load(path):
    try:
        load_checkpoint(path)
    except ValueError as error:
        print(textwrap.fill(str(error).replace(str(path), path.name), 96))


torch.save({"model": Trap()}, here / "trap.pt")
try_to_load(here / "trap.pt")
print("the trap went off:", trace.exists())

# %% [markdown] id="02-hostile-2"
# `torch.load(…, weights_only=False)` would have run that line. `load_checkpoint` also says what is wrong
# with the harmless accidents: a web page saved under the name of a checkpoint, or a download that stopped
# halfway.

# %% id="02-broken"
(here / "page.pt").write_text("<!DOCTYPE html><title>Not found</title>")
(here / "half.pt").write_bytes((here / "small.pt").read_bytes()[:1500])
for name in ("page.pt", "half.pt"):
    try_to_load(here / name)

# %% [markdown] id="02-table-1"
# ## From layer table to network
#
# A YOLOv7 checkpoint carries its own construction plan: a table with one row per layer. Each row says which
# earlier layers it **reads** (`-1` is the one just before, `(-1, -2)` two of them), what **kind** of layer
# it is, and its arguments: for a `Conv`, the output channels, the kernel size and the stride. (The bundled
# `blood-cells` is stored as safetensors, which holds numbers and text only; the plan is the same.)

# %% id="02-table-rows"
checkpoint = model.load()
rows = checkpoint.architecture.rows
cells = [(i, str(row.source), row.module, str(row.args[:3])) for i, row in enumerate(rows)]
print(Table(("layer", "reads", "kind", "arguments"), tuple(cells)).head(9))
print(f"... {len(rows)} rows; the last one, {rows[-1].module}, reads layers {rows[-1].source}")

# %% [markdown] id="02-table-2"
# Because the plan comes with the file, a model with other classes or other widths needs no extra
# configuration: we walk the rows and make one PyTorch module for each. The last row is the detection head,
# on three (or four) feature maps. A **stride** says how many input pixels one cell of such a map stands
# for, **anchors** are the box sizes that a cell starts from.

# %% id="02-network"
network = build_network(checkpoint)
print(f"{sum(p.numel() for p in network.parameters()):,} parameters, classes: {', '.join(network.names[:5])}")
levels = [
    (stride, "  ".join(f"{w:.0f}x{h:.0f}" for w, h in anchors.tolist()))
    for stride, anchors in zip(network.strides, network.anchors_px, strict=True)
]
print(Table(("stride", "anchors in pixels"), tuple(levels)))

# %% [markdown] id="02-fuse-1"
# ## Fuse
#
# In training, every convolution is followed by a batch normalisation. Once trained, that is just a fixed
# factor and a fixed shift per channel, and both can be multiplied into the convolution's own weights.
# `fuse` does so, and folds the parallel branches of YOLOv7's `RepConv` into one kernel and drops the
# auxiliary heads, where a model has them.

# %% id="02-fuse"
from helpers.network import fuse

fused = fuse(build_network(checkpoint))


def count(net, kind):
    return sum(isinstance(module, kind) for module in net.modules())


kinds = (torch.nn.Conv2d, torch.nn.BatchNorm2d)
lines = [(kind.__name__, count(network, kind), count(fused, kind)) for kind in kinds]
lines += [("parameters", *(sum(p.numel() for p in net.parameters()) for net in (network, fused)))]
print(Table(("", "as trained", "fused"), tuple(lines)))

# %% [markdown] id="02-fuse-2"
# Fewer layers, same answer? Put one picture through both. (`letterbox` scales it into the square that the
# network wants, `to_tensor` makes `[1, 3, H, W]` in RGB from 0 to 1 of it.)

# %% id="02-fuse-same"
from helpers.images import to_tensor

picture = model.pictures(1)[0]
box = letterbox(picture.image_bgr, model.size_wh)
images = torch.from_numpy(to_tensor(box.image_bgr))
with torch.no_grad():
    before, after = network(images), fused(images)
difference = (before - after).abs()
print("output", list(after.shape))
print("centre and size the same to 0.05 px:", bool(difference[..., :4].max() < 0.05))
print("scores the same to 1e-4:", bool(difference[..., 4:].max() < 1e-4))

# %% [markdown] id="02-export-1"
# ## Export
#
# `export_onnx` traces the network with PyTorch's current exporter and writes a graph of plain operators,
# taken from one version of ONNX's set of them (*opset*). Before it writes anything, it checks the graph with the ONNX checker **and** runs it against PyTorch; if
# either fails, it raises and leaves no file.
#
# The official exporter works the other way round. On current packages its ONNX step fails inside
# `torch.onnx` (an error about a *fake tensor* in the head), the script catches the error, prints `ONNX
# export failure: …` and then "Export complete", and **exits 0**: a build script goes on happily, with
# yesterday's file or with none.

# %% id="02-export"
raw = export_onnx(fused, model.files.raw, size_wh=model.size_wh)
for port in (*raw.graph.input, *raw.graph.output):
    print(f"{port.name:7}", [d.dim_value for d in port.type.tensor_type.shape.dim])
print(f"{len(raw.graph.node)} nodes, opset {raw.opset_import[0].version}, {raw.ByteSize() / 1e6:.0f} MB")

# %% [markdown] id="02-export-2"
# Later lessons find files through a *manifest* beside them: what each file is, what it was made of, and its
# hash, so that a file older than its source is called stale instead of being used.

# %% id="02-export-record"
from helpers.artifacts import Manifest

manifest = Manifest(model.folder)
call = f"export_onnx(size_wh={model.size_wh}, dynamic_batch=False)"
manifest.record(model.files.raw, call=call, sources=[model.checkpoint])
print(course.relative(model.files.raw), "is", manifest.state(model.files.raw))

# %% [markdown] id="02-n-1"
# ## Where 25200 comes from
#
# The output has one row per *candidate box*. The head looks at the picture through grids, one per stride,
# and in every cell of a grid (a square, not a blood cell) there is one candidate for each anchor. Each row
# has `5 + C` numbers: centre (2), size (2), *objectness*, which says whether there is anything at all, and
# a score for each of the `C` classes.

# %% id="02-n-table"
width, height = model.size_wh
grids = [(stride, width // stride, height // stride, len(fused.anchors_px[0])) for stride in fused.strides]
counted = [(s, f"{w} x {h}", a, w * h * a) for s, w, h, a in grids]
total = sum(line[-1] for line in counted)
print(Table(("stride", "grid", "anchors", "candidates"), tuple(counted)))
print(f"together {total}, and the output is {list(after.shape)}: 5 + {len(fused.names)} values a row")

# %% [markdown] id="02-n-2"
# Here are the grids on the picture, each with the three anchors of its middle cell: the fine grid starts
# from small boxes, the coarse one from large boxes. Most candidates will turn out to be background; that is
# what objectness is for.

# %% id="02-n-figure"
import cv2


def with_grid(stride, anchors):
    canvas = cv2.addWeighted(box.image_bgr, 0.75, box.image_bgr * 0 + 255, 0.25, 0)
    for place in range(0, max(model.size_wh), stride):
        cv2.line(canvas, (place, 0), (place, height), (150, 150, 150), 1)
        cv2.line(canvas, (0, place), (width, place), (150, 150, 150), 1)
    x, y = (side // stride // 2 * stride + stride // 2 for side in model.size_wh)
    for w, h in anchors.tolist():
        corners = [(round(x + sign * w / 2), round(y + sign * h / 2)) for sign in (-1, 1)]
        cv2.rectangle(canvas, *corners, (20, 20, 200), 3)
    return canvas


from helpers.drawing import side_by_side

views = [with_grid(*level) for level in zip(fused.strides, fused.anchors_px, strict=True)]
captions = [f"stride {s}: {w} x {h} cells" for s, w, h, _ in grids]
show(side_by_side(*views, captions=captions, cell_width=270), quality=80, alt="three grids on one picture")
print("grids:", ", ".join(line[1] for line in counted))

# %% [markdown] id="02-hand-1"
# ## One row by hand
#
# The network itself gives *logits*, any real numbers. Decoding turns them into pixels, and it is short
# enough to do on paper. With `s = sigmoid(t)`:
#
# - centre `= (2 s − 0.5 + cell) · stride`: it may leave its cell by half a cell on each side, no further;
# - size `= (2 s)² · anchor`: from nothing to four times the anchor;
# - scores `= s`; what counts in the end is objectness × class score (with a single class, objectness
#   alone).
#
# Take the best row of the output and look up which level, anchor and cell it belongs to:

# %% id="02-hand-find"
import numpy as np

scores = (after[0, :, 4] * (after[0, :, 5:].amax(1) if len(fused.names) > 1 else 1)).numpy()
best = place = int(scores.argmax())
with torch.no_grad():
    logits = fused.levels(images)
level = 0
while place >= logits[level][0, ..., 0].numel():
    place -= logits[level][0, ..., 0].numel()
    level += 1
anchor, row, column = (int(i) for i in np.unravel_index(place, logits[level].shape[1:4]))
print(f"row {best}: stride {fused.strides[level]}, anchor {anchor}, cell in row {row}, column {column}")

# %% id="02-hand-decode"
t = logits[level][0, anchor, row, column].numpy()
s = 1 / (1 + np.exp(-t))
centre = (2 * s[:2] - 0.5 + [column, row]) * fused.strides[level]
size = (2 * s[2:4]) ** 2 * fused.anchors_px[level, anchor].numpy()
print("by hand ", *(f"{value:8.1f}" for value in (*centre, *size)), f"  objectness {s[4]:.2f}")
print("in graph", *(f"{value:8.1f}" for value in after[0, best, :4]), f"  objectness {after[0, best, 4]:.2f}")
print("same to 0.01 px:", bool(np.abs([*centre, *size] - after[0, best, :4].numpy()).max() < 0.01))

# %% [markdown] id="02-parity-1"
# ## PyTorch and ONNX Runtime agree
#
# The exporter compared them on noise. Now the same on a picture, through the file on disk. Two numbers
# matter: how far any box edge moved, in pixels, and how far any score moved. A difference of rounding is
# expected (the two sum in another order), a difference that you could see is not.

# %% id="02-parity"
import onnxruntime


def run(graph, images_nchw):
    """What ONNX Runtime makes of pictures; `graph` is a file or the bytes of one."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images_nchw})[0]


output = run(model.files.raw, images.numpy())
apart = np.abs(output - after.numpy())
print("shape", list(output.shape))
for what, columns, limit in (("centre and size, px", apart[..., :4], 0.05), ("scores", apart[..., 4:], 1e-4)):
    print(f"{what:20} largest difference below {limit}: {bool(columns.max() < limit)}")

# %% [markdown] id="02-size-1"
# ## Which sizes work
#
# The input need not be 640 × 640, nor square. But every stride must divide it, or a grid would end in half
# a cell, and the upsampled maps would no longer fit the ones they are joined with. Ask for another size and
# you are told the nearest one that works, before any time is spent:

# %% id="02-size"
for size in ((500, 375), (640, 360)):
    try:
        export_onnx(fused, size_wh=size)
    except ValueError as error:
        print(error)

# %% [markdown] id="02-batch-1"
# ## Two pictures at once
#
# With `dynamic_batch=True` the first dimension stays open and gets a name instead of a number. That only
# makes sense if a picture's result does not depend on its neighbours, so that is what we check (at 320 ×
# 320, to be quick):

# %% id="02-batch-export"
open_batch = export_onnx(fused, size_wh=(320, 320), dynamic_batch=True)
dims = open_batch.graph.output[0].type.tensor_type.shape.dim
print("output", [d.dim_param or d.dim_value for d in dims])

# %% id="02-batch-run"
pair = [to_tensor(letterbox(p.image_bgr, (320, 320)).image_bgr) for p in course.drawn(2)]
graph = open_batch.SerializeToString()
together = run(graph, np.concatenate(pair))
alone = np.concatenate([run(graph, one) for one in pair])
print("two at once", list(together.shape), "one by one", list(alone.shape))
print("each as if alone, to 0.05 px:", bool(np.abs(together - alone).max() < 0.05))

# %% [markdown] id="02-batch-2"
# The files of this course keep a batch of 1, because Ultralytics takes a named first dimension as a sign
# that the input *size* is open, too, and feeds rectangles.

# %% [markdown] id="02-e2e-1"
# ## End to end
#
# 25200 candidates are not an answer: the same object is proposed by many of them. *Non-maximum suppression*
# (NMS) keeps the best-scored box and drops those that overlap it too much, again and again. ONNX has an
# operator for it, so it can live in the file, and whoever loads the file cannot get it wrong. `add_nms`
# appends it, and reports what it did:

# %% id="02-e2e-patch"
import onnx

from helpers.patches.nms import add_nms

result = add_nms(raw, iou_threshold=0.65, score_threshold=0.35, max_detections=100)
print(*result.report, sep="\n")
onnx.save(result.model, model.files.end2end)

# %% [markdown] id="02-e2e-2"
# The new output is `[M, 7]`: one row per box that is left, and `M` differs from picture to picture. The
# columns are the picture's number in the batch, the corners `x0, y0, x1, y1`, the class and the score.

# %% id="02-e2e-run"
found = run(model.files.end2end, images.numpy())
print("output", list(found.shape))
heads = ("picture", "x0", "y0", "x1", "y1", "class", "score")
best_rows = found[np.argsort(-found[:, 6], kind="stable")][:5]
print(Table(heads, tuple((*(round(float(v)) for v in line[:6]), f"{line[6]:.2f}") for line in best_rows)))

# %% [markdown] id="02-e2e-3"
# Is it the right NMS? `reference_nms` is the plain reading of the algorithm in twenty lines of numpy. Fed
# with the raw predictions, it must keep the same boxes. And then, at last, a look:

# %% id="02-e2e-check"
from helpers import Detections
from helpers.parity import compare_detections, reference_nms

kept = reference_nms(output[0])
in_graph, in_numpy = (Detections.from_rows(table[:, [1, 2, 3, 4, 6, 5]]) for table in (found, kept))
parity = compare_detections(in_graph, in_numpy)
print(f"{len(in_graph)} boxes in the graph, {len(in_numpy)} in numpy, {parity.matched} of them the same")
print("corners equal to 0.05 px:", parity.worst_corner_px < 0.05)
caption = f"{picture.name}: {in_graph.summary(fused.names)}"
show(draw(box.image_bgr, in_graph, fused.names), caption, width=520, quality=80)

# %% id="02-e2e-record"
call = "add_nms(iou_threshold=0.65, score_threshold=0.35, max_detections=100, class_offset=None)"
manifest.record(model.files.end2end, call=call, sources=[model.files.raw])
print(course.relative(model.files.end2end), "is", manifest.state(model.files.end2end))

# %% [markdown] id="02-score-1"
# ## The score threshold
#
# Thresholds are parameters of `add_nms`; the values above are the official exporter's. Once in the graph,
# they are fixed: nobody downstream can get back a box that the graph has dropped. How much does the choice
# matter? A box that scores more is never dropped because of one that scores less, so one run at a very low
# threshold, cut off at each value, tells the whole curve:

# %% id="02-score-figure"
thresholds = np.linspace(0.05, 0.95, 37)
curves = {}
for each in model.pictures(3):
    tensor = to_tensor(letterbox(each.image_bgr, model.size_wh).image_bgr)
    table = reference_nms(run(model.files.raw, tensor)[0], score_threshold=0.05, max_detections=300)
    curves[each.name] = [int((table[:, 6] > value).sum()) for value in thresholds]
chart = charts.lines(
    thresholds, curves, title="Boxes left, by score threshold", x_label="score threshold", y_label="boxes"
)
chart.axes[0].axvline(0.35, color="#888888", linewidth=1, linestyle="--")
chart.axes[0].set_ylim(bottom=0)
charts.present(chart, "at 0.35: " + ", ".join(f"{name} {curve[12]}" for name, curve in curves.items()))

# %% [markdown] id="02-score-2"
# Where the curve is flat, the model is sure of itself and the exact threshold hardly matters; where it
# falls steeply, you trade missed cells for false ones. The dashed line is 0.35.

# %% [markdown] id="02-iou-1"
# ## The IoU threshold
#
# *Intersection over union* says how much two boxes overlap, from 0 (not at all) to 1 (the same box). Above
# the threshold the worse one goes. Too low, and one of two cells that touch disappears; too high, and one
# cell keeps several boxes. A graph for each value, the same picture through all of them:

# %% id="02-iou-figure"
from helpers import Detector

seen, captions = [], []
for iou in (0.1, 0.65, 0.95):
    graph = add_nms(raw, iou_threshold=iou).model
    boxes = Detector(graph.SerializeToString()).detect(picture.image_bgr)
    seen.append(draw(picture.image_bgr, boxes, fused.names, scores=False))
    captions.append(f"IoU {iou}: {len(boxes)} boxes")
show(side_by_side(*seen, captions=captions, cell_width=300), quality=80, alt="; ".join(captions))
print(*captions, sep="; ")

# %% [markdown] id="02-offset-1"
# ## The class offset trap
#
# ONNX's operator can treat classes apart, but the official exporter gives it a single class and uses a
# trick: it moves every box by `class × 640` pixels before the NMS, so that boxes of different classes
# cannot meet. **Can they not?** A box may reach beyond the picture: the network is free to complete what
# the edge cuts off.
# Here are two boxes in opposite corners, of two classes, in a graph of one node. With an offset of 640, one
# of them is lost:

# %% id="02-offset-run"
two = np.array([[[680, 680, 160, 160, 0.9, 1, 0], [40, 40, 160, 160, 0.8, 0, 1]]], np.float32)
bare = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
    bare (float[1, 2, 7] images) => (float[1, 2, 7] output) { output = Identity(images) }""")
for offset in (640.0, None):
    graph = add_nms(bare, class_offset=offset).model.SerializeToString()
    left = run(graph, two)
    print(f"class_offset={offset}: {len(left)} of 2 boxes left, classes {left[:, 5].astype(int).tolist()}")

# %% [markdown] id="02-offset-2"
# The drawing shows why. Class 1 is moved by 640 to the right and down, and lands exactly on the box of
# class 0 that hangs over the picture's lower right corner. Our default (`class_offset=None`) measures in
# the graph how far all boxes reach, and moves the classes apart by more than that.

# %% id="02-offset-figure"
from matplotlib.patches import Rectangle

chart, axes = charts.figure("Class 1, moved by 640 px, lands on class 0", (5.6, 4.9))
ink, blue, orange = "#22303c", *charts.PALETTE[:2]
for corner, side, colour, style in [
    (0, 640, ink, "-"), (600, 160, blue, "-"), (-40, 160, orange, "-"), (606, 148, orange, "--"),
]:  # fmt: skip
    look = {"fill": False, "edgecolor": colour, "linestyle": style, "linewidth": 2.2}
    axes.add_patch(Rectangle((corner, corner), side, side, **look))
for x, y, text, colour in [
    (390, 40, "the picture", ink), (490, 700, "class 0", blue), (135, 40, "class 1", orange),
    (60, 400, "moved by 1 x 640 px", orange),
]:  # fmt: skip
    axes.text(x, y, text, color=colour, fontsize=10)
axes.annotate("", (600, 600), (125, 125), arrowprops={"arrowstyle": "->", "color": orange, "linewidth": 1.5})
axes.set(xlim=(-90, 800), ylim=(800, -90), aspect="equal")
charts.present(chart, "class 0 at 600..760; class 1 at -40..120, moved by 640: 600..760")

# %% [markdown] id="02-summary"
# ## Summary
#
# - A `.pt` is a program. We read it as data, and refuse what it should not ask for.
# - The layer table in the checkpoint is the network; fusing makes it smaller and leaves its numbers alone.
# - `<model>.onnx`: `images [1, 3, 640, 640]` to `output [1, 25200, 5 + C]`, one row per anchor and cell.
# - `<model>-end2end.onnx`: NMS in the graph, `[M, 7]`; the thresholds are chosen when the graph is made.
# - Each step was compared with the one before, in pixels and in scores.
#
# For an engineer in a hurry, all of this is `python -m helpers convert best.pt`.

# %% id="02-result"
for kind in ("raw", "end2end"):
    course.need(model, kind)

# %% [markdown] id="02-ex-1"
# ## Exercises
#
# **1.** How many candidate rows does a YOLOv7 with strides 8, 16 and 32 and three anchors per cell give for
# an input of 416 × 416 pixels?

# %% id="02-ex-1-check"
answer = ...  # your answer: a whole number
_ = exercises.check("02", 1, answer)

# %% [markdown] id="02-ex-2"
# **2.** Write the decoding of one candidate: `decode(t, cell_xy, stride, anchor_wh)` takes four logits `t =
# (tx, ty, tw, th)`, the cell `(column, row)`, the stride and the anchor `(w, h)`, and returns the
# **corners** `(x0, y0, x1, y1)` in pixels.

# %% id="02-ex-2-check"
decode = ...  # your answer: a function
_ = exercises.check("02", 2, decode)

# %% [markdown] id="02-ex-3"
# **3.** Make an end-to-end graph for pictures 320 pixels wide and 256 high that reports at most 20 boxes,
# all scoring above 0.5. Hand in the ONNX model (not a path). `fused`, `export_onnx` and `add_nms` are all
# you need.

# %% id="02-ex-3-check"
small_graph = ...  # your answer: an onnx.ModelProto
_ = exercises.check("02", 3, small_graph)

# %% [markdown] id="02-next"
# Stuck? The [solutions](solutions/02_export.ipynb) are executed notebooks, too.
#
# Next: [03 · Inspect](03_inspect.ipynb)
