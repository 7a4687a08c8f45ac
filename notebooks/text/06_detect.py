# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="06-title"
# # 06 · Detect
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/06_detect.ipynb) · English · [简体中文](zh-CN/06_detect.ipynb)
#
# By the end of this page you can run the finished file on a picture, a folder or a video, choose a score
# threshold for a reason, and prove that five ways of running the network give the same boxes. At the end
# you leave this package behind: 20 lines on ONNX Runtime and NumPy are all that a product needs, or four,
# when the picture's way into the network is in the graph, too.
#
# > **You need** lesson 04's file (made for you if it is missing), about 15 seconds on two cores.
# >
# > **You get** drawn pictures, a small video and `detect_alone.py` in `build/<model>/`.

# %% [markdown] id="06-contents"
# ## Contents
#
# - [One picture](#One-picture)
# - [Choose a score](#Choose-a-score)
# - [Choose a picture, or bring your own](#Choose-a-picture,-or-bring-your-own)
# - [Into the square and back](#Into-the-square-and-back)
# - [A folder](#A-folder)
# - [A video](#A-video)
# - [Photographs](#Photographs)
# - [Five ways, one answer](#Five-ways,-one-answer)
# - [The picture into the graph](#The-picture-into-the-graph)
# - [How long does it take?](#How-long-does-it-take?)
# - [Without this package](#Without-this-package)
# - [The guides' own example](#The-guides'-own-example)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="06-colab" tags=["colab"]
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

# %% id="06-model"
from helpers import Detector, course, draw, show

model = course.pick_model()
path = course.need(model, "ultralytics")
detector = Detector(path, providers="cpu")
print("on", detector.provider)

# %% [markdown] id="06-one-text"
# ## One picture
#
# `detect` takes a path or an array of any size, and gives `Detections`: three arrays with one entry for
# each box, best score first. Corners are in the pixels of the picture you passed in, not of the network's
# square input, and never outside it. `providers="cpu"` keeps these outputs the same everywhere; leave it
# out and a working CUDA is used. (Ask `detector.provider` what you got: ONNX Runtime falls back to the CPU
# without a word.)

# %% id="06-one"
pictures = model.pictures(6)
picture = pictures[min(1, len(pictures) - 1)]
found = detector.detect(picture.image_bgr)
print("boxes_xyxy", list(found.boxes_xyxy.shape), found.boxes_xyxy.dtype)
print("scores", list(found.scores.shape), " class_ids", list(found.class_ids.shape))
print(found.to_table(detector.names, limit=4))


# %% [markdown] id="06-score-text"
# ## Choose a score
#
# In JupyterLab this cell has a slider. Its lower end is 0.35, where the graph itself has already cut. What
# the graph dropped is gone, so a lower threshold finds nothing more; to go below, lesson 02 makes a file
# with another one.

# %% id="06-slider"
def at_score(score):
    kept = found.above(score)
    show(draw(picture.image_bgr, kept, detector.names), f"score above {score:.2f}", width=440, quality=70)
    print(f"above {score:.2f}: {kept.summary(detector.names)}")


course.slider(at_score, value=0.5, minimum=0.35, maximum=0.95, label="score")

# %% [markdown] id="06-curve-text"
# Which value is right? Where the truth is known, count. A box *fits* when it overlaps a cell of its own
# class by half or more. To see what the graph's 0.35 hides, this cell makes one that lets more through, in
# memory, as in lesson 02. Raising the score then loses boxes of both kinds, those that fit (cells missed)
# and those that do not (false alarms): the question is which you would rather live with. The dashed line is
# the graph's 0.35. (Pictures without labels skip this.)

# %% id="06-curve"
import onnx

from helpers import Detections
from helpers.course import charts
from helpers.detections import match
from helpers.patches.nms import add_nms

