# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="07-title"
# # 07 · Quantize
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/07_quantize.ipynb) · English · [简体中文](zh-CN/07_quantize.ipynb)
#
# A network that computes in bytes needs a quarter of the memory, and a processor multiplies bytes several times
# faster. By the end of this page you have put the network in INT8, you have measured which of its layers do not
# bear that and kept them in float, and you can say what it cost in accuracy and what it brought in speed.
#
# > **You need** lesson 04's file (made for you if it is missing), about 25 seconds on two cores.
# >
# > **You get** `build/<model>/<model>-int8.onnx`, a quarter of the size, and its form for TensorRT.

# %% [markdown] id="07-contents"
# ## Contents
#
# - [A byte for a number](#A-byte-for-a-number)
# - [What flows through the network](#What-flows-through-the-network)
# - [Where the pairs sit](#Where-the-pairs-sit)
# - [All of it at once](#All-of-it-at-once)
# - [One layer at a time](#One-layer-at-a-time)
# - [Keep the worst in float](#Keep-the-worst-in-float)
# - [Box by box](#Box-by-box)
# - [Nothing may go back to float](#Nothing-may-go-back-to-float)
# - [Accuracy against speed](#Accuracy-against-speed)
# - [A CPU without VNNI](#A-CPU-without-VNNI)
# - [The form for TensorRT](#The-form-for-TensorRT)
# - [The file](#The-file)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="07-colab" tags=["colab"]
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

# %% [markdown] id="07-byte"
# ## A byte for a number
#
# *Quantising* a number means to round it to one of 256 steps and to keep only which step that was. Two numbers
# say where the steps lie: the **scale**, the distance from one to the next, and the **zero point**, the step
# that means 0. Back again it is `(byte - zero point) * scale`. By hand:

# %% id="07-byte-code"
import numpy as np
import onnx

from helpers import Detector, course, draw, graph, show
from helpers.course import charts, exercises
from helpers.drawing import side_by_side
from helpers.table import Table

model = course.pick_model()
path = course.need(model, "ultralytics")
full = onnx.load(path)

low, high = -1.0, 4.1  # the least and the greatest number that we want to reach
scale = (high - low) / 255
zero = round(-low / scale)
numbers = np.array([-1.0, -0.013, 0.0, 0.5, 4.1, 9.0])
bytes_ = np.clip(np.rint(numbers / scale) + zero, 0, 255).astype(np.uint8)
back = (bytes_.astype(int) - zero) * scale
rows = [(f"{a:g}", int(b), f"{c:.3f}") for a, b, c in zip(numbers, bytes_, back, strict=True)]
print(f"scale {scale:.3f}, zero point {zero}")
print(Table(("number", "byte", "back"), tuple(rows)))

# %% [markdown] id="07-byte-moral"
# Inside the range the error is at most half a step; 0 comes back exactly, which matters because convolutions pad
# with it. Outside, the number is cut off: 9 became 4.1. So there is a choice to make. A wide range cuts nothing
# off and has coarse steps; a narrow one has fine steps and cuts. In an ONNX graph two operators do all this,
# and they always come as a pair:

# %% id="07-byte-pair"
from onnx.reference import ReferenceEvaluator

