# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="00-title"
# # 00 · Start here
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/00_start_here.ipynb) · English · [简体中文](zh-CN/00_start_here.ipynb)
#
# By the end of this page you have seen the finished result: a YOLOv7 detector, cut and stitched into one
# ONNX file (a network written down as a graph of plain operators, which runs without PyTorch), finding the
# cells in a picture of a blood smear. You will know which files lie between a *checkpoint*, the weights as
# training left them, and that picture, which lesson makes which, and how the exercises work.
#
# > **You need** nothing but this repository: no GPU, no network, no downloaded weights. About 10 seconds on
# > two cores.
# >
# > **You get** `build/<model>/` with three ONNX files, and boxes on a picture.

# %% [markdown] id="00-contents"
# ## Contents
#
# - [Is this machine ready?](#Is-this-machine-ready?)
# - [Pick a model](#Pick-a-model)
# - [The finished result, in three cells](#The-finished-result,-in-three-cells)
# - [Is it right?](#Is-it-right?)
# - [The files on the way](#The-files-on-the-way)
# - [The map of the course](#The-map-of-the-course)
# - [How the exercises work](#How-the-exercises-work)
# - [The guides' own example](#The-guides'-own-example)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="00-colab" tags=["colab"]
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

# %% [markdown] id="00-ready-text"
# ## Is this machine ready?
#
# Each line is something the course uses. `missing` comes with the command that cures it; `optional` means
# that the lessons run without it and say which part they left out. Run live, the table also shows the
# versions found, the GPU, TensorRT (NVIDIA's runtime) and Ultralytics (the package that most people run
# YOLO models with); the copy stored here leaves out whatever differs from machine to machine.

# %% id="00-ready"
from helpers import Detector, course, draw, show

course.check()

# %% [markdown] id="00-model-text"
# ## Pick a model
#
# `blood-cells` is the default because it always works: YOLOv7-tiny, node for node, trained by this project
# on blood smears, and its weights lie in `data/`. It knows red blood cells (`RBC`), white blood cells
# (`WBC`) and platelets. The official checkpoints are one click away in the dropdown that JupyterLab shows
# under the next cell (`yolov7-tiny` knows the 80 everyday classes of the COCO data set), or one setting:
# `make run MODEL=yolov7-tiny`. For your own `best.pt`, set `YOLOV7_MODEL` to its path. What you pick in the
# dropdown holds in the other lessons, too.

# %% id="00-model"
model = course.pick_model()
print("classes:", ", ".join(model.names[:5]), "..." if len(model.names) > 5 else "")

# %% [markdown] id="00-result-text"
# ## The finished result, in three cells
#
# **One: the file.** If earlier lessons have not made it yet, it is made now. The line below is its whole
# interface: one RGB picture of 640×640 pixels goes in, a table of 100 rows by 6 columns comes out.
# Everything between the two, the suppression of double boxes included, happens inside the graph.

# %% id="00-file"
path = course.need(model, "ultralytics")

# %% [markdown] id="00-detect-text"
# **Two: the boxes.** A `Detector` takes a picture of any size. It answers with `Detections`: corners in the
# picture's own pixels, a score between 0 and 1, a class. The best five of them:

# %% id="00-detect"
detector = Detector(path, providers="cpu")
picture = model.pictures(6)[-1]
found = detector.detect(picture.image_bgr)
print(f"{picture.name}, {picture.size_wh[0]}x{picture.size_wh[1]} pixels: {found.summary(detector.names)}")
print(found.to_table(detector.names, limit=5))

# %% [markdown] id="00-draw-text"
# **Three: the picture.** A class has the same colour everywhere in the course. Where there are many boxes,
# the frequent classes are named once, in the corner, and counted.

# %% id="00-draw"
show(draw(picture.image_bgr, found, detector.names), f"{picture.name}: what the ONNX file finds", width=760)
print("boxes drawn:", len(found))

# %% [markdown] id="00-truth-text"
# ## Is it right?
#
# A program drew this smear, so it knows where it put every cell. We pair each box found with a drawn cell
# of the same class that it overlaps by half or more (an *intersection over union* of 0.5). What is left
# over on one side was missed; what is left over on the other was invented, or given the wrong class. Cells
# cut off by the edge, or hidden under others, are the hard ones. (Pictures that nobody labelled skip this
# cell.)

# %% id="00-truth"
from helpers import Detections
from helpers.detections import match
from helpers.drawing import side_by_side

if picture.truth is not None:
    boxes, ids = picture.truth.boxes_xyxy, picture.truth.class_ids
    truth = Detections(boxes, [1.0] * len(ids), ids)
    pairs = match(found, truth, 0.5)
    halves = [draw(picture.image_bgr, these, detector.names, scores=False) for these in (truth, found)]
    show(side_by_side(*halves, captions=("drawn", "found")), alt="the smear with boxes drawn, and found")
    print(f"{len(truth)} cells drawn, {len(found)} boxes found, {len(pairs)} of them fit")

# %% [markdown] id="00-files-text"
# ## The files on the way
#
# Three files stand between the checkpoint and the picture, each made from the one before. `manifest.json`
# beside them remembers the shape of each, what made it, and the checksum of what it was made from. So a
# lesson notices when a file is missing or stale, and makes it again.

# %% id="00-files"
from helpers.artifacts import Manifest
from helpers.table import Table