loose = add_nms(onnx.load(course.need(model, "raw")), score_threshold=0.05).model.SerializeToString()
eager = Detector(loose, providers="cpu")
scores = [0.05 * step for step in range(1, 20)]
fit, spare = [0] * len(scores), [0] * len(scores)
for labelled in (each for each in pictures if each.truth is not None):
    ids = labelled.truth.class_ids
    truth = Detections(labelled.truth.boxes_xyxy, [1.0] * len(ids), ids)
    boxes = eager.detect(labelled.image_bgr)
    for place, score in enumerate(scores):
        kept = boxes.above(score)
        fitting = len(match(kept, truth, 0.5))
        fit[place], spare[place] = fit[place] + fitting, spare[place] + len(kept) - fitting
if any(fit):
    lines = {"fits a cell": fit, "fits none": spare}
    chart = charts.lines(scores, lines, title="Boxes left at a score", x_label="score above", y_label="boxes")
    chart.axes[0].axvline(0.35, color="#888888", linewidth=1, linestyle="--")
    at = "; ".join(f"above {scores[i]:.2f}: {fit[i]} fit, {spare[i]} false" for i in (0, 6, 17))
    charts.present(chart, at)


# %% [markdown] id="06-choose-text"
# ## Choose a picture, or bring your own
#
# A dropdown over the lesson's pictures, and a button for a picture of yours. Both are for a live notebook;
# in the stored copy the first shows its first picture, the second what it shows before anything is
# uploaded.

# %% id="06-choose"
def look_at(chosen):
    boxes = detector.detect(chosen.image_bgr)
    show(draw(chosen.image_bgr, boxes, detector.names), chosen.name, width=360, quality=76)
    print(f"{chosen.name}: {boxes.summary(detector.names)}")


course.choose(look_at, pictures, label="picture")

# %% id="06-upload"
course.upload(look_at, fallback=pictures[-1])

# %% [markdown] id="06-square-text"
# ## Into the square and back
#
# The network takes 640×640, pictures come in any shape. Stretching would turn round cells into ovals, which
# it has never seen. So the picture is scaled until it fits, and centred on grey: a *letterbox*. Two numbers
# remember how: the size of the content, and the grey to the left of it and above.

# %% id="06-square"
from helpers import letterbox
from helpers.training.smears import draw_smear

wide_bgr = draw_smear(9100, (1100, 480), cells=34).image_bgr
box = letterbox(wide_bgr, detector.size_wh)
print(f"picture {box.picture_wh}, content {box.content_wh}, grey left and above {box.pad_xy}")

# %% [markdown] id="06-back-text"
# The way back is the same two numbers, the other way round: subtract the grey, divide by the scale. Forget
# it and the boxes huddle in the middle of nowhere: the commonest bug of home-made detectors. Here the
# square goes through the network by itself, so that we see its boxes before the way back, and what they are
# worth without it.

# %% id="06-back"
from helpers.drawing import grid, side_by_side

square = detector.detect(box.image_bgr)
corners = box.boxes_to_picture(square.boxes_xyxy)
back = Detections(corners, square.scores, square.class_ids).clipped(box.picture_wh)
pair = [draw(wide_bgr, these, detector.names) for these in (square, back)]
pair_bgr = grid(pair, columns=1, cell_width=350, captions=("way back forgotten", "with the way back"))
inside_bgr = draw(box.image_bgr, square, detector.names)
captions = ("the network's input", "the picture")
views_bgr = side_by_side(inside_bgr, pair_bgr, captions=captions, cell_width=350)
show(views_bgr, quality=70, alt="boxes in the square; on the picture, without and with the way back")
direct = detector.detect(wide_bgr)
print("the same boxes as from detect():", len(match(back, direct, 0.99)) == len(direct) == len(back))

# %% [markdown] id="06-folder-text"
# ## A folder
#
# `detect_many` takes a folder, a pattern such as `slides/*.jpg`, one file, or a list, and gives one result
# after another, so ten thousand pictures need no more memory than one. In a large folder something is
# always broken. We put a web page named `.jpg` among the smears: with `on_error="record"` it becomes a
# result that says why.

# %% id="06-folder"
from helpers.images import save_image

folder = model.folder / "slides"
for each in pictures[:4]:
    save_image(folder / f"{each.name}.png", each.image_bgr)
(folder / "zz-page.jpg").write_text("<html>404 Not Found</html>")
results = list(detector.detect_many(folder, on_error="record"))
for result in results:
    said = result.error.partition(": ")[2] or result.detections.summary(detector.names)
    print(f"{result.path.name}: {said}")

