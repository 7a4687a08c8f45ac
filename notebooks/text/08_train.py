# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="08-title"
# # 08 · Train: your own classes
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/08_train.ipynb) · English · [简体中文](zh-CN/08_train.ipynb)
#
# Every lesson so far took a checkpoint for granted. Here you make one. You bring a folder of labelled
# pictures (or take the one drawn for you), have it checked, train a small YOLOv7 on it in a minute, watch
# which of its predictions learn which object, and measure the result so that you can believe it. Then it goes
# through lessons 02 to 06 like any other checkpoint. The long run on a GPU is the same call with larger
# numbers.
#
# > **You need** no file; about 45 seconds on two cores that have nothing else to do.
# >
# > **You get** `build/<model>/training/my-cells.safetensors`, and its ONNX files in `build/my-cells/`.

# %% [markdown] id="08-contents"
# ## Contents
#
# - [Pictures with boxes](#Pictures-with-boxes)
# - [Checked before training](#Checked-before-training)
# - [Do the anchors fit?](#Do-the-anchors-fit?)
# - [What to start from](#What-to-start-from)
# - [What the loss asks](#What-the-loss-asks)
# - [One epoch, and an interruption](#One-epoch,-and-an-interruption)
# - [The rest of the run](#The-rest-of-the-run)
# - [Who learns what](#Who-learns-what)
# - [One object, close up](#One-object,-close-up)
# - [A long run](#A-long-run)
# - [What AP is](#What-AP-is)
# - [What was taken for what](#What-was-taken-for-what)
# - [Every mistake has a kind](#Every-mistake-has-a-kind)
# - [The bundled model](#The-bundled-model)
# - [Lessons 02 to 06, unchanged](#Lessons-02-to-06,-unchanged)
# - [One class](#One-class)
# - [Your real run](#Your-real-run)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="08-colab" tags=["colab"]
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

# %% id="08-imports"
import shutil
from pathlib import Path

import torch

from helpers import Detections, Detector, course, draw, graph, show
from helpers.course import assignment_view, charts, evaluation_view, exercises, own_data
from helpers.course.training_curves import LiveCurves, curves_figure, recorded_history

model = course.pick_model()

# %% [markdown] id="08-data"
# ## Pictures with boxes
#
# Write the path of your own folder into `mine`. Three forms are understood, and found out by looking:
#
# | form | labels | boxes |
# |---|---|---|
# | YOLO | `data.yaml`, a text file a picture | class, centre x, centre y, width, height, as shares of the picture |
# | COCO | one JSON file a split | left, top, width, height, in pixels |
# | Pascal VOC | an XML file a picture | left, top, right, bottom, in pixels |
#
# Without a folder of yours the next cell draws sixty blood smears and writes them in YOLO form. They are
# small, 192 pixels wide, so that a minute is enough to learn from them.

# %% id="08-data-code"
mine = ""  # the path of your folder
folder = Path(mine) if mine else own_data.drawn_folder(model.folder / "cells")
if not mine:
    own_data.spoil(folder)  # real data sets have flaws, so this one gets five
    row = (folder / "labels/train/train-0004.txt").read_text().split()[:5]
    print("a box:", " ".join(number[:6] for number in row))
print(course.relative(folder), "->", sorted(path.name for path in folder.iterdir()))

# %% [markdown] id="08-check"
# ## Checked before training
#
# A wrong label does not stop a training run. It makes it worse, silently. So the folder is read and judged
# first, and each flaw is named with its file and line. BCCD, the public set of blood smears that the bundled
# model learned from, has two boxes of no area; most sets that have been in many hands have something.

# %% id="08-check-code"
from helpers.training.datasets import DatasetError, open_dataset

dataset = open_dataset(folder)
print(f"{dataset.form} form, classes {', '.join(dataset.names)}, {len(dataset.flaws)} flaws")
own_data.flaws_table(dataset)

# %% [markdown] id="08-stop"
# Now choose. *Stop*, and mend the files: that is right where you can tell what was meant. Or *fix*: go on
# without what is wrong. The files stay as they are either way. (`python -m helpers check-data FOLDER` is the
# same check as a command.)

# %% id="08-stop-code"
try:
    dataset.require_clean()
except DatasetError as refusal:
    print("stop:", str(refusal).splitlines()[0].partition(": ")[2])
