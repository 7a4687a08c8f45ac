# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="10-title"
# # 10 · When it breaks
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/10_when_it_breaks.ipynb) · English · [简体中文](zh-CN/10_when_it_breaks.ipynb)
#
# Ten failures that people really meet between a checkpoint and a box, each with a thread somewhere on the
# web in which somebody asks for help. Here you break things on purpose, read what is said (or notice that
# nothing is said, which is worse), and cure it in the next cell. Afterwards an error is something you read
# from its last line, and a wrong picture something you can measure.
#
# > **You need** lesson 04's files (made for you if they are missing); about 10 seconds on two cores.
# >
# > **You get** a table of symptoms, and a handful of small functions that ask a broken detector what is
# > wrong.

# %% [markdown] id="10-contents"
# ## Contents
#
# Failures that say something:
#
# - [PyTorch refuses the checkpoint](#PyTorch-refuses-the-checkpoint)
# - [A flag that is gone](#A-flag-that-is-gone)
# - [An engine from elsewhere](#An-engine-from-elsewhere)
# - [A name where a number should be](#A-name-where-a-number-should-be)
#
# Failures that keep silent:
#
# - [Success, said the exporter](#Success,-said-the-exporter)
# - [class0, class1, class2](#class0,-class1,-class2)
# - [Boxes that are off](#Boxes-that-are-off)
# - [Neighbours vanish in FP16](#Neighbours-vanish-in-FP16)
# - [The GPU that was not used](#The-GPU-that-was-not-used)
# - [Nothing found](#Nothing-found)
#
# And then:
#
# - [The calm reader's table](#The-calm-reader's-table)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="10-colab" tags=["colab"]
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

# %% id="10-model"
import numpy as np
import onnx
import onnxruntime
import torch

from helpers import Detections, Detector, course, draw, images, show
from helpers.course import charts, exercises, failures
from helpers.drawing import grid
from helpers.table import Table

model = course.pick_model()
path = course.need(model, "ultralytics")
full = onnx.load(path)
picture = model.pictures(1)[0]
here = model.folder / "lesson-10"
here.mkdir(exist_ok=True)

# %% [markdown] id="10-how"
# Errors are shown through `failures.told`, which keeps the kind and the message and leaves out the folders
# of this machine. Read an error from its **last** line upwards: the kind, the message, and only then who
# called whom.

# %% [markdown] id="10-pickle"
# ## PyTorch refuses the checkpoint
#
# Here is a `best.pt` as the official repository writes one, with our weights in it: a pickle of the whole
# model, so it *names* classes of that repository. And this is the first thing that happens to it today:

# %% id="10-pickle-code"
import pickle
import re

best = here / "best.pt"
failures.save_official(model.load(), best)
try:
    torch.load(best)
except pickle.UnpicklingError as error:
    print(failures.told(error, 70))
    print("what it trips over:", re.search(r"GLOBAL ([\w.]+)", str(error))[1])

# %% [markdown] id="10-pickle-why"
# **Why.** Since release 2.6 PyTorch reads tensors and little else, because a pickle may run any code. The
# message goes on to recommend `weights_only=False`. Do that only with a file whose whole history you know;
# it also needs modules called `models` and `utils`, which you would have to have
# ([the thread](https://github.com/WongKinYiu/yolov7/pull/2115)).
#
# **Cure.** Read it as data. Nothing of the file runs, and every number is there
# ([lesson 02](02_export.ipynb#A-hostile-file)). On the command line: `python -m helpers convert best.pt`.

# %% id="10-pickle-cure"
from helpers import load_checkpoint

checkpoint, mine = load_checkpoint(best), model.load().state_dict
same = all(torch.equal(checkpoint.state_dict[name], tensor) for name, tensor in mine.items())
print("classes:", ", ".join(checkpoint.names[:5]))
print(f"{len(checkpoint.state_dict)} tensors, the same as were written: {same}")

# %% [markdown] id="10-pickle-next"
# *Next time:* `UnpicklingError` is about trust, `ModuleNotFoundError: No module named 'models'` about a
# class that the file names. Neither says that the file is broken.

# %% [markdown] id="10-flag"
# ## A flag that is gone
#
# Scripts for TensorRT live long and get copied. On TensorRT 11 most of them end like this:
#
# ```
# AttributeError: type object 'tensorrt_bindings.tensorrt.BuilderFlag' has no attribute 'FP16'
# ```
#
# To find that out you need neither a GPU nor TensorRT, only the list of names that each release has. This
# course carries it for two (`stubs/`), so a script can be asked before it is run:

# %% id="10-flag-code"
script = """
builder = trt.Builder(trt.Logger(trt.Logger.WARNING))
network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
config = builder.create_builder_config()
config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 4 << 30)
config.set_flag(trt.BuilderFlag.FP16)
config.int8_calibrator = trt.IInt8EntropyCalibrator2()
"""
for version in ("10.16", "11.4"):
    print(f"TensorRT {version} lacks:", *failures.gone(script, version) or ["nothing"], sep="\n    ")

# %% [markdown] id="10-flag-real"
# Where TensorRT is installed, ask that one (a reader's own script goes through the same function):

# %% id="10-flag-real-code"
from helpers.engine import EngineError, require_tensorrt

try:
    require_tensorrt("this cell")
    import tensorrt

    print("yours lacks:", *failures.gone(script, tensorrt) or ["nothing"], sep="\n    ")
except EngineError:
    print("not run:", "no TensorRT" if torch.cuda.is_available() else "no CUDA device")

# %% [markdown] id="10-flag-why"
# **Why.** The flag did not move, it became pointless: in TensorRT 11 each value has the type that the graph
# gives it ([lesson 05](05_build_engine.ipynb#Precision-is-in-the-graph)).
#
# **Cure.** Put FP16 into the graph, leave the flags out. `build_engine` is written so, and its source has no
# name that either release lacks:

# %% id="10-flag-cure"
import inspect

from helpers import engine_build
from helpers.patches.half import to_half

half = to_half(full).model
smaller = len(half.SerializeToString()) / len(full.SerializeToString())
print(f"FP16 in the graph, {smaller:.0%} of the size")
source = inspect.getsource(engine_build)
for version in ("10.16", "11.4"):
    print(f"TensorRT {version:5} lacks:", ", ".join(failures.gone(source, version)) or "nothing")

# %% [markdown] id="10-flag-next"
# *Next time:* an `AttributeError` on a *library's* name means another release than the script was written
# for. Look for what replaced the name, not for the old release.

# %% [markdown] id="10-engine"
# ## An engine from elsewhere
#
# TensorRT's own words, from [one of many threads](https://github.com/wang-xinyu/tensorrtx/issues/664):
#
# ```
# ERROR: 6: The engine plan file is not compatible with this version of TensorRT,
#           expecting library version 8.0.0 got 8.0.1, please rebuild.
# ```
#
# Programs that do not look at what came back then stop one line later, with `'NoneType' object has no
# attribute 'create_execution_context'`. Our engines say in their header who made them, so the question can
# be asked before TensorRT is. Here is a **stand-in**: a true header, and text where the plan would be.

# %% id="10-engine-code"
from helpers.engine_header import check_origin, pack_header, read_header, read_plan
from helpers.patches.metadata import read_metadata

plan = b"a stand-in: this is no plan"
made = {"platform": "linux", "tensorrt": "10.16.1.11", "gpu": "NVIDIA A10, compute capability 8.6"}
engine = here / "stand-in.engine"


def write_engine(**more):
    header = read_metadata(full) | {"made_by": made | {"plan_bytes": len(plan)} | more}
    engine.write_bytes(pack_header(header) + plan)


write_engine()
for key, value in read_header(engine)["made_by"].items():
    print(f"{key:10} {value}")

# %% id="10-engine-where"
where = {
    "where it was built": {},
    "after an update of TensorRT": {"tensorrt": "11.4.0.106"},
    "in a machine with another GPU": {"gpu": "compute capability 9.0"},
    "on Windows": {"platform": "win32"},
}
built = {"platform": "linux", "tensorrt": "10.16.1.11", "gpu": "compute capability 8.6"}
for what, differs in where.items():
    try:
        check_origin(engine, built | differs)
        print(f"{what}: goes on to TensorRT")
    except EngineError as refusal:
        print(f"{what}: refused\n    {str(refusal).partition(': ')[2].partition('. An')[0]}")

# %% [markdown] id="10-engine-why"
# **Why.** A plan is compiled for one release, one kind of GPU, one system
# ([lesson 05](05_build_engine.ipynb#What-an-engine-is)). It is not damaged; it is somebody else's.
#
# **Cure.** Carry the `.onnx` file and build where it will run: `python -m helpers build best.pt`. Where that
# cannot be, `build_engine(…, version_compatible=True)` makes an engine that later releases load, a little
# slower. And if a file really is damaged, say a copy that stopped halfway, that has words of its own:

# %% id="10-engine-cure"
write_engine(version_compatible=True)
check_origin(engine, {"tensorrt": "11.4.0.106"})
print("version_compatible, after an update of TensorRT: goes on to TensorRT")
engine.write_bytes(engine.read_bytes()[:-9])
try:
    read_plan(engine)
except EngineError as error:
    print(failures.told(error))

# %% [markdown] id="10-engine-next"
# *Next time:* write down next to an engine what built it. `read_header(path)["made_by"]` does.

# %% [markdown] id="10-open"
# ## A name where a number should be
#
# The end-to-end graph says `[detection_count, 7]`. Two programs that want a number there, and what they say:

# %% id="10-open-code"
import os

os.environ["YOLO_VERBOSE"] = "False"  # Ultralytics otherwise logs versions and timings
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from ultralytics import YOLO

from helpers.patches.metadata import write_metadata

stride = read_metadata(full)["stride"]
end2end = onnx.load(course.need(model, "end2end"))
open_path = here / "open.onnx"
onnx.save(write_metadata(end2end, names=model.names, stride=stride).model, open_path)
try:
    YOLO(open_path, task="detect").predict(picture.image_bgr, device="cpu", verbose=False)
except InvalidArgument as error:
    print("Ultralytics:", re.search(r"Got: \d+ Expected: \d+", str(error))[0])
try:
    session = onnxruntime.InferenceSession(open_path, providers=["CPUExecutionProvider"])
    np.empty(session.get_outputs()[0].shape, np.float32)
except TypeError as error:
    print("a buffer for the output:", failures.told(error))

# %% [markdown] id="10-open-why"
# **Why.** Neither complains about what is wrong. Ultralytics takes a name in the first place as a sign that
# *everything* may vary, cuts the picture to a rectangle, and the network, which wants its square, refuses
# the *input*. The second program (and TensorRT, and any code that binds memory before it runs) wants to know
# how much room the answer needs.
#
# **Cure.** The surgery: always 100 rows ([lesson 04](04_patch.ipynb#Edit-4:-always-100-rows)).
# `python -m helpers patch model.onnx` does it to a file.

# %% id="10-open-cure"
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
room = np.empty(session.get_outputs()[0].shape, np.float32)
result = YOLO(path, task="detect").predict(picture.image_bgr, device="cpu", verbose=False)[0]
print("room for", room.shape, "and Ultralytics finds", len(result.boxes), "boxes")

# %% [markdown] id="10-open-next"
# *Next time:* when a size is off by a picture's shape (480 for 640), look at the
# *output's* first dimension: `graph.io_table(model)`, [lesson 03](03_inspect.ipynb).

# %% [markdown] id="10-success"
# ## Success, said the exporter
#
# From here on nothing is said at all. First, an exporter with the manners of the official one: whatever goes
# wrong is caught, a line is printed, and the script goes on. What fails in this one is a real export: the
# network takes another way depending on what it computed, which a graph cannot. In the folder lies
# yesterday's `best.onnx`, of an earlier training.

# %% id="10-success-code"
import subprocess
import sys

raw_path = course.need(model, "raw")
yesterday = onnx.load(raw_path)
weight = next(tensor for tensor in yesterday.graph.initializer if len(tensor.dims) == 4)
weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 0.5, weight.name))
onnx.save(yesterday, here / "best.onnx")
(here / "export.py").write_text("""
import torch
class Network(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.max() > 0 else x
try:
    torch.onnx.export(Network(), (torch.zeros(1, 3, 8, 8),), "best.onnx", verbose=False)
    print("ONNX export success, saved as best.onnx")
except Exception as error:
    print(f"ONNX export failure: {error}")
print("Export complete")
""")
command = [sys.executable, "export.py"]
done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)

# %% id="10-success-said"
said = done.stdout.strip().splitlines()
failed = next(line for line in said if line.startswith("ONNX export"))
print(f"{failed[:62]} ...", "...", said[-1], sep="\n")
print("exit code:", done.returncode)
print("best.onnx is there:", (here / "best.onnx").is_file())

# %% [markdown] id="10-success-why"
# **Why.** The last line is printed whatever happened, the exit code is 0, and a file is there: a build script
# has no way to know ([people ask](https://github.com/WongKinYiu/yolov7/issues/1333), and
# [elsewhere](https://github.com/ultralytics/yolov5/issues/9630)). The official exporter fails in another
# place on current packages, and ends the same way.
#
# **Cure.** Believe the file, not the message. Remove the old one first. Then ask three questions: is it
# there, is it a valid graph, does it give PyTorch's numbers?