# %% id="06-folder-figure"
good = [result for result in results if not result.error]
sheet = [draw(result.image_bgr, result.detections, detector.names) for result in good]
stems = [result.path.stem for result in good]
show(grid(sheet, columns=2, cell_width=250, captions=stems), quality=68, alt="four smears with boxes")
print(f"{len(results)} files, {len(good)} pictures")

# %% [markdown] id="06-video-text"
# ## A video
#
# A microscope's stage moves over a slide: we draw one wide smear, cut a window out of it for each frame,
# and write the frames as a video. (`.avi` with Motion JPEG is the one form that every build of OpenCV
# writes.)

# %% id="06-video"
from helpers.video import write_video

slide_bgr = draw_smear(9101, (1600, 360), cells=46).image_bgr
windows = (slide_bgr[:, x : x + 480] for x in range(0, 1120, 28))
video = model.folder / "stage.avi"
print(write_video(video, windows, frames_per_second=10), "frames in", course.relative(video))

# %% [markdown] id="06-video-look-text"
# `detect_video` reads frame by frame; `every=5` looks at each fifth, which is often enough when things move
# slowly. `annotate_video(source, target)` writes the whole video again with the boxes drawn in.

# %% id="06-video-look"
frames = list(detector.detect_video(video, every=5))
shown = frames[2:7:3]
strip = [draw(frame.image_bgr, frame.detections, detector.names, scores=False) for frame in shown]
captions = [f"frame {frame.frame}" for frame in shown]
show(side_by_side(*strip, captions=captions, cell_width=400), quality=70, alt="two frames with boxes")
print("frames looked at:", [frame.frame for frame in frames])

# %% [markdown] id="06-photographs-text"
# ## Photographs
#
# Drawn smears are what we can publish and check. Real ones are the point. With the BCCD data set beside the
# course (set `YOLOV7_BCCD` to its folder) this cell shows photographs that the bundled model never saw in
# training. Cells in dense crowds often go without a box: many of them have no label in the data set, and a
# model learns that, too.

# %% id="06-photographs"
for photograph in course.photographs(3):
    look_at(photograph)

# %% [markdown] id="06-ladder-text"
# ## Five ways, one answer
#
# From the checkpoint to Ultralytics the network changed its clothes four times. Did its answers change? We
# take the same letterboxed pixels and climb a ladder: PyTorch; the raw graph; the end-to-end graph, whose
# NMS is inside; the patched graph; and the patched graph run by Ultralytics, with a letterbox and a
# threshold of its own.
#
# The first two stop before the NMS. For them a plain NumPy version of the NMS, `reference_nms`, finishes
# the work: slow, short, and written without looking at the graph, so that it can disagree.

# %% id="06-ladder-network"
import torch

from helpers import build_network
from helpers.images import to_tensor
from helpers.network import fuse
from helpers.session import open_session

network = fuse(build_network(model.load())).eval()
raw = open_session(course.need(model, "raw"), providers="cpu")


def predictions(image_bgr):
    images = to_tensor(image_bgr)
    with torch.inference_mode():
        from_torch = network(torch.from_numpy(images))
    return from_torch[0].numpy(), raw.run(None, {"images": images})[0][0]


print("PyTorch", list(predictions(letterbox(picture.image_bgr, detector.size_wh).image_bgr)[0].shape))

# %% id="06-ladder-finish"
from helpers.parity import reference_nms


def finish(raw_rows, box):
    rows = reference_nms(raw_rows)
    corners = box.boxes_to_picture(rows[:, 1:5])
    return Detections(corners, rows[:, 6], rows[:, 5]).clipped(box.picture_wh)


# %% [markdown] id="06-ladder-yolo-text"
# Ultralytics wants a threshold of its own, `conf`; 0 leaves everything to the graph.

# %% id="06-ladder-yolo"
import os

os.environ["YOLO_VERBOSE"] = "False"  # Ultralytics otherwise logs versions and timings
from ultralytics import YOLO

yolo = YOLO(str(path), task="detect")