entries, rows = Manifest(model.files.folder).entries(), []
makers = {"raw": "02 Export", "end2end": "02 Export", "ultralytics": "04 Patch"}
for kind, lesson in makers.items():
    file = getattr(model.files, kind).name
    ports = [entries[file][side][0]["shape"] for side in ("inputs", "outputs")]
    rows.append((file, *(f"[{', '.join(map(str, shape))}]" for shape in ports), lesson))
Table(("file", "shape in", "shape out", "made in lesson"), tuple(rows))

# %% [markdown] id="00-shapes-text"
# Read the column *shape out* downwards; it is the story of the course.
#
# - **Raw**: the network lays three grids over the picture, and every square of every grid proposes a few
#   boxes: thousands of rows for one picture. A row is a box (centre, width, height), one number for "is
#   there anything here", and one for each class.
# - **End-to-end**: a non-maximum suppression (NMS) inside the graph keeps the best of overlapping boxes.
#   `detection_count`, or *M* for short, is however many are left: a size that nobody knows before the
#   picture has been looked at, and that many programs refuse.
# - **Patched**: always 100 rows, the unused ones filled with zeros. This is the form that Ultralytics reads
#   as finished detections, and the reason for the surgery.

# %% id="00-pipeline"
from helpers.course import charts
from helpers.course.atlas import pipeline_figure

steps = {"raw": "export", "end-to-end": "+ NMS", "patched": "surgery"}
shapes = [row[2].replace("detection_count", "M") for row in rows]
files = dict(zip(steps, zip(steps.values(), shapes, strict=True), strict=True))
size = [entries[row[0]]["bytes"] for row in rows]
line = f"NMS and surgery together add less than 1 % to the file: {size[2] < 1.01 * size[0]}"
charts.present(pipeline_figure(files, model.name), line)

# %% [markdown] id="00-map-text"
# ## The map of the course
#
# Blue lessons look, orange ones make a file, green ones use it. Click a card to go there. The lessons hand
# files to each other but wait for nobody: each one makes what it lacks, so you can begin anywhere.

# %% id="00-map"
from helpers.course.atlas import course_map

course_map()

# %% [markdown] id="00-exercises-text"
# ## How the exercises work
#
# Every lesson ends with three exercises, each harder than the one before. You replace `...` by your answer
# and run the cell. A checker works the answer out from the files on *your* disk and says `right`, or gives
# a hint. It never gives the answer away: for that there are [solutions](solutions/00_start_here.ipynb).
# Here is what it says to no answer, and to one of the wrong kind:

# %% id="00-exercises"
from helpers.course import exercises

for attempt in (..., "a guess"):
    number = 1
    exercises.check("00", number, attempt)

# %% [markdown] id="00-guide-text"
# ## The guides' own example
#
# The guides that this course replaces end with `yolov7-tiny` on Ultralytics' picture of a bus. With a
# network it runs here as well: the same function makes the same three files from the official checkpoint.
# It reads that checkpoint without running any of the code in it (lesson 02 shows why that matters).

# %% id="00-guide"
from helpers.course.guides import guide_example

if example := guide_example():
    official, bus = example
    guide = Detector(course.need(official, "ultralytics"), providers="cpu")
    boxes = guide.detect(bus.image_bgr)
    show(draw(bus.image_bgr, boxes, guide.names), "yolov7-tiny on bus.jpg", width=480)
    print(boxes.summary(guide.names))

# %% [markdown] id="00-summary"
# ## Summary
#
# - One ONNX file, `…-ultralytics.onnx`, holds the whole detector: picture in, at most 100 finished boxes
#   out.
# - It grew in three steps, raw → end-to-end → patched, and the manifest knows what each file was made from.
# - `Detector(path).detect(picture)` gives `Detections` in the picture's own pixels.
# - Everything you saw ran on a CPU, without a network, on a picture drawn from a seed.
#
# The rest of the course takes these three cells apart.

# %% [markdown] id="00-exercise-1-text"
# ## Exercises
#
# **1.** Look at the table of files. How many rows does the *raw* graph put out for one picture?

# %% id="00-exercise-1"
answer = ...  # a whole number
_ = exercises.check("00", 1, answer)

# %% [markdown] id="00-exercise-2-text"
# **2.** `Detections.above(score)` keeps the boxes that score more than `score`. How many boxes with a score
# above 0.6 does the detector find in the first picture, `model.pictures(1)[0]`?

# %% id="00-exercise-2"
answer = ...  # a whole number
_ = exercises.check("00", 2, answer)


# %% [markdown] id="00-exercise-3-text"
# **3.** Write a function that takes `Detections` and returns the class id of the box with the largest area,
# or `None` where nothing was found. You will want `found.boxes_xyxy`, `[n, 4]`, and `found.class_ids`,
# `[n]`.

# %% id="00-exercise-3"
def class_of_largest(found):
    if len(found) == 0:
        return None
    return ...


_ = exercises.check("00", 3, class_of_largest)

# %% [markdown] id="00-next"
# [Solutions](solutions/00_start_here.ipynb)
#
# Next: [01 · Meet YOLOv7](01_meet_yolov7.ipynb), the family and what it costs; or straight to
# [02 · Export](02_export.ipynb), where a checkpoint becomes the first of the three files.