# %% id="10-success-cure"
from helpers import build_network
from helpers.network import fuse
from helpers.session import DetectorError, open_session

tensor = images.to_tensor(images.letterbox(picture.image_bgr, model.size_wh).image_bgr)
with torch.inference_mode():
    expected = fuse(build_network(model.load())).eval()(torch.from_numpy(tensor)).numpy()


def wrong_with(path):
    """What is wrong with an exported file; nothing, if it is empty."""
    try:
        session = open_session(path, providers="cpu")
        onnx.checker.check_model(path, full_check=True)
    except (DetectorError, onnx.checker.ValidationError) as error:
        return str(error).partition(": ")[2].partition(" (")[0]
    apart = np.abs(session.run(None, {"images": tensor})[0] - expected)
    good = apart[..., :4].max() < 0.05 and apart[..., 4:].max() < 1e-4
    return "" if good else "valid, but not this network's numbers"


# %% id="10-success-table"
(here / "page.onnx").write_text("<!DOCTYPE html><title>Not found</title>")
cases = {
    "no file": here / "none.onnx", "a web page": here / "page.onnx",
    "yesterday's": here / "best.onnx", "lesson 02's": raw_path,
}  # fmt: skip
lines = [(what, wrong_with(file) or "-") for what, file in cases.items()]
print(Table(("file", "wrong with it"), tuple(lines)))

# %% [markdown] id="10-success-next"
# *Next time:* a tool that may be trusted fails with an exit code and leaves no file.
# [`export_onnx`](02_export.ipynb#Export) makes these checks before it writes anything.

# %% [markdown] id="10-names"
# ## class0, class1, class2
#
# A graph knows numbers; names live beside it, in the file's metadata. Many tools rebuild a file from its
# graph and forget what lay beside it. It is quickly done:

# %% id="10-names-code"
versions = {"opset_imports": full.opset_import, "ir_version": full.ir_version}
rebuilt = onnx.helper.make_model(full.graph, **versions)
onnx.save(rebuilt, here / "rebuilt.onnx")
names = YOLO(here / "rebuilt.onnx", task="detect").names
print("before:", read_metadata(full)["names"])
print(f"after:  {len(names)} names:", ", ".join(names[number] for number in range(3)), "...")

# %% [markdown] id="10-names-why"
# **Why.** Ultralytics makes up 999 names rather than stop. The boxes are right. What else was lost makes more
# trouble: `args` with `nms: True` ([lesson 04](04_patch.ipynb#Names:-the-metadata)).
#
# **Cure.** Write the metadata again. The graph stays as it is. For a file:
# `python -m helpers patch model.onnx --names RBC,WBC,Platelets`.

# %% id="10-names-cure"
renamed = write_metadata(rebuilt, names=model.names, stride=stride).model
onnx.save(renamed, here / "renamed.onnx")
yolo = YOLO(here / "renamed.onnx", task="detect")
result = yolo.predict(picture.image_bgr, device="cpu", verbose=False)[0]
found = Detections.from_rows(result.boxes.data.cpu().numpy())
print("Ultralytics:", found.summary([*result.names.values()]))
print("the graph is the same:", renamed.graph == full.graph)

# %% [markdown] id="10-names-next"
# *Next time:* after every tool that touched a file, `read_metadata(onnx.load(path))`. And mind the order:
# names sorted by the alphabet look fine and are wrong on every box.

# %% [markdown] id="10-off"
# ## Boxes that are off
#
# The picture goes into the network's square through a letterbox, so boxes come out in the square's pixels.
# Three programs bring them back, each with one mistake, on a picture that is not square. All three
# print scores as good as they should be.