def with_ultralytics(image_bgr):
    result = yolo.predict(image_bgr, conf=0.0, device="cpu", verbose=False)[0]
    return Detections.from_rows(result.boxes.data.numpy())


print(with_ultralytics(picture.image_bgr).summary(detector.names))

# %% [markdown] id="06-ladder-climb-text"
# Two boxes count as the same when their class is, no corner is more than 0.05 pixel away, and the scores
# differ by at most 0.0001. Every box must have its partner, on both sides.

# %% id="06-ladder-climb"
from helpers.parity import Ladder

end2end = Detector(course.need(model, "end2end"), providers="cpu")


def climb(image_bgr):
    ladder, box = Ladder(), letterbox(image_bgr, detector.size_wh)
    for stage, rows in zip(("PyTorch", "raw ONNX"), predictions(box.image_bgr), strict=True):
        ladder.add(stage, finish(rows, box))
    ladder.add("end-to-end ONNX", end2end.detect(image_bgr))
    ladder.add("patched ONNX", detector.detect(image_bgr))
    ladder.add("Ultralytics", with_ultralytics(image_bgr))
    return ladder


ladders = {each.name: climb(each.image_bgr) for each in pictures[:4]}
for name, ladder in ladders.items():
    print(f"{name}: {len(ladder.rungs)} stages of {len(ladder.rungs[0][1])} boxes agree: {ladder.agrees}")

# %% [markdown] id="06-ladder-table-text"
# Here are the figures for one picture, as powers of ten. They stay clear of the limit by far and are not
# zero: PyTorch and ONNX Runtime add the same numbers in different orders, and floating-point sums depend on
# the order. From the raw graph on it is the same arithmetic in the same order, only with more nodes behind
# it.

# %% id="06-ladder-table" tags=["nbval-ignore-output"]
ladders[pictures[0].name]

# %% [markdown] id="06-inside-text"
# ## The picture into the graph
#
# Letterbox, colours and the way back are arithmetic, so they can be nodes like all the rest. One more patch
# puts them at the two ends of the graph. A raw picture of any size goes in, boxes in its own pixels come
# out, and whoever runs the file can no longer get it wrong. What lies between stays node for node.

# %% id="06-inside"
from helpers.patches.preprocess import add_picture

inside_path = course.need(model, "picture")
for line in add_picture(onnx.load(path)).report:
    print(line)

# %% [markdown] id="06-inside-same-text"
# `Detector` reads from the file what it wants to be fed, and leaves its own letterbox out. Are the boxes the
# same? In pictures that are wide, tall, odd, or one pixel wide:

# %% id="06-inside-same"
import cv2

from helpers.parity import Tolerance, compare_detections

inside = Detector(inside_path, providers="cpu")
for size_wh in ((1100, 480), (333, 777), (641, 639), (1, 500)):
    view_bgr = cv2.resize(wide_bgr, size_wh)
    parity = compare_detections(inside.detect(view_bgr), detector.detect(view_bgr))
    print(size_wh, "same to 0.5 px, 0.001 in score:", parity.within(Tolerance(corner_px=0.5, score=0.001)))

# %% [markdown] id="06-inside-exact-text"
# That takes more than ONNX's own `Resize`. OpenCV does not interpolate as the books say: its weights are
# whole numbers of 1/2048, and it rounds down twice on its way, so its pictures come out a tenth of a grey
# level darker. Nobody sees that, but the NMS may: of two boxes that score alike it keeps the other one. So
# the patch repeats OpenCV's arithmetic, step by step. `add_picture(model, exact=False)` takes the one
# `Resize` instead; it is faster on a CPU, and just as exact where nothing is scaled.
#
# Each part is there for itself, too: `python -m helpers patch FILE --form FORM`.
#
# | form | goes in | comes out |
# |---|---|---|
# | `picture` | the picture, `uint8 [height, width, 3]` | boxes in its pixels |
# | `letterbox` | the same | boxes in the square's pixels |
# | `boxes` | the square, and `picture_wh`, the size before the letterbox | boxes in the picture's pixels |
# | `bytes` | the square as `uint8 [1, 640, 640, 3]`, as video pipelines have it | as before |
#
# All four are built of operators that TensorRT has; it knows bytes at the border of an engine alone, so the
# first node turns them into numbers. Ultralytics cannot run these files: it prepares pictures itself.