dataset = dataset.fixed()
print("fix: flaws left:", len(dataset.flaws))
dataset.counts()

# %% id="08-sheet"
print("what the network will see:", ", ".join(dataset.names))
show(own_data.labelled_sheet(dataset), quality=60, alt="two training pictures with their boxes")

# %% [markdown] id="08-anchors"
# ## Do the anchors fit?
#
# A prediction does not make up a box from nothing. It bends an *anchor*, a width and a height that the layer
# table fixes, by a factor of at most four in each direction. An object that no anchor can reach is never
# learned. So hold the anchors against the boxes, at the size at which the network will see them.

# %% id="08-anchors-code"
from helpers.family import describe
from helpers.training.anchors import check_anchors, fit_anchors, object_sizes

SIZE = 192  # side of the network's input in this lesson, a multiple of 32
sizes_wh = object_sizes(dataset.samples("train"), SIZE)
official = describe("yolov7-tiny", dataset.names).anchors_px
refitted = fit_anchors(sizes_wh, official)
found, better = check_anchors(sizes_wh, official), check_anchors(sizes_wh, refitted)
print("share of objects that some official anchor reaches, above 0.98:", found.enough)
print("refitted ones lie closer:", better.fit > found.fit)

# %% id="08-anchors-figure"
chart = own_data.anchors_figure(sizes_wh, {"official, from COCO": official, "refitted": refitted})
line = f"{found.objects} objects, {sum(map(len, official))} anchors in each set"
charts.present(chart, line, quality=65)

# %% [markdown] id="08-anchors-moral"
# The official anchors come from COCO and are made for 640 pixels, so the large ones idle here. But every object
# has one within reach, and then it is not worth changing them: a checkpoint that you start from has learned
# with its anchors. Training refits them by itself only where the share falls below 0.98.

# %% [markdown] id="08-start"
# ## What to start from
#
# A checkpoint that has seen pictures before needs far fewer of yours. `blood-cells` always works; an official
# one, `yolov7-tiny` or `yolov7.pt` from your disk, works the same. If your classes are others, only the rows of
# its head are sorted anew: a class of the same name keeps its weights. In this lesson we start from nothing, so
# that you see everything being learned, with half the channels of YOLOv7-tiny, so that it takes a minute.

# %% id="08-start-code"
from helpers.training.start import start_training

for name, classes in (("blood-cells", ("RBC", "WBC", "parasite")), ("", dataset.names)):
    for line in start_training(name, classes, width_multiple=0.5).report:
        print(line)

# %% [markdown] id="08-loss"
# ## What the loss asks
#
# The network is trained with two heads. The **lead** head is the one you know. The **auxiliary** head sits
# earlier, on the way down through the pyramid, so that the middle of the network gets a gradient of its own; it
# is dropped when the run ends. Both are asked the same three questions:
#
# | term | question | right answer |
# |---|---|---|
# | box | how far is the predicted box from its object? (1 − CIoU) | 0 |
# | objectness | is something here? | the present overlap with its object; 0 everywhere else |
# | classes | is it an RBC? a WBC? …, each on its own | yes for one of them |
#
# Only the predictions that were *given* an object answer the first and the third. Who is given what is the
# interesting part, and comes below.

# %% id="08-loss-code"
from helpers.training.augmentation import collate, fit
from helpers.training.auxiliary import AuxiliaryHead
from helpers.training.loss import lead_guided_loss

network = start_training("", dataset.names, width_multiple=0.5).network
batch = [fit(dataset.samples("train")[number], SIZE) for number in range(2)]
images_nchw, targets = map(torch.from_numpy, collate(batch))
lead, auxiliary = AuxiliaryHead(network).both(network, images_nchw)
parts = lead_guided_loss(lead, auxiliary, targets, network.anchors_px, network.strides)
asked = sum(level[..., 0].numel() for level in lead)
print(f"{asked} predictions, {len(targets)} objects; given an object: under 5 %:", parts.positives < 0.05 * asked)
total = 2 * (parts.box + parts.objectness + parts.classes + parts.auxiliary)
print("the sum of the terms, times two pictures:", abs(total - parts.total.item()) < 1e-3)