# %% id="10-off-code"
detector = Detector(path, providers="cpu")
width, height = picture.size_wh
part_bgr = picture.image_bgr[: height * 3 // 4, : width * 3 // 4].copy()
box = images.letterbox(part_bgr, detector.size_wh)
square = detector.detect(box.image_bgr)
if not len(square):  # another model may find nothing here: one box by hand
    square = Detections([[100, 200, 300, 400]], [1], [0])
right = box.boxes_to_picture(square.boxes_xyxy)
sides = np.array([*box.picture_wh] * 2) / np.array([*box.size_wh] * 2)
programs = {
    "no way back": square.boxes_xyxy,
    "grey left in": square.boxes_xyxy / box.scale,
    "taken for stretched": square.boxes_xyxy * sides,
}
print(f"picture {box.picture_wh}, scale {box.scale:.2f}, grey left and above {box.pad_xy}")

# %% id="10-off-figure"
names = ("should be", "is")
panels = [draw(part_bgr, Detections(right, square.scores, [0] * len(right)), names, scores=False)]
for boxes in programs.values():
    both = np.vstack([right, boxes]), [*square.scores] * 2, [0] * len(right) + [1] * len(right)
    panels.append(draw(part_bgr, Detections(*both), names, scores=False))
captions = ["as it should be", *programs]
sheet = grid(panels, columns=2, cell_width=440, captions=captions)
show(sheet, quality=76, alt="; ".join(captions))
print(len(right), "boxes in each of", len(panels), "pictures")

# %% [markdown] id="10-off-measure"
# **Why?** You need not guess from the picture. Each mistake is a scale and a shift, and `failures.drift`
# measures them from a few pairs of boxes: yours, and those of a program you trust (`Detector`, or two boxes
# that you drew by hand).

# %% id="10-off-drift"
rows = []
for what, boxes in programs.items():
    lies = failures.drift(boxes, right)
    scale, shift = (" ".join(f"{v:.2f}" for v in pair) for pair in (lies.scale_xy, lies.shift_xy))
    rows.append((what, scale, shift, lies.worst_px < 0.5))
Table(("program", "scale x y", "shift x y, px", "explains all"), tuple(rows))

# %% [markdown] id="10-off-read"
# Read it like this. A shift that is the grey, and the letterbox's scale: no way back. Scale 1, and a shift
# that is the grey *divided by the scale*: scaled, but not shifted. A scale that differs between the axes:
# somebody thought of a stretched picture. Nothing explains it: another picture, another order of
# coordinates, or centre and size taken for corners.
#
# **Cure.** Subtract the grey, then divide by the scale ([lesson 06](06_detect.ipynb#Into-the-square-and-back));
# or put the way back [into the graph](06_detect.ipynb#The-picture-into-the-graph), where nobody forgets it.

# %% id="10-off-cure"
cured = (square.boxes_xyxy - (*box.pad_xy, *box.pad_xy)) / box.scale
print("off by at most one pixel:", np.abs(cured - right).max() < 1)

# %% [markdown] id="10-off-next"
# *Next time:* test with a picture that is *not* square. On a square one of 640 × 640 all four agree.
# ([One thread](https://github.com/WongKinYiu/yolov7/issues/1931), and
# [another](https://github.com/WongKinYiu/yolov7/issues/679).)

# %% [markdown] id="10-half"
# ## Neighbours vanish in FP16
#
# A model of 80 classes, put in half precision from end to end, loses boxes of some classes and doubles
# others. Not the classes that were trained badly: those with *high numbers*. The NMS moves the boxes of class
# `c` by `c × 640` px, and in FP16 the numbers out there are far apart. We take the official NMS (our own
# offset is different, the effect is not) and let one value pass through FP16, the boxes moved apart:

# %% id="10-half-code"
from helpers.course.exercises.lesson_10 import through_half
from helpers.patches.nms import add_nms

four = [[145, 123, 176, 149], [156, 125, 187, 151], [216, 117, 236, 139], [218, 118, 239, 141]]
named = dict(zip((0.9, 0.8, 0.7, 0.6), ("A", "B", "C", "C again"), strict=True))
bare = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
    bare (float[1, 4, 85] images) => (float[1, 4, 85] output) { output = Identity(images) }""")
exact = add_nms(bare, class_offset=640.0).model
coarse = through_half(exact, "nms/apart")


def survivors(graph, number):
    """Who is left of the four, when they are of class `number`."""
    rows = np.zeros((1, 4, 85), np.float32)
    for row, (x0, y0, x1, y1), score in zip(rows[0], four, named, strict=True):
        row[:5], row[5 + number] = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, score), 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return [named[round(float(row[6]), 1)] for row in session.run(None, {"images": rows})[0]]


kept = {number: survivors(coarse, number) for number in (0, 12, 30, 79)}
for number, left in kept.items():
    true = ", ".join(survivors(exact, number))
    print(f"class {number:2}: FP32 keeps {true}; FP16 keeps {', '.join(left)}")

# %% [markdown] id="10-half-see"
# A and B are neighbours, C was found twice. What the NMS sees of them, class by class, on the grid that FP16
# has out there:

# %% id="10-half-figure"
from helpers.course.failures_view import nms_chart

wrong = sum(survivors(coarse, number) != survivors(exact, number) for number in range(80))
charts.present(nms_chart(four, [*named.values()], kept), f"wrong for {wrong} of 80 classes")

# %% [markdown] id="10-half-why"
# **Why.** FP16 has 11 binary digits. Between 16384 and 32768 that is a step of 16 px, beyond it 32 px
# ([lesson 05](05_build_engine.ipynb#Why-the-tail-stays-in-FP32) shows it on a whole picture). On the grid A and
# B become one box, so B goes. Both Cs become points: points overlap with nothing, so both stay.
#
# **Cure.** Half precision for the convolutions, FP32 for decoding and NMS: `to_half` does that. For a file
# that somebody else made, follow the boxes upwards from the NMS, past every `Cast`, and look at their type:

# %% id="10-half-cure"
from helpers.patches.half_plan import types_of


def before_nms(graph):
    """The type in which the boxes were computed that the NMS compares."""
    kinds, made = types_of(graph), {name: node for node in graph.graph.node for name in node.output}
    value = next(node.input[0] for node in graph.graph.node if node.op_type == "NonMaxSuppression")
    while made[value].op_type == "Cast":
        value = made[value].input[0]
    return onnx.TensorProto.DataType.Name(kinds[value])


wrong = to_half(full, tail=True).model  # a wrong graph, made for such tests
for what, graph in (("in half from end to end", wrong), ("to_half", half)):
    print(f"{what}: boxes computed in {before_nms(graph)}")

# %% [markdown] id="10-half-next"
# *Next time:* look at results class by class. If the trouble grows with the class's *number*, it is no
# matter of training.

# %% [markdown] id="10-gpu"
# ## The GPU that was not used
#
# Everything works, much slower than it should. The program asked for the GPU:

# %% id="10-gpu-code"
import warnings

quiet = onnxruntime.SessionOptions()
quiet.log_severity_level = 4
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    session = onnxruntime.InferenceSession(path, quiet, providers=["CUDAExecutionProvider"])
print("asked for CUDAExecutionProvider, no error, running on", session.get_providers()[0])

# %% [markdown] id="10-gpu-why"
# **Why.** ONNX Runtime is polite: what it cannot have, it does without. There is a warning, which scrolls
# away (here we hid it), and no error. The usual reasons are `onnxruntime` installed over `onnxruntime-gpu`,
# and a CUDA or cuDNN of another version
# ([a thread](https://github.com/microsoft/onnxruntime/issues/23372)).
# `onnxruntime.get_available_providers()` proves nothing: it lists what was *built in*.
#
# **Cure.** Ask the session. `Detector` does, and refuses:

# %% id="10-gpu-cure"
try:
    print("running on", Detector(path, providers="cuda").provider)
except DetectorError as refusal:
    advice = "use providers='cpu'"  # the message has more, and depends on the machine
    print("refused, and told to", advice if advice in str(refusal) else refusal)

# %% [markdown] id="10-gpu-next"
# *Next time:* print `session.get_providers()[0]` (or `detector.provider`) in the first line of every
# program's log.

# %% [markdown] id="10-empty"
# ## Nothing found
#
# The hardest one, because *no boxes* is a valid answer. Eight programs run our file on a picture in which
# `Detector` finds plenty (the eighth on another). Each makes an input and reads the rows in its own way:

# %% id="10-empty-code"
rgb = images.letterbox(picture.image_bgr, model.size_wh).image_bgr[:, :, ::-1] / np.float32(255)
blank = np.full_like(picture.image_bgr, 230)


def above(least, column=4):
    """A way to read rows `[100, 6]`: those whose score, taken from a column, is above a limit."""
    return lambda rows: rows[rows[:, column] > least]


programs = {
    "1": (tensor / np.float32(255), above(0.35)),
    "2": (np.rint(tensor * 255).astype(np.uint8).astype(np.int8) / np.float32(255), above(0.35)),
    "3": (np.ascontiguousarray(rgb).reshape(tensor.shape), above(0.35)),
    "4": (tensor * np.float32(255), above(0.35)),
    "5": (tensor[:, ::-1], above(0.35)),
    "6": (tensor, above(35)),
    "7": (tensor, above(2.5, column=5)),
    "8": (images.to_tensor(images.letterbox(blank, model.size_wh).image_bgr), above(0.35)),
}
session = open_session(path, providers="cpu")
answers, boxes = {}, {}
for name, (x, read) in programs.items():
    answers[name] = session.run(None, {"images": np.ascontiguousarray(x)})[0][0]
    boxes[name] = len(read(answers[name]))
print("boxes:", boxes)


# %% [markdown] id="10-empty-look"
# The first thing to do costs one line: *look at what the network sees*. Turn the tensor back into a picture.

# %% id="10-empty-figure"
def as_seen(x):
    """A tensor `[1, 3, H, W]`, RGB in 0 to 1, as a picture; what is beyond is cut off."""
    seen = (x[0].clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)[:, :, ::-1].copy()
    seen[[0, 1, -2, -1], :] = seen[:, [0, 1, -2, -1]] = 150  # a frame
    return seen


tiles = [as_seen(x) for x, _ in programs.values()]
captions = [f"{name}: {count} boxes" for name, count in boxes.items()]
sheet = grid(tiles, columns=4, cell_width=215, captions=captions)
show(sheet, quality=72, alt="what the network sees in eight programs")
fine = [name for name, (x, _) in programs.items() if np.array_equal(x, tensor)]
print("programs whose input is right:", ", ".join(fine))

# %% [markdown] id="10-empty-how"
# **Why?** Go from the outside in, and let each step be a computation. Is the input what it should be? If not,
# `failures.input_mistakes` undoes known mistakes, alone and in pairs, until it is. If it is right: are there
# rows in the graph's answer? Then they are lost in reading. If there are none: how sure was the network
# before the NMS? Nearly sure means a threshold; nothing at all, an empty picture (or weights that never
# learned).

# %% id="10-empty-cure"
raw = open_session(raw_path, providers="cpu")


def why_empty(x, read, rows, image_bgr):
    """What stands between a picture and its boxes, from the outside in."""
    if (mistakes := failures.input_mistakes(x, image_bgr, model.size_wh)) != []:
        return "input: " + " and ".join(mistakes or ["none of the known mistakes"])
    filled = int((rows[:, 4] > 0).sum())
    if filled > len(read(rows)):
        return f"reading: the graph gives {filled} boxes, {len(read(rows))} of them are left"
    guesses = raw.run(None, {"images": x})[0][0]
    classes = guesses[:, 5:].max(1) if guesses.shape[1] > 6 else 1
    sure = float((guesses[:, 4] * classes).max())
    return "nothing wrong" if filled else f"picture: before the NMS the best score is {sure:.2f}"


pictures = dict.fromkeys(programs, picture.image_bgr) | {"8": blank}
lines = []
for name, (x, read) in programs.items():
    lines.append((name, boxes[name], why_empty(x, read, answers[name], pictures[name])))
Table(("program", "boxes", "why"), tuple(lines))

# %% [markdown] id="10-empty-read"
# Program 1 divides what its picture reader had divided already; 2 keeps bytes in a type with a sign. Programs
# 3 to 5 do not even look empty. Pixels in the wrong places (3) still give a box or two. Values up to
# 255 (4) drive the network out of all it knows, and it sees things everywhere, 100 of them because there are
# 100 slots. With red and blue exchanged (5) nearly everything is found, this time. Programs 6 and 7 have a perfect input and a perfect
# answer: 6 writes 35 per cent as 35, 7 takes the class for the score
# ([lesson 04](04_patch.ipynb#Edit-2:-the-score-before-the-class)). Program 8 is the only one that is right.
#
# One more, which no input cures: a model with a *single* class. Official training leaves its class score
# untrained, and an exporter that multiplies it in finds nothing
# ([a thread](https://github.com/WongKinYiu/yolov7/issues/360)). `add_nms` takes objectness alone there.
#
# **Cure.** Make the input with `letterbox` and `to_tensor`, or
# [put both into the graph](06_detect.ipynb#The-picture-into-the-graph), and read the rows with `[:, 4] > 0`.
# To be sure of the diagnosis, undo in each wrong input exactly what it names:

# %% id="10-empty-cured"
for name in "12345":
    x, _ = programs[name]
    (mistake,) = failures.input_mistakes(x, picture.image_bgr, model.size_wh)
    undone = np.ascontiguousarray(failures.MISTAKES[mistake](x), np.float32)
    rows = session.run(None, {"images": undone})[0][0]
    print(f"program {name}, cured of {mistake!r}: {(rows[:, 4] > 0).sum()} boxes")

# %% [markdown] id="10-empty-next"
# *Next time:* keep one picture with a known answer beside every program, and run it first.

# %% [markdown] id="10-table"
# ## The calm reader's table
#
# | you see | ask first | section |
# |---|---|---|
# | `Weights only load failed`, `No module named 'models'` | do I trust this file? | [a pickle](#PyTorch-refuses-the-checkpoint) |
# | `has no attribute 'FP16'` | which release was this written for? | [a flag](#A-flag-that-is-gone) |
# | `engine plan file is not compatible`, `'NoneType' object …` | who built it, and where? | [an engine](#An-engine-from-elsewhere) |
# | `Got: 480 Expected: 640`, `'str' object cannot be interpreted` | is the output's size a number? | [a name](#A-name-where-a-number-should-be) |
# | "Export complete", and nothing works | which file is this, and what does it compute? | [an exporter](#Success,-said-the-exporter) |
# | `class0`, `class1` | what does the metadata say? | [names](#class0,-class1,-class2) |
# | good scores, boxes in the wrong place | which scale, which shift? | [a letterbox](#Boxes-that-are-off) |
# | doubles and losses in some classes | in which type does the NMS compare? | [FP16](#Neighbours-vanish-in-FP16) |
# | right, and slow | what does the session run on? | [a provider](#The-GPU-that-was-not-used) |
# | no boxes, or 100 | what does the network see? | [nothing found](#Nothing-found) |
#
# Something else? The [README](../README.md#troubleshooting) has more about setting up, and
# [lesson 00](00_start_here.ipynb#Is-this-machine-ready?) checks the machine.

# %% [markdown] id="10-summary"
# ## Summary
#
# - A message names the place where something became impossible, and that is seldom where it went wrong.
# - Six of these ten say nothing. They are found by comparing: with PyTorch, with `Detector`, with a
#   picture whose answer is known.
# - Believe files and numbers. A message, an exit code and a list of providers are promises.
# - Measure before guessing: two numbers for each axis tell what became of a box, one type what became of an
#   NMS, one picture what a network was fed.
# - Cures belong into the file: names, size, precision and letterbox are all in the graph by now, and what is
#   in the graph cannot be forgotten.

# %% [markdown] id="10-exercises"
# ## Exercises
#
# Replace `...` and run the cell; the check says `right` or gives a hint.
# [Solutions](solutions/10_when_it_breaks.ipynb).
#
# **1. Four patients.** Each is a small detector. Some are ill with what you have read about; say of each:
# `"names"` (its classes have none), `"open"` (its output has no fixed size), `"half"` (its NMS compares boxes
# that went through FP16) or `"healthy"`.

# %% id="10-exercise-1"
from helpers.course.exercises.lesson_10 import patients

print("\n".join(f"{letter}: {len(graph.graph.node)} nodes" for letter, graph in patients().items()))
answer = ...  # such as {"A": "healthy", "B": ..., "C": ..., "D": ...}
_ = exercises.check("10", 1, answer)

# %% [markdown] id="10-exercise-2-task"
# **2. In by one door, out by another.** A colleague's program scales the picture into 640 × 640 and puts it in
# the upper left *corner*, all the grey to the right or below. On the way back it subtracts the grey of a
# letterbox in the *middle*, half on each side, and then divides by the scale. You have only its boxes. Write
# a function that takes them, `[n, 4]` in pixels, and the picture's `(width, height)`, and returns them where
# they belong.

# %% id="10-exercise-2"
answer = ...  # a function: boxes_xyxy, picture_wh -> boxes_xyxy
_ = exercises.check("10", 2, answer)

# %% [markdown] id="10-exercise-3-task"
# **3. Repair it.** `broken()` is a detector with seven columns, but its maker put the score *before* the
# class: picture, x0, y0, x1, y1, score, class. Its length is open and it has no names. Hand in a model that
# Ultralytics reads: `[1, 100, 6]`, with the names RBC, WBC and Platelets, and with every number in its
# column. (`operate` of lesson 04 may help with the first edit.)

# %% id="10-exercise-3"
from helpers.course.exercises.lesson_10 import broken

patient = broken()
answer = ...  # an onnx.ModelProto
_ = exercises.check("10", 3, answer)

# %% [markdown] id="10-next"
# This was the last lesson. You can export, look inside, operate, build, detect, quantise, train and scale
# out, and you know what to do when it breaks.
#
# Back to [00 · Start here](00_start_here.ipynb), with a model of your own; to the
# [README](../README.md#troubleshooting), whose table of troubles leads here; and if you met a failure that is
# not in it, [CONTRIBUTING](../CONTRIBUTING.md) says how to report it.