# %% [markdown] id="06-latency-text"
# ## How long does it take?
#
# A number of milliseconds means nothing without: on what, in which precision, how warm, and what was on the
# clock. So: this machine's CPU, float32, one 640×640 input at a time. Three runs first that do not count,
# because the first ones allocate memory. Then ten rounds in which the contestants take turns, so that a
# busy moment hits all of them, and of each the median, because a mean believes every hiccup. *Network
# alone* begins with a finished tensor. *Picture to boxes* includes letterbox, conversion and the way back;
# reading the file is in none of them.

# %% id="06-latency" tags=["nbval-ignore-output"]
from statistics import median
from time import perf_counter

from helpers.table import Table

session = open_session(path, providers="cpu")
tensor = to_tensor(letterbox(picture.image_bgr, detector.size_wh).image_bgr)
contestants = {
    "network alone": lambda: session.run(None, {"images": tensor}),
    "picture to boxes": lambda: detector.detect(picture.image_bgr),
    "the same, in the graph": lambda: inside.detect(picture.image_bgr),
    "Ultralytics": lambda: with_ultralytics(picture.image_bgr),
}
times = {name: [] for name in contestants}
for _ in range(13):
    for name, run in contestants.items():
        start = perf_counter()
        run()
        times[name].append(1000 * (perf_counter() - start))
milliseconds = {name: median(values[3:]) for name, values in times.items()}
rows = tuple((name, round(value)) for name, value in milliseconds.items())
Table((f"CPU with {os.cpu_count()} cores, float32, one picture", "median ms"), rows)

# %% [markdown] id="06-bound-text"
# The digits differ on every machine, and between two runs on one. What should hold anywhere is that the
# network is nearly all of it, and that the work around it is small change:

# %% id="06-bound"
around = milliseconds["picture to boxes"] / milliseconds["network alone"]
print(f"letterbox, conversion and the way back add less than a half: {around < 1.5}")

# %% [markdown] id="06-alone-text"
# ## Without this package
#
# Everything hard is inside the graph by now. What is left is 20 lines: letterbox, one call, the way back.
# They need ONNX Runtime, NumPy, and OpenCV to read the picture. Take them; this is the part that goes into
# your product.

# %% id="06-alone"
script = """
import ast, json, sys
import cv2, numpy as np, onnxruntime

model, picture = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
names = ast.literal_eval(session.get_modelmeta().custom_metadata_map["names"])
height, width = session.get_inputs()[0].shape[2:]
image = cv2.imread(picture)
h, w = image.shape[:2]
scale = min(width / w, height / h)
cw, ch = round(w * scale), round(h * scale)  # content, then the grey left of it and above
x, y = round((width - cw) / 2 - 0.1), round((height - ch) / 2 - 0.1)
canvas = np.full((height, width, 3), 114, np.uint8)
canvas[y : y + ch, x : x + cw] = cv2.resize(image, (cw, ch))
tensor = canvas[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
rows = session.run(None, {"images": tensor})[0][0]
rows = rows[rows[:, 4] > 0]  # rows of zeros are padding
rows[:, :4] = ((rows[:, :4] - [x, y, x, y]) / [cw / w, ch / h, cw / w, ch / h]).clip(0, [w, h, w, h])
for *corners, score, index in rows.tolist():
    print(json.dumps({"class": names[int(index)], "score": score, "box_xyxy": corners}))
""".lstrip()
print(len(script.splitlines()), "lines; imports this package:", "helpers" in script)

# %% [markdown] id="06-alone-run-text"
# Written to a file and run in a process of its own (`-I` keeps this folder out of its sight), on the wide
# picture, where both the grey and the scale matter:

# %% id="06-alone-run"
import json
import subprocess
import sys

program, wide = model.folder / "detect_alone.py", save_image(model.folder / "wide.png", wide_bgr)
program.write_text(script)
command = [sys.executable, "-I", str(program), str(path), str(wide)]
said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
rows = [json.loads(line) for line in said.splitlines()]
ids = [detector.names.index(row["class"]) for row in rows]
alone = Detections([row["box_xyxy"] for row in rows], [row["score"] for row in rows], ids)