# %% [markdown] id="08-first"
# ## One epoch, and an interruption
#
# A `Plan` says what and how long; `train_folder` does the rest: start, anchors, mosaics and colours, warm-up
# and cosine, the running average of the weights. We stop it after one epoch (once through all pictures), as if
# you had pressed the stop button, because we want to keep the weights of a beginner.

# %% id="08-first-code"
from helpers.training.project import Plan, train_folder

plan = Plan(
    model.folder / "training", start="", width=0.5, steps=480, size=SIZE, window=SIZE, peak=0.004,
    mosaic=0.3, whole=0.7, any_way_up=not mine, workers=0, evaluate_every=40, progress=False,
)  # fmt: skip
shutil.rmtree(plan.out, ignore_errors=True)  # begin anew; without this line a finished run stays finished
epoch = -(-len(dataset.splits["train"]) // plan.batch)  # steps to see every picture once
first = train_folder(dataset, plan, stop_at=epoch, say=print)
beginner = first.training.average
print("interrupted:", first.training.interrupted, "after step", first.training.step)
print("kept:", sorted(path.name for path in plan.out.iterdir()))

# %% [markdown] id="08-rest"
# ## The rest of the run
#
# The same call goes on where it stopped: weights, their average, the optimiser's memory, the step, and with
# the step the very batches that would have come next. Nothing is lost, even if the process is killed. In
# JupyterLab the curves grow while it runs; press the stop button and run the cell again, if you like.

# %% id="08-rest-code"
curves = LiveCurves(plan.steps)
with curves:
    trained = train_folder(dataset, plan, on_log=curves)

# %% [markdown] id="08-learned"
# AP is explained below; for now, 1 is perfect and 0 is nothing. It is measured on the pictures of `val`, which
# were never trained on. Your digits will differ a little from those in the figure: no two processors add up in
# the same order.

# %% id="08-learned-code"
from helpers.training.evaluation import evaluate
from helpers.training.prediction import predictor

validation = dataset.samples("val")
before = evaluate(predictor(beginner, SIZE), validation, dataset.names)
report = trained.report
print("AP50 after one epoch below 0.1:", before.ap50 < 0.1)
print("AP50 at the end at least 0.7:", report.ap50 >= 0.7)
steps = [entry["step"] for entry in curves.history if "box" in entry]
print("no step is missing after the interruption:", steps == list(range(20, plan.steps + 1, 20)))

# %% [markdown] id="08-assign"
# ## Who learns what
#
# A picture of this size has 2 268 predictions and a few dozen objects. Which predictions learn which object is
# decided anew in every step, by the network's own present answers:
#
# 1. *Candidates*, by geometry: the anchors that can reach the object, in the cell of its centre and in the cells
#    beside it.
# 2. *How many*: as many as the best overlaps add up to. An object that is predicted well trains more.
# 3. *Which*: the cheapest, counting wrong classes and poor overlap.
#
# The lead head decides for both (*lead-guided*). It gets the **fine** choice itself. The auxiliary head, which
# sees less, gets a **coarse** one: more cells, more predictions, so that it rather finds too much than too
# little. Below, a black frame is an object, a filled cell has predictions that learn one: blue on the finest
# level (8 pixels a cell), orange on the middle one (16), green on the coarsest (32).

# %% id="08-assign-code"
picture = validation[0]
moments = {
    "epoch 1": assignment_view.see_assignment(beginner, picture, SIZE),
    "the end": assignment_view.see_assignment(trained.training.average, picture, SIZE),
}
show(assignment_view.cells_sheet(moments), quality=50, alt="cells that learn, by head, first and last")
start, end = moments.values()
count = {name: (len(seen.lead), len(seen.auxiliary)) for name, seen in moments.items()}
print("the coarse choice is the larger one:", all(fine < coarse for fine, coarse in count.values()))
print("more predictions learn at the end:", count["the end"] > count["epoch 1"])
print("and they overlap their objects better:", end.mean_iou() > start.mean_iou() + 0.1)
print("more of them on the finest level:", end.level_share(0) > start.level_share(0))

# %% [markdown] id="08-assign-moral"
# At first nothing is known, so geometry decides: a large white cell goes to the level whose anchors have its
# size. At the end the network decides by what it has learned, and most objects have moved to the finest level, which
# does best at this picture size. Nobody told it so.

# %% [markdown] id="08-anchor-view"
# ## One object, close up
#
# The same for a single object. Each thin frame is the anchor of a prediction that learns it, drawn around its
# cell. Early on those are chosen whose anchor happens to look like the object; later also small ones, because
# their predictions have learned to bend.

# %% id="08-anchor-view-code"
show(assignment_view.anchors_sheet(moments), quality=50, alt="anchors that learn one object, first and last")
item = assignment_view.most_central(end)
print("it is learned by more than one prediction:", min(len(s.lead.of(item)) for s in moments.values()) > 1)

# %% [markdown] id="08-long"
# ## A long run
#
# Here is our minute beside the run that made the bundled model: full width, photographs and drawn smears,
# 640 pixels. It was recorded by the same loop, in the same file, `history.jsonl`.

# %% id="08-long-code"
recorded = recorded_history()
chart = curves_figure({"our minute": curves.history, "bundled": recorded})
charts.present(chart, f"steps: {plan.steps}, and dashed {recorded[-1]['step']}", quality=55)

# %% [markdown] id="08-long-moral"
# Two things to read from it. The class term falls by orders of magnitude while box and objectness hardly move
# any more: telling a white cell from a red one is easy, saying where it ends is not. And the AP still creeps up
# when the loss looks flat. So it is the AP by which a run is judged, and the weights of its best moment are kept
# (`best.safetensors`).

# %% [markdown] id="08-ap"
# ## What AP is
#
# By hand, once. Three objects, four detections. Going down the scores, each takes the object that it overlaps
# by at least half, if that is still free; then it is right. After each, *precision* is the share of detections
# that were right so far, *recall* the share of objects that are found so far.

# %% id="08-ap-code"
right, scores = [True, False, True, False], [0.9, 0.8, 0.6, 0.4]
evaluation_view.precision_table(right, 3, scores)

# %% [markdown] id="08-ap-lift"
# Each point is then lifted to the best precision at its recall *or beyond*, and the curve is read at the 101
# recalls 0, 0.01, … 1. Their mean is the average precision at overlap 0.5, **AP50**. Here: 34 recalls (up to 0.33)
# at precision 1, 33 (up to 0.66) at 2/3, and 34 that are never reached:
#
# $$AP_{50} = \frac{34 \cdot 1 + 33 \cdot \tfrac{2}{3} + 34 \cdot 0}{101} = \frac{56}{101} \approx 0.554$$

# %% id="08-ap-figure"
from helpers.training.evaluation import score_detections

objects = Detections([[0, 0, 40, 40], [60, 0, 100, 40], [0, 60, 40, 100]], [1, 1, 1], [0, 0, 0])
boxes = [[0, 0, 40, 40], [2, 0, 42, 40], [60, 0, 92, 40], [70, 70, 110, 110]]
judged = score_detections([objects], [Detections(boxes, scores, [0, 0, 0, 0])], ["cell"])
line = f"by the evaluator: AP50 {judged.ap50:.4f}, by hand {56 / 101:.4f}"
charts.present(evaluation_view.list_figure(right, 3), line, quality=65)

# %% [markdown] id="08-ap-all"
# The second box lies right on an object and is still wrong, because that object was taken by a better one. The
# third overlaps by 0.8, so from overlap 0.85 on it is wrong, too. **AP** without a number is the mean over the
# ten overlaps 0.50, 0.55, … 0.95, and over the classes: it wants boxes that fit. Small, medium and large are
# under 32 x 32 pixels, under 96 x 96, and above. The evaluator is
# `faster-coco-eval`, a maintained form of COCO's own; a test holds it against that one.

# %% id="08-ap-all-code"
print(judged.to_table())
print(f"by hand, AP (7 * 56 + 3 * 34) / 1010 = {494 / 1010:.3f}")
sizes = {"small": report.ap_small, "medium": report.ap_medium}
print("our minute, AP of small cells below that of medium ones:", sizes["small"] < sizes["medium"])

# %% [markdown] id="08-confusion"
# ## What was taken for what
#
# One number hides which class is weak. On the left the curve of each class, with a dot where a score of 0.25 lies:
# go left for fewer wrong boxes, right for fewer missed ones. On the right the confusion matrix at that score: a
# row is the truth, a column what was found. The last column was missed, the last row was made up.

# %% id="08-confusion-code"
matrix = report.confusion(0.25)
chart = evaluation_view.evaluation_figure(report, score_threshold=0.25)
line = f"every object is in the matrix once: {matrix.counts[:-1].sum() == report.objects}"
charts.present(chart, line, quality=65)
print("confused with another class: under 5 % of the objects:", matrix.confused < 0.05 * report.objects)

# %% [markdown] id="08-mistakes"
# ## Every mistake has a kind
#
# Look at the mistakes before you change anything: each kind has another cure. Objects are thin and black, what is
# wrong is thick and red.
#
# | kind | what happened | often helps |
# |---|---|---|
# | missed | an object without a box | more such pictures; a larger input |
# | doubled | a second box on one object | a lower IoU limit in the NMS (lesson 02) |
# | confused | right place, wrong class | labels: look for the same confusion there |
# | loose | near an object, overlap under 0.5 | longer training; anchors; labels |
# | background | nothing of the kind is there | pictures without objects; or the label is what is missing |

# %% id="08-mistakes-code"
from helpers.course.mistakes_gallery import mistakes_gallery
from helpers.training.mistakes import count_mistakes

kinds = count_mistakes(report.mistakes(0.25))
gallery = mistakes_gallery(report, validation, score_threshold=0.25)
if gallery is not None:
    show(gallery, quality=50, alt="mistakes of the short run by kind")
wrong = sum(kinds.values()) - kinds["missed"]
kept = sum(len(each.above(0.25)) for each in report.found)
print("right and wrong make up all detections:", round(report.precision * kept) + wrong == kept)
print("most mistakes are about where, not what:", kinds["confused"] < kinds["doubled"] + kinds["loose"])

# %% [markdown] id="08-bundled"
# ## The bundled model
#
# The same judgement of the model that you have used all along, on drawn smears of full size that it never saw; and
# on photographs, if you have a folder of BCCD (`YOLOV7_BCCD`).

# %% id="08-bundled-code"
from helpers.network import build_network, fuse

grown = fuse(build_network(model.load()))
smears = [smear.truth for smear in course.drawn(6, first_seed=9200)] if model.name == "blood-cells" else []
photographs = [photo.truth for photo in course.photographs(12)] if smears else []
for kind, samples in (("drawn smears", smears), ("photographs", photographs)):
    if samples:
        judged = evaluate(predictor(grown, model.size_wh[0]), samples, model.names)
        print(f"{len(samples)} {kind}, AP50 at least 0.8: {judged.ap50 >= 0.8}\n{judged.confusion().to_table()}")
        if not course.is_headless():
            show(charts.render(evaluation_view.evaluation_figure(judged, title=kind)))

# %% [markdown] id="08-convert"
# ## Lessons 02 to 06, unchanged
#
# What you trained is a checkpoint like any other. Lesson 02 and 04 in one call, for the input size that it was
# trained at:

# %% id="08-convert-code"
from helpers.convert import Recipe, convert

weights = plan.out / "my-cells.safetensors"
shutil.copy(trained.weights, weights)
files = convert(weights, model.folder.parent, recipe=Recipe(size_wh=(SIZE, SIZE)))
for path in (files.raw, files.end2end, files.ultralytics):
    print(course.relative(path))

# %% [markdown] id="08-inspect"
# Lesson 03, what went in and what came out; the auxiliary head is gone:

# %% id="08-inspect-code"
import onnx

finished = onnx.load(files.ultralytics)
print("convolutions:", graph.op_counts(finished)["Conv"], "as in every YOLOv7-tiny")
graph.io_table(finished)

# %% [markdown] id="08-detect"
# Lesson 06, a picture in, boxes out:

# %% id="08-detect-code"
detector = Detector(files.ultralytics)
seen = detector.detect(picture.image_bgr)
show(draw(picture.image_bgr, seen, detector.names), width=300, quality=60, alt="boxes of your own model")
print("classes in the file:", ", ".join(detector.names), "  something was found:", len(seen) > 0)

# %% [markdown] id="08-one"
# ## One class
#
# A model that knows one class needs no class score: what is found must be it. So the score of a box is its
# objectness alone, the class term of the loss is 0, and the `1` that is left in the table (four numbers of the box,
# one objectness, one class) is there for the form's sake. Everything else stays: the same patches read it.

# %% id="08-one-code"
single = start_training("", ("cell",), width_multiple=0.25).network
targets[:, 1] = 0  # every object is a cell
levels = single.levels(images_nchw)
parts = lead_guided_loss(levels, (), targets, single.anchors_px, single.strides)
print("numbers a prediction:", levels[0].shape[-1], "  class term:", parts.classes)
with torch.inference_mode():
    print("decoded:", tuple(single.eval()(images_nchw).shape))

# %% [markdown] id="08-real"
# ## Your real run
#
# ```
# python -m helpers check-data pictures/            # what is wrong with it
# python -m helpers train pictures/ --epochs 100    # on the GPU, if there is one
# python -m helpers train pictures/ --epochs 100    # interrupted? the same line goes on
# python -m helpers evaluate build/train/pictures/best.safetensors --data pictures/ --details
# python -m helpers convert build/train/pictures/best.safetensors
# ```
#
# - It starts from `blood-cells`. `--start yolov7-tiny` starts from an official checkpoint (COCO, downloaded once),
#   `--start yolov7.pt` from a file, `--start ''` from nothing. Official weights are GPL-3.0: mind their licence.
# - `--size 640` is the input size at detection; `--batch 4 --accumulate 8` makes the batch of a large machine on a
#   small one. `--any-way-up` is for pictures without an up, such as cells.
# - How long? A step of eight windows of 416 pixels takes YOLOv7-tiny about half a second on two cores, so 6 000
#   steps are an hour; on a GPU it is minutes. `data/README.md` says what the bundled model took, and on which
#   device.
# - `evaluate --details` prints AP, confusion matrix and mistakes by kind, for a checkpoint, any ONNX file of this
#   course, or an engine.

# %% id="08-real-code"
seconds = [entry["seconds"] for entry in recorded if "seconds" in entry]
best = max((entry for entry in recorded if "AP50" in entry), key=lambda entry: entry["AP50"])
print(f"the bundled model: {recorded[-1]['step']} steps, {seconds[-1] / 60:.0f} minutes of training")
print(f"best on its validation photographs: AP50 {best['AP50']:.2f} at step {best['step']}")

# %% [markdown] id="08-summary"
# ## Summary
#
# - A folder in YOLO, COCO or Pascal VOC form is checked first: every flaw with file and line, to mend or to leave
#   out.
# - Anchors are checked against the objects, at the size at which the network sees them.
# - Two heads learn, one stays. The lead's present answers decide which predictions learn which object: few for
#   itself, more for the auxiliary head, and more of both as it gets better.
# - A run can be stopped at any moment and goes on with the same call.
# - AP50 is the area under the lifted precision-recall curve; AP asks for tight boxes, too. The confusion matrix and
#   the gallery say what to do about it.
# - The result is a checkpoint, and lessons 02 to 06 take it as it is.

# %% [markdown] id="08-exercises"
# ## Exercises
#
# Replace `...` and run the cell; the check says `right` or gives a hint.
# [Solutions](solutions/08_train.ipynb).
#
# **1. Write a label.** A labelling tool gives you boxes as `[x0, y0, x1, y1]` in pixels. Write a function that
# takes such a box, the picture's `(width, height)` and a class number, and returns the line of a YOLO label file
# (four decimals are enough).

# %% id="08-exercise-1"
answer = ...  # a function: box_xyxy, size_wh, class_id -> "class cx cy w h"
_ = exercises.check("08", 1, answer)

# %% [markdown] id="08-exercise-2-task"
# **2. Within reach.** An object of 20 × 90 pixels, and YOLOv7-tiny's nine official anchors (`official`). An anchor
# can learn it if neither side differs by a factor of four or more. How many of the nine can?

# %% id="08-exercise-2"
answer = ...  # a whole number
_ = exercises.check("08", 2, answer)

# %% [markdown] id="08-exercise-3-task"
# **3. AP by hand.** Write a function that takes the list of rights and wrongs, by falling score, and the number of
# objects, and returns the average precision at the 101 recalls, as above. It should know what to do with an empty
# list.

# %% id="08-exercise-3"
answer = ...  # a function: right, objects -> AP
_ = exercises.check("08", 3, answer)

# %% [markdown] id="08-next"
# Next: [09 · Scale out](09_scale_out.ipynb)