pair = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
net (float[n] x, float scale, uint8 zero) => (float[n] y) {
    step = QuantizeLinear(x, scale, zero)
    y = DequantizeLinear(step, scale, zero) }""")
feeds = {"x": numbers.astype(np.float32), "scale": np.float32(scale), "zero": np.uint8(zero)}
(through,) = ReferenceEvaluator(pair).run(None, feeds)
print("the pair does the same:", bool(np.allclose(through, back, atol=1e-6)))

# %% [markdown] id="07-ranges"
# ## What flows through the network
#
# Weights are known, so their ranges are. What flows between the layers depends on the picture. So one shows the
# network some pictures and notes what passes: *calibration*. It takes no labels and few pictures, but they must
# be like those that will come, and never those by which the result is judged. ONNX Runtime brings the calibrator:

# %% id="07-ranges-code"
from helpers.calibration import calibration_pictures
from helpers.patches.quantize_ranges import calibrate

pictures, _ = calibration_pictures(model.names)
ranges = calibrate(full, pictures)
print(f"{len(pictures)} pictures, {len(ranges.limits)} values of the network")

# %% [markdown] id="07-ranges-text"
# Here are two of these values: what leaves the fourth convolution, and what leaves the last one, in the head. The
# bars are logarithmic, otherwise you would see the middle alone.

# %% id="07-ranges-figure"
from helpers.course.quantize_view import (
    compiled_counts,
    noise_chart,
    range_chart,
    short_name,
    trade_off_chart,
)
from helpers.patches.quantize_network import cut_network

network = cut_network(full)
convolutions = [node for node in network.graph.node if node.op_type == "Conv"]
values = {"the fourth": convolutions[3].output[0], "the last": convolutions[-1].output[0]}
early, last = (ranges.limits[value][1] - ranges.limits[value][0] for value in values.values())
coarser = f"the steps of the last are coarser: {last > early}"
charts.present(range_chart(ranges, values), coarser, quality=80)

# %% [markdown] id="07-ranges-moral"
# The grey part is what the 256 steps cover: all but the outermost hundred-thousandth. Inside the network a step is
# small. At the head it is several times that, because some outputs there are far below zero ("surely no cell"), and
# all outputs share one scale. Remember that; it will cost us.

# %% [markdown] id="07-pairs"
# ## Where the pairs sit
#
# `onnxruntime.quantization` also puts the pairs in. Ours is a thin layer above it: it cuts the network out of the
# graph, so that decoding and NMS never meet the quantiser, and puts it back. The head convolutions stay out, too,
# for now by hand. Around one convolution, before and after:

# %% id="07-pairs-code"
from IPython.display import SVG

from helpers.course.surgery import pair_svg
from helpers.patches.quantize import quantize

heads = [node.name for node in convolutions if node.output[0] in {v.name for v in network.graph.output}]
result = quantize(full, ranges, floats=heads)
middle = convolutions[3].name
around = graph.neighbourhood(result.model, middle, 2).nodes
own = [node.name for node in around if node.op_type != "Conv" or node.name == middle]
views = [graph.neighbourhood(full, middle, 1), graph.subgraph(result.model, own, [middle])]
print(result.report[0])
print("new kinds of nodes:", *sorted(graph.op_counts(result.model).keys() - graph.op_counts(full).keys()))
SVG(pair_svg(views, ("before", "after")))

# %% [markdown] id="07-pairs-text"
# Every value that travels is written as a byte (`QuantizeLinear`) and read back (`DequantizeLinear`). As it stands,
# that is *more* work than before. It is a message to the runtime: what stands between a DequantizeLinear and a
# QuantizeLinear may be computed in bytes. Weights have lost their first half: they lie in the file as bytes, with
# a scale for every output channel, because channels differ a lot:

# %% id="07-pairs-weights"
weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in full.graph.initializer}
largest = np.abs(weights[convolutions[10].input[1]]).max(axis=(1, 2, 3))
print(f"{len(largest)} channels; the largest weight of one is more than twice that of another:",
      bool(largest.max() > 2 * largest.min()))  # fmt: skip

# %% [markdown] id="07-naive"
# ## All of it at once
#
# What if nothing is kept out? This is what most one-line recipes do.

# %% id="07-naive-code"
naive = quantize(full, ranges, floats=[])
exact = Detector(full.SerializeToString(), providers="cpu")
careless = Detector(naive.model.SerializeToString(), providers="cpu")
picture = model.pictures(1)[0].image_bgr
sides = [draw(picture, each.detect(picture), model.names) for each in (exact, careless)]
show(side_by_side(*sides, captions=("FP32", "all in INT8")), quality=75)
print("boxes in FP32:", len(exact.detect(picture)))

# %% [markdown] id="07-naive-text"
# Look at the edges of the boxes. Cells are found, but the boxes sit badly, because position and size come in
# coarse steps. A number for that: AP in points over twelve drawn pictures. (For a model that knows no cells the
# boxes of the FP32 graph stand in for true ones, on that model's pictures.)

# %% id="07-naive-ap"
from helpers.training.evaluation import evaluate
from helpers.training.samples import Sample

if "RBC" in model.names:
    test = [each.truth for each in course.drawn(12, first_seed=9100)]
else:
    seen = [(each.image_bgr, exact.detect(each.image_bgr)) for each in model.pictures(8)]
    test = [Sample.of(image, boxes.boxes_xyxy, boxes.class_ids) for image, boxes in seen]


def ap(patched):
    """AP of a graph over the test pictures, in points."""
    detector = Detector(patched.SerializeToString(), providers="cpu")
    return 100 * evaluate(detector.detect, test, model.names).ap


aps = {"FP32": ap(full), "all INT8": ap(naive.model)}
print("all in INT8 loses more than 3 points of AP:", aps["FP32"] - aps["all INT8"] > 3)

# %% [markdown] id="07-scan"
# ## One layer at a time
#
# Which layer does the damage? Put one layer in INT8 and leave all others exact, then look at the head: how far are
# positions, sizes and scores off, after their sigmoid, weighted by how sure the network is? Then the next layer.
# A new graph for each would take minutes. So there is one graph with *switches*: each pair sits in the branch of
# an `If`.

# %% id="07-scan-code"
from helpers.patches.quantize import LIMIT
from helpers.patches.quantize_scan import Switchboard

board = Switchboard(network, ranges, runtime="onnxruntime")
found = board.scan(limit=LIMIT)
alone = {short_name(name): 1000 * noise for name, noise in found.noise.items()}
title = f"Noise at the head, one layer in INT8 alone: the worst 12 of {len(alone)}"
chart = charts.bars(dict(list(alone.items())[:12]), title=title, unit="‰", digits=1)
much = max(alone.values()) > 5 * np.median(list(alone.values()))
charts.present(chart, f"the worst does more than 5 times the damage of the median one: {much}", quality=80)

# %% [markdown] id="07-scan-heads"
# `77/m/0`, `/1` and `/2` are the head's own convolutions (of the bundled model; yours may be numbered otherwise):
# nothing comes after them that could average a rounding away, and their steps are the coarse ones from above. Does
# it make sense to look at layers one at a time, when all are rounded at once? Yes, if their errors have nothing to
# do with each other: then squares add up, and all together is no worse than the root of that sum.

# %% id="07-scan-sum"
together = board.noise(found.noise)
expected = np.sqrt(sum(noise**2 for noise in found.noise.values()))
print("all at once is no worse than that, by a third at most:", bool(together < 4 / 3 * expected))

# %% [markdown] id="07-keep"
# ## Keep the worst in float
#
# So take layers back to float until the noise is small. The head's convolutions in any case: on pictures that go
# beyond the calibrated ranges they suffer first. Of the others not simply the worst, because a layer in float costs
# its multiplications: the next one is always that which takes away most noise for its work. How small is small?
# 12 ‰, the dashed line; found by trying, with AP on photographs as the judge.

# %% id="07-keep-curve"
more = [*found.floats, *(name for name in found.noise if name not in found.floats)]
chart = noise_chart([board.noise(more[count:]) for count in range(16)], limit=LIMIT)
work = sum(board.work[name] for name in found.floats) / sum(board.work.values())
few = len(found.floats) < 10
charts.present(
    chart, f"fewer than 10 layers bring it within the limit: {few and found.curve[-1] <= LIMIT}", quality=80
)
print("their share of all multiplications is below 10 %:", bool(work < 0.1))

# %% [markdown] id="07-keep-call"
# `quantize` does all of that in one call: calibrate, scan, choose, put in. Its report names the layers; here we hand
# it the ranges and the choice that we have already.

# %% id="07-keep-result"
careful = quantize(full, ranges, floats=found.floats)
aps["INT8"] = ap(careful.model)
print("\n".join(careful.report[1:]))
print("loses less than 2 points of AP:", aps["FP32"] - aps["INT8"] < 2)

# %% [markdown] id="07-parity"
# ## Box by box
#
# AP is a mean. The question of lesson 06 is stricter: has every sure box a partner? INT8 is coarser than FP16, so
# the margins are wider: an overlap of 0.85, a score within 0.05.

# %% id="07-parity-code"
from helpers.detections import match


def partners(candidate, pictures):
    """How many sure boxes of the FP32 graph there are, and how many have a partner in another graph."""
    other, total, kept = Detector(candidate.SerializeToString(), providers="cpu"), 0, 0
    for each in pictures:
        a, b = exact.detect(each.image_bgr).above(0.45), other.detect(each.image_bgr)
        near = [abs(a.scores[i] - b.scores[j]) < 0.05 for i, j, _ in match(a, b, 0.85)]
        total, kept = total + len(a), kept + sum(near)
    return kept / max(1, total)


share = {"all INT8": partners(naive.model, test), "INT8": partners(careful.model, test)}
print("with a partner: more than 95 % of the boxes:", share["INT8"] > 0.95)
print("more than with all in INT8:", share["INT8"] > share["all INT8"])

# %% [markdown] id="07-photographs"
# Drawn pictures are tidy. If you have the photographs (`YOLOV7_BCCD`), the same question on them:

# %% id="07-photographs-code"
if photographs := course.photographs(8):
    print(f"{100 * partners(careful.model, photographs):.0f} % of the boxes have a partner")

# %% [markdown] id="07-bytes"
# ## Nothing may go back to float
#
# The pairs are a message; what does the runtime make of it? ONNX Runtime writes the graph that it really runs:

# %% id="07-bytes-code"
pairs, counts = graph.op_counts(careful.model), compiled_counts(careful.model)
rows = [(kind, pairs[kind], counts.get(kind, 0)) for kind in ("QuantizeLinear", "DequantizeLinear")]
rows.append(("Conv in bytes", 0, counts["QLinearConv"]))
print(Table(("operator", "in the file", "as it runs"), tuple(rows)))
print("nearly all pairs are gone:", sum(row[2] for row in rows[:2]) < 0.1 * sum(row[1] for row in rows[:2]))

# %% [markdown] id="07-bytes-text"
# From the picture to the head, everything now works on bytes: convolutions (`QLinearConv`), activations (a table
# with 256 entries: a byte goes in, a byte comes out), pooling, concatenation. Where that is not so, each step back
# to float costs a pass over memory, often more than the bytes had gained. Three edits beside the quantiser's make
# the way shorter still:
#
# | edit | why |
# |---|---|
# | one range for all that a `Concat` joins | bytes of one scale are only copied; of several, each is converted |
# | a channel of zeros beside the picture's three | the fast kernel takes four at a time, and refuses three |
# | `LeakyRelu` behind the `MaxPool` that alone reads it | the same maxima, of a quarter of the numbers |
#
# The last two change no result at all. Without them, the same boxes:

# %% id="07-bytes-pad"
from helpers.patches.quantize_network import join_network, layer_nodes
from helpers.patches.quantize_nodes import insert_qdq

stay = {node for name in found.floats for node in layer_nodes(network)[name]}
plain = join_network(full, insert_qdq(network, ranges, runtime="onnxruntime", floats=stay))
a, b = (
    Detector(each.SerializeToString(), providers="cpu").detect(picture) for each in (plain, careful.model)
)
print("Pad nodes:", graph.op_counts(plain).get("Pad", 0), "and", graph.op_counts(careful.model)["Pad"])
print("the same boxes:", len(a) == len(b) and bool(np.allclose(a.boxes_xyxy, b.boxes_xyxy)))

# %% [markdown] id="07-speed"
# ## Accuracy against speed
#
# Now the bill. Each form runs in turn, round after round, so that whatever else the machine does hits all alike; the
# medians are compared. FP16 is among them as a warning: a CPU has no fast FP16, so ONNX Runtime converts to
# FP32 and back, and all that is gained is a smaller file.

# %% id="07-speed-forms"
from helpers.patches.half import to_half

forms = {"FP32": full, "FP16": to_half(full).model, "all INT8": naive.model, "INT8, two edits less": plain}
forms |= {"INT8": careful.model}
for count in (10, 20, 40):
    forms[f"{count} in float"] = quantize(full, ranges, floats=more[:count]).model
print(len(forms), "forms")

# %% id="07-speed-rounds"
from time import perf_counter

from helpers import images
from helpers.session import open_session

feed = {"images": images.to_tensor(images.letterbox(picture, model.size_wh).image_bgr)}
sessions = {name: open_session(form.SerializeToString(), threads=1) for name, form in forms.items()}
rounds = []
for _ in range(6):
    rounds.append([])
    for session in sessions.values():
        started = perf_counter()
        session.run(None, feed)
        rounds[-1].append(perf_counter() - started)
seconds = np.array(rounds[1:])  # the first round warms up
speed = dict(zip(forms, np.median(seconds[:, :1] / seconds, axis=0).tolist(), strict=True))
print(seconds.shape[0], "rounds")

# %% [markdown] id="07-speed-table"
# On this machine, one thread, as measured a moment ago:

# %% id="07-speed-numbers" tags=["nbval-ignore-output"]
middle = np.median(1000 * seconds, axis=0)
rows = [(name, f"{ms:.0f}", f"{speed[name]:.2f}") for name, ms in zip(forms, middle, strict=True)]
print(Table(("form", "ms", "times as fast as FP32"), tuple(rows)))

# %% id="07-speed-figure"
aps |= {name: ap(form) for name, form in forms.items() if name not in aps}
best = max(aps[name] for name in forms if name != "all INT8")
close = f"the careful form is within 3 points of the best: {best - aps['INT8'] < 3}"
charts.present(trade_off_chart(speed, aps), close, quality=80)

# %% [markdown] id="07-speed-moral"
# The upper right corner is where one wants to be. Everything in INT8 is hardly faster than the careful form, and far
# below it: the head's convolutions do little work, so keeping them in float is nearly free. Keeping twenty or
# forty layers gives the speed away and gains nothing that one could see.

# %% [markdown] id="07-vnni"
# ## A CPU without VNNI
#
# VNNI is an instruction that multiplies four pairs of bytes and adds them to a 32-bit number. Processors before
# Cascade Lake (Intel, 2019) and Zen 4 (AMD, 2022) lack it, and take two steps: pairs are added in **16 bits**, and
# what does not fit is cut off. An unsigned byte times a signed one, twice:

# %% id="07-vnni-code"
worst = 255 * 127 * 2
print(f"largest sum of two products: {worst}; 16 bits end at 32767; what is left: {min(worst, 32767)}")
stored = {t.name: onnx.numpy_helper.to_array(t) for t in careful.model.graph.initializer}
whole = [w.reshape(len(w), -1).astype(int) for w in stored.values() if w.dtype == np.int8 and w.ndim == 4]
pairs = np.concatenate([np.abs(w[:, : w.shape[1] // 2 * 2].reshape(-1, 2)).sum(axis=1) for w in whole])
print(
    "pairs of weights that could overflow with bright inputs: more than 1 in 1000:",
    bool((pairs > 128).mean() > 1e-3),
)
print("and fewer than 1 in 10:", bool((pairs > 128).mean() < 0.1))

# %% [markdown] id="07-vnni-text"
# So on such a CPU the same file gives slightly *other* numbers, and is slower, too. The cure is to spend only seven bits
# on the weights (`reduce_range` in ONNX Runtime's quantiser), at the price of steps twice as coarse. Ours does not:
# it is made for processors of today. This is also why this page prints bounds, and not the digits of one machine.

# %% [markdown] id="07-tensorrt"
# ## The form for TensorRT
#
# TensorRT 10 and 11 take INT8 from the graph, like FP16: no calibrator, no flag. But its pairs must be *symmetric*: all
# zero points 0, signed bytes. And it wants fewer of them: it fuses convolution and activation by itself, and a
# pair between the two would only be in the way. So there is a second form:

# %% id="07-tensorrt-code"
symmetric = quantize(full, ranges, runtime="tensorrt", floats=found.floats)
kinds = {}
for name, form in (("onnxruntime", careful.model), ("tensorrt", symmetric.model)):
    zeros = {n.input[2] for n in form.graph.node if n.op_type == "QuantizeLinear"}
    values = [onnx.numpy_helper.to_array(t) for t in form.graph.initializer if t.name in zeros]
    counts = graph.op_counts(form)
    kinds[name] = (
        name,
        counts["QuantizeLinear"],
        counts["DequantizeLinear"],
        str(values[0].dtype),
        int(any(v.any() for v in values)),
    )
print(Table(("form for", "Q", "DQ", "type", "zero points other than 0"), tuple(kinds.values())))

# %% [markdown] id="07-tensorrt-run"
# ONNX Runtime runs this form as well, only not fast; which is enough to see that it finds the same. The operators and
# their types are held against TensorRT's own table in the course's tests. The choice of layers is the one from
# above here; `quantize(..., runtime="tensorrt")` without it scans this form by itself.

# %% id="07-tensorrt-parity"
aps["TensorRT's form"] = ap(symmetric.model)
print("loses less than 2 points of AP:", aps["FP32"] - aps["TensorRT's form"] < 2)

# %% [markdown] id="07-tensorrt-modelopt"
# NVIDIA has a quantiser of its own, modelopt. Its release 0.47 asks for onnx 1.21 and onnxruntime 1.24, and so cannot
# be installed beside this course's (lesson 05 met it, too). ONNX Runtime's serves both runtimes.

# %% [markdown] id="07-file"
# ## The file

# %% id="07-file-code"
from helpers.artifacts import Manifest, atomic_path

target = model.files.int8
with atomic_path(target) as temporary:
    onnx.save(careful.model, temporary)
Manifest(model.folder).record(target, call="quantize()", sources=[path])
small, large = target.stat().st_size, path.stat().st_size
print(course.relative(target), Manifest(model.folder).state(target))
print("less than a third of the size:", small < large / 3)
graph.io_table(careful.model)

# %% [markdown] id="07-file-text"
# Input, output and metadata are what they were, so everything that took the FP32 file takes this one: `Detector`,
# Ultralytics, your 20 lines of lesson 06. In one command, without this page, on pictures of yours:
# `python -m helpers convert best.pt --int8 --pictures folder`; for an ONNX file
# `python -m helpers patch model.onnx --form int8` (or `int8-tensorrt`).

# %% id="07-file-twice"
again = quantize(careful.model, ranges)
print("changed by a second time:", again.changed, "|", again.report[0])

# %% [markdown] id="07-summary"
# ## Summary
#
# - INT8 is a graph edit: pairs of Q and DQ nodes that tell a runtime what may be computed in bytes.
# - Ranges come from a few pictures of the kind that will come. Never calibrate on what you judge by.
# - All at once ruins the boxes. A scan finds the layers that do it; they are few, and cheap to keep in float.
# - Speed needs bytes all the way: one conversion back to float in between costs more than it looks.
# - Weights have a scale for each channel; what flows has one for each value.
# - For CPUs unsigned bytes and VNNI; for TensorRT symmetric pairs, on what convolutions read.

# %% [markdown] id="07-exercises"
# ## Exercises
#
# Replace `...` and run the cell; the check says `right` or gives a hint.
# [Solutions](solutions/07_quantize.ipynb).
#
# **1. Quantise.** Write a function `(x, low, high)` that returns the bytes of an array (`uint8`), the scale and the zero
# point. 0 must come back as exactly 0, so a range that does not contain it is first widened until it does.

# %% id="07-exercise-1"
answer = ...  # a function: array, low, high -> (bytes, scale, zero point)
_ = exercises.check("07", 1, answer)

# %% [markdown] id="07-exercise-2-task"
# **2. Who stayed behind?** Write a function that takes a model and returns the names of its `Conv` nodes that still
# compute in float. Careful: in a file with Q/DQ nodes the *types* of a convolution's inputs say FP32 everywhere.

# %% id="07-exercise-2"
answer = ...  # a function: model -> list of names
_ = exercises.check("07", 2, answer)

# %% [markdown] id="07-exercise-3-task"
# **3. Never too large.** On a CPU without VNNI, the sum of two products of an unsigned and a signed byte is cut off at
# 32767. Up to which magnitude may weights go, so that this can never happen, whatever the inputs?

# %% id="07-exercise-3"
answer = ...  # a whole number
_ = exercises.check("07", 3, answer)

# %% [markdown] id="07-next"
# Next: [08 · Train](08_train.ipynb)