# %% id="06-alone-compare"
parity = compare_detections(alone, direct)
print(f"{len(alone)} boxes from 20 lines, {len(direct)} from the package, {parity.matched} matched")
print("agree within 0.05 px and 0.0001 in score:", parity.within(Tolerance()))

# %% [markdown] id="06-alone-inside-text"
# And with the picture in the graph? Then four lines are left, and nothing in them can be wrong by a pixel.

# %% id="06-alone-inside"
short = """
import sys, cv2, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
rows = session.run(None, {"picture": cv2.imread(sys.argv[2])})[0][0]
print(rows[rows[:, 4] > 0].tolist())
""".lstrip()
command = [sys.executable, "-I", "-c", short, str(inside_path), str(wide)]
said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
parity = compare_detections(Detections.from_rows(json.loads(said)), direct)
agrees = parity.within(Tolerance(corner_px=0.5, score=0.001))
print(f"{len(short.splitlines())} lines, {parity.matched} of {len(direct)} boxes matched: {agrees}")

# %% [markdown] id="06-guide-text"
# ## The guides' own example
#
# And here is the line with which the guides end: yolov7-tiny, Ultralytics, the bus.

# %% id="06-guide"
from helpers.course.guides import guide_example

if example := guide_example():
    official, bus = example
    guide = YOLO(str(course.need(official, "ultralytics")), task="detect")
    result = guide.predict(bus.image_bgr, device="cpu", verbose=False)[0]
    on_bus = Detections.from_rows(result.boxes.data.numpy())
    show(draw(bus.image_bgr, on_bus, official.names), "yolov7-tiny on bus.jpg, by Ultralytics", width=480)
    print(on_bus.summary(official.names))

# %% [markdown] id="06-summary"
# ## Summary
#
# - One interface for pictures, folders and videos; boxes always in the picture's own pixels; a broken file
#   is a result, not a crash.
# - The score threshold is a choice between two kinds of mistake, and the one inside the graph is the lowest
#   you get.
# - PyTorch, three graphs and Ultralytics give the same boxes, to a twentieth of a pixel.
# - Letterbox and the way back can be nodes of the graph: a raw picture in, boxes in its own pixels out.
# - The network is nearly all of the time, and 20 lines without this package do the rest; four do, with the
#   picture in the graph.

# %% [markdown] id="06-exercise-1-text"
# ## Exercises
#
# **1.** By hand: a picture of 1280×720 pixels goes into the 640×640 square. Where in the square does its
# point x = 1000, y = 300 land? Answer with a pair `(x, y)`.

# %% id="06-exercise-1"
from helpers.course import exercises

answer = ...  # (x, y)
_ = exercises.check("06", 1, answer)

# %% [markdown] id="06-exercise-2-text"
# **2.** Draw the six smears from seed 9010 on: `course.drawn(6, first_seed=9010)`. In which of them does
# the detector find the most boxes that score above 0.5? Answer with its name.

# %% id="06-exercise-2"
answer = ...  # "smear-90.."
_ = exercises.check("06", 2, answer)


# %% [markdown] id="06-exercise-3-text"
# **3.** Write the last step yourself. `rows` is what the patched graph says, `[100, 6]`: x0, y0, x1, y1,
# score, class, in pixels of the square. Return the boxes `[n, 4]` in the picture's pixels: without padding,
# without grey, unscaled, and inside the picture. (Do not mind rounding: a pixel either way is fine.)

# %% id="06-exercise-3"
def to_picture(rows, picture_wh, size_wh):
    scale = min(size_wh[0] / picture_wh[0], size_wh[1] / picture_wh[1])
    return rows[:, :4] / scale  # a beginning: padding, grey and edges are still missing


_ = exercises.check("06", 3, to_picture)

# %% [markdown] id="06-next"
# [Solutions](solutions/06_detect.ipynb)
#
# Next: [07 · Quantize](07_quantize.ipynb). In a hurry? `python -m helpers convert best.pt` does all of this
# for a checkpoint of yours.
