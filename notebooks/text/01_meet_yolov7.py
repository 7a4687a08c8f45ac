# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="01-title"
# # 01 · Meet YOLOv7
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/01_meet_yolov7.ipynb) · English · [简体中文](zh-CN/01_meet_yolov7.ipynb)
#
# You meet the family: seven networks, drawn from one plan. You put them on a chart beside 24 rivals,
# check what the guides say about them figure by figure, build all seven and count what they cost, and see
# the two ideas that the paper is known for, scaling and re-parameterisation, as numbers that you can
# recompute.
#
# > **You need** nothing but this repository; about 10 seconds on two cores.
# >
# > **You get** no new file, but a feeling for which of the seven you want, and what its cost is made of.

# %% [markdown] id="01-contents"
# ## Contents
#
# - [Thirty-one detectors](#Thirty-one-detectors)
# - [Speed against accuracy](#Speed-against-accuracy)
# - [Who is beaten](#Who-is-beaten)
# - [Claims about pairs](#Claims-about-pairs)
# - [Claims about everybody](#Claims-about-everybody)
# - [Forty and fifty per cent](#Forty-and-fifty-per-cent)
# - [Seven networks, built and counted](#Seven-networks,-built-and-counted)
# - [The two forms of D6](#The-two-forms-of-D6)
# - [One plan, few parameters](#One-plan,-few-parameters)
# - [Why depth and width go together](#Why-depth-and-width-go-together)
# - [What the operations buy](#What-the-operations-buy)
# - [Three branches become one](#Three-branches-become-one)
# - [Before and after, for all seven](#Before-and-after,-for-all-seven)
# - [The guides' questions, answered by code](#The-guides'-questions,-answered-by-code)
# - [The verdicts](#The-verdicts)
# - [Citation](#Citation)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="01-colab" tags=["colab"]
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

# %% id="01-imports"
from helpers import course
from helpers.course import charts, exercises, sota
from helpers.table import Table

model = course.pick_model()

# %% [markdown] id="01-rows-text"
# ## Thirty-one detectors
#
# Both guides print the same table, from the YOLOv7 paper. Here it is as data. For each detector: millions
# of parameters, 10⁹ operations for one picture (*FLOPs*), the side of the square input, pictures a second
# on one V100 GPU with one picture at a time, and *AP*, average precision, the usual single figure for how
# good the boxes are: 0 to 100, higher is better. `test` and `val` are two sets of COCO pictures.

# %% id="01-rows"
rows = sota.comparison()
print(len(rows), "detectors,", len(sota.FAMILIES), "families")
header = ("model", "parameters, M", "FLOPs, G", "input", "pictures/s", "AP test", "AP val")
columns = ("model", "params_m", "flops_g", "size_px", "fps_v100", "ap_test", "ap_val")
picked = [rows[name] for name in ("YOLOv7-tiny-SiLU", "YOLOv7", "YOLOv7-E6E", "YOLOv5-N (r6.1)", "YOLOR-W6")]
Table(header, tuple(tuple(getattr(row, column) or "" for column in columns) for row in picked))

# %% [markdown] id="01-rows-note"
# Two things to know before comparing rows. YOLOv5 was published with `val` alone, so a comparison with it
# must use `val` on both sides. And all speeds were measured by one group on one GPU, years ago: they rank
# the rows of this table, and promise nothing about your machine.

# %% [markdown] id="01-chart-text"
# ## Speed against accuracy
#
# The table as a picture. Nothing is better than being far to the right *and* far to the top. In JupyterLab
# the chart is live: tick families on and off, choose an input size, rest the pointer on a mark to read its
# row. Elsewhere you see it still.

# %% id="01-chart"
from helpers.course import speed_chart

best = [row.model for row in sota.front(rows.values())]
speed_chart.explore(rows.values(), "on the dashed line, fastest first: " + ", ".join(best))

# %% [markdown] id="01-beaten-text"
# ## Who is beaten
#
# The dashed line is the *Pareto front*: the detectors that nobody beats, where to beat means to be at
# least as fast and at least as accurate, and better in one of the two. The line is computed from what is
# shown; hide YOLOv7 and see whom the field would choose without it.

# %% id="01-beaten"
v7 = [row for row in rows.values() if row.family == "YOLOv7"]
rivals = [row for row in rows.values() if row.family != "YOLOv7"]
unbeaten = [row for row in rivals if not sota.beaten_by(row, v7)]
print(f"{len(rivals) - len(unbeaten)} of {len(rivals)} rivals are beaten by a YOLOv7")
for row in unbeaten:
    print(f"not beaten: {row.model}, {row.fps_v100} pictures/s, AP {row.ap_val} val, {row.ap_test} test")

# %% [markdown] id="01-beaten-note"
# So the picture is clear, and not spotless. PPYOLOE-S fills the wide gap between YOLOv7-tiny and YOLOv7;
# YOLOR-W6, by the same group, sits between W6 and E6.

# %% [markdown] id="01-pairs-text"
# ## Claims about pairs
#
# The guides put sentences above the table. Each of their figures can be recomputed from two rows, so let
# us do that; `claims` notes a verdict for each. *Right* means that the result rounds to the guides'
# figure. First the smallest ones, with `val` because of YOLOv5:

# %% id="01-pairs-tiny"
from helpers.course.claims import Claims

claims = Claims()
tiny, n = rows["YOLOv7-tiny-SiLU"], rows["YOLOv5-N (r6.1)"]
faster, better = tiny.fps_v100 - n.fps_v100, tiny.ap_val - n.ap_val
claims.number("tiny is 127 fps faster than YOLOv5-N", 127, faster, "pictures/s")
claims.number("tiny has 10.7 % AP more than YOLOv5-N", 10.7, better, "points of val", digits=1)

# %% [markdown] id="01-pairs-tiny-note"
# Mind the unit: AP is itself a percentage, so a *difference* of 10.7 is 10.7 points. In per cent of
# YOLOv5-N's 28.0 it would be 38. The guides mean points wherever they write % of AP.
#
# A percentage of parameters is another matter: it is a share, and a share has a base. *41 % less than
# PPYOLOE-L* means 41 per cent **of PPYOLOE-L's parameters** are gone:

# %% id="01-pairs-ppyoloe"
base, large = rows["YOLOv7"], rows["PPYOLOE-L"]
same = base.ap_test == large.ap_test == 51.4
claims.statement("YOLOv7 has PPYOLOE-L's AP, 51.4 %", same, f"{base.ap_test} and {large.ap_test} test")
speeds = (base.fps_v100, large.fps_v100)
found = f"{speeds[0]} and {speeds[1]}"
claims.statement("YOLOv7 does so at 161 fps, PPYOLOE-L at 78", speeds == (161, 78), found)
fewer = sota.less(base.params_m, large.params_m)
claims.number("YOLOv7 has 41 % fewer parameters than PPYOLOE-L", 41, fewer, "% of PPYOLOE-L's")
print(f"\n1 - {base.params_m}/{large.params_m} = {fewer:.1f} %")
print(f"{large.params_m}/{base.params_m} - 1 = {sota.more(large.params_m, base.params_m):.1f} %")

# %% [markdown] id="01-pairs-base"
# There it is: 41 is the wrong way round. PPYOLOE-L has 41 % **more** than YOLOv7; YOLOv7 has 29 % **less**
# than PPYOLOE-L. Both lines compare the same two numbers, only the base differs. Does it happen again?

# %% id="01-pairs-x"
x, v5l, v5x = rows["YOLOv7-X"], rows["YOLOv5-L (r6.1)"], rows["YOLOv5-X (r6.1)"]
faster = x.fps_v100 - v5x.fps_v100
params, flops = sota.less(x.params_m, v5x.params_m), sota.less(x.flops_g, v5x.flops_g)
claims.number("X has 3.9 % AP more than YOLOv5-L", 3.9, x.ap_val - v5l.ap_val, "points of val", digits=1)
claims.number("X is 31 fps faster than YOLOv5-X", 31, faster, "pictures/s")
claims.number("X has 22 % fewer parameters than YOLOv5-X", 22, params, "% of YOLOv5-X's")
claims.number("X needs 8 % less computation than YOLOv5-X", 8, flops, "% of YOLOv5-X's")
claims.number("X has 2.2 % AP more than YOLOv5-X", 2.2, x.ap_val - v5x.ap_val, "points of val", digits=1)
print(f"\nthe other way round: {sota.more(v5x.params_m, x.params_m):.1f} % more parameters,", end=" ")
print(f"{sota.more(v5x.flops_g, x.flops_g):.1f} % more computation")

# %% [markdown] id="01-pairs-note"
# It does: 22 % is again the rival's surplus over YOLOv7-X. The 8 % come out right only because small
# percentages differ little between the two bases.

# %% [markdown] id="01-all-text"
# ## Claims about everybody
#
# The first paragraph of the guides speaks about *all known* detectors. A table of 31 cannot confirm that,
# but it can refute it, and it can say whether the claim holds within the table. That is how `right` is
# meant here. First the one about the top:

# %% id="01-all-top"
top = max((row for row in rows.values() if row.fps_v100 >= 30), key=lambda row: row.ap_val)
found = f"{top.model}, {top.ap_val} val, {top.ap_test} test, {top.fps_v100} pictures/s"
holds = (top.family, top.ap_test) == ("YOLOv7", 56.8)
claims.statement("YOLOv7 has the highest AP, 56.8 %, with 30 FPS or more", holds, found)

# %% [markdown] id="01-all-range-text"
# *Surpasses all in both speed and accuracy from 5 to 160 FPS*: every rival in that range would have to be
# beaten by a YOLOv7. (On `test` instead of `val` the answer is the same.)

# %% id="01-all-range"
inside = [row for row in rivals if 5 <= row.fps_v100 <= 160]
free = [row.model for row in inside if not sota.beaten_by(row, v7)]
found = f"{len(inside) - len(free)} of {len(inside)}, not {', '.join(free)}"
claims.statement("surpasses all up to 160 FPS, in speed and accuracy", not free, found)
slowest = min(row.fps_v100 for row in rows.values())
claims.not_checkable("surpasses all from 5 FPS on", f"no row is slower than {slowest} pictures/s")
for family in ("YOLOR", "YOLOX", "YOLOv5"):
    theirs = [row for row in rivals if row.family == family]
    beaten = sum(bool(sota.beaten_by(row, v7)) for row in theirs)
    claims.statement(f"YOLOv7 outperforms {family}", beaten == len(theirs), f"{beaten} of {len(theirs)} rows")
claims.not_checkable("YOLOv7 outperforms Scaled-YOLOv4", "not in the table")
claims.not_checkable("trained on COCO alone, from scratch", "a statement about training, not in the table")
ours = sum(row.family == "YOLOv7" for row in sota.front(rows.values()))
found = f"{ours} of {len(best)} on the front"
claims.statement("YOLOv7 has the best trade-off comprehensively", ours == len(best), found)


# %% [markdown] id="01-all-note"
# The exception is one detector, YOLOR-W6: no YOLOv7 has both its 66 pictures a second and its 54.8 of AP.
# A single counterexample makes an *all* wrong; it does not make the family any worse.

# %% [markdown] id="01-share-text"
# ## Forty and fifty per cent
#
# *Reduces about 40 % parameters and 50 % computation of state-of-the-art detectors*: of which ones, the
# guides do not say. So let each rival meet the smallest YOLOv7 that is at least as accurate, and see what
# is saved:

# %% id="01-share"
def saved(rival):
    match = min((row for row in v7 if row.ap_val >= rival.ap_val), key=lambda row: row.params_m)
    return match, sota.less(match.params_m, rival.params_m), sota.less(match.flops_g, rival.flops_g)


savings = {row.model: saved(row) for row in rivals}
lines = [(name, m.model, f"{p:.0f} %", f"{f:.0f} %") for name, (m, p, f) in savings.items() if p > 20]
print(Table(("rival", "smallest YOLOv7 as good", "parameters saved", "FLOPs saved"), tuple(lines)))
both = [name for name, (_, p, f) in savings.items() if p >= 40 and f >= 50]
print(f"\nat least 40 % and 50 % saved: {len(both)} of {len(rivals)} rivals ({', '.join(both)})")

# %% [markdown] id="01-share-note"
# The table shows where more than a fifth of the parameters is saved; YOLOX-X is the only rival against
# which both figures are reached, YOLOv5-X just misses the second. Against most of the small detectors
# nothing is saved at all: the family has no member between 38.7 and 51.2 of AP, so a rival in the gap
# meets one that is much more accurate and much larger. (The negative entries are W6's: it has a little
# fewer parameters than X, but takes pictures of 1280 pixels.)
#
# The sentence without a named rival cannot be checked. The FAQ's form of it, *compared to other state-of-the-art models*, can, and so can its sentence
# about parameters and speed: is there a YOLOv7, at least as accurate, that has fewer parameters *and* is
# faster?

# %% id="01-share-claims"
claims.not_checkable("saves about 40 % parameters and 50 % computation", "no rival is named")
found = f"reached against {len(both)} of {len(rivals)}"
claims.statement("FAQ: saves 40 % and 50 %, compared to other models", len(both) == len(rivals), found)
named = [row for row in rivals if row.family in ("YOLOX", "YOLOv5", "PPYOLOE")]
wins = [
    row
    for row in named
    if any(v.ap_val >= row.ap_val and v.params_m < row.params_m and v.fps_v100 > row.fps_v100 for v in v7)
]
text = "FAQ: surpasses YOLOX, YOLOv5, PPYOLOE in parameters and speed"
claims.statement(text, len(wins) == len(named), f"both against {len(wins)} of {len(named)}")
claims.number("FAQ: X has 22 % fewer parameters than YOLOv5-X", 22, params, "%, the wrong base again")
claims.number("FAQ: X has 2.2 % AP more than YOLOv5-X", 2.2, x.ap_val - v5x.ap_val, "points of val", digits=1)

# %% [markdown] id="01-count-text"
# ## Seven networks, built and counted
#
# The figures about YOLOv7 itself need not be believed either. `helpers.family` describes all seven; we
# build each, 80 classes, at its own input size, and count. One formula for all: an operation is a
# multiplication or an addition, so a convolution costs `2 · k · k · channels in · values out`, plus its
# bias. They are built on torch's `meta` device, which knows shapes and stores no numbers: 150 million
# parameters, and no memory.

# %% id="01-count"
from helpers.counts import compare_with_published


def line(c):
    ours, theirs = c.cost, c.published
    return (
        c.name, c.form, c.size, f"{ours.parameters_m:.2f}", theirs.parameters_m, f"{c.parameters_error:+.2%}",
        f"{ours.flops_g:.1f}", theirs.flops_g, f"{c.flops_error:+.2%}",
    )  # fmt: skip


compared = compare_with_published()
fits = [abs(c.parameters_error) < 0.005 and abs(c.flops_error) < 0.005 for c in compared]
print("all seven within 0.5 %:", all(fits[:7]))
header = ("variant", "form", "input", "parameters, M", "published", "off", "FLOPs, G", "published", "off")
Table(header, tuple(line(c) for c in compared[:7]))

# %% [markdown] id="01-count-note"
# Every figure is met, the largest deviation being the table's own rounding of 6.2 million. (The table's
# tiny has SiLU activations, the released `yolov7-tiny.pt` has LeakyReLU; that changes neither count.) But
# look at the column *form*: to meet the published figures, D6 had to be counted differently.

# %% [markdown] id="01-d6-text"
# ## The two forms of D6
#
# W6, E6, D6 and E6E are trained with an *auxiliary head*, a second set of outputs that helps the training
# and is thrown away afterwards. The published figures leave it out, for all but D6:

# %% id="01-d6"
training, deployed = (next(c for c in compared if (c.name, c.form) == ("yolov7-d6", form))
                      for form in ("training", "deploy"))  # fmt: skip
for c in (training, deployed):
    print(f"{c.form:8}  {c.cost.parameters_m:6.2f} M  {c.cost.flops_g:6.1f} G   published 154.7 M, 806.8 G")
others = [fit for fit, c in zip(fits, compared, strict=True) if c.name != "yolov7-d6"]
found = f"{sum(others)} of {len(others)} within 0.5 %"
claims.statement("table: what the six others cost", all(others), found)
claims.number("table: D6 has 154.7 M parameters", 154.7, deployed.cost.parameters_m, "M deployed", digits=1)
claims.number("table: D6 needs 806.8 GFLOPs", 806.8, deployed.cost.flops_g, "G deployed", digits=1)

# %% [markdown] id="01-d6-note"
# So the D6 that you would deploy is smaller than E6E, not larger, and cheaper than printed by an eighth.

# %% [markdown] id="01-plan-text"
# ## One plan, few parameters
#
# Seven networks, but not seven designs. Each is a value of one dataclass, `Variant`, and differs from its
# neighbour in a handful of fields. `Elan` is the block that they are all made of: a chain of 3×3
# convolutions, of which some links are concatenated.

# %% id="01-plan"
from dataclasses import fields

from helpers.family import VARIANTS


def changes(old, new):
    print(f"{old} -> {new}")
    for name in (f.name for f in fields(VARIANTS[old]) if f.name != "name"):
        pair = getattr(VARIANTS[old], name), getattr(VARIANTS[new], name)
        if pair[0] != pair[1]:
            print(f"   {name:12} {pair[0]} -> {pair[1]}")


for pair in (("yolov7", "yolov7x"), ("yolov7-w6", "yolov7-e6"), ("yolov7-e6", "yolov7-d6")):
    changes(*pair)
changes("yolov7-e6", "yolov7-e6e")


# %% [markdown] id="01-plan-note"
# `depth` is the number of 3×3 convolutions in a block, `width` a factor on the channels that leave it;
# the rest is how a block is joined, how the picture is halved, what stands before the head. E6E doubles
# every block: two of them read the same input, and their outputs are added.

# %% [markdown] id="01-compound-text"
# ## Why depth and width go together
#
# This is the *compound scaling* of the paper. In most networks you can add depth alone. Here you cannot:
# an ELAN block concatenates every second link of its chain, and both ends, so a deeper block has a wider
# concatenation, and whatever reads it must be widened by the same factor. Count the inputs of the first
# concatenation of each, and compare with its `width`:

# %% id="01-compound"
def inputs_of_concat(variant):
    return next(len(row.sources) for row in variant.rows() if row.module == "Concat")


names = ("yolov7", "yolov7x", "yolov7-w6", "yolov7-e6", "yolov7-d6")
first = inputs_of_concat(VARIANTS["yolov7"])
lines = [(name, v.depth, k := inputs_of_concat(v), f"{k}/{first} = {k / first:.2f}", f"{v.width:.2f}")
         for name in names for v in [VARIANTS[name]]]  # fmt: skip
print(Table(("variant", "depth", "concatenated", "grows by", "width"), tuple(lines)))
print("\nthe two agree everywhere:", all(grown.endswith(width) for *_, grown, width in lines))

# %% [markdown] id="01-compound-note"
# The last two columns are the same number. `width` is not a second knob that somebody tuned; it follows
# from `depth`. Turn one without the other and see what each contributes:

# %% id="01-compound-parts"
from dataclasses import replace

from helpers.counts import count

coco = tuple(f"class{number}" for number in range(80))
base = VARIANTS["yolov7"]
forms = {"YOLOv7": base, "depth 6": replace(base, depth=6), "width 1.25": replace(base, width=1.25),
         "both": replace(base, depth=6, width=1.25)}  # fmt: skip
costs = {name: count(variant.architecture(coco)) for name, variant in forms.items()}
chart = charts.bars({k: c.flops_g for k, c in costs.items()}, title="Scaling YOLOv7", unit="GFLOPs")
charts.present(chart, ", ".join(f"{name} {cost.parameters_m:.1f} M" for name, cost in costs.items()))

# %% [markdown] id="01-compound-x"
# (YOLOv7-X is *both*, with another neck: its blocks are joined like the backbone's.)

# %% [markdown] id="01-buy-text"
# ## What the operations buy
#
# The same seven once more, cost against accuracy. D6 stands where it is when deployed:

# %% id="01-buy"
cost = {c.name: c for c in compared[:7]} | {"yolov7-d6": deployed}
points = {name: (c.cost.flops_g, c.published.ap_val) for name, c in cost.items()}
chart, axes = charts.figure("Operations for one picture, and what they buy")
axes.set(xscale="log", xlabel="GFLOPs, as counted", ylabel="AP on COCO val, %")
axes.set(xlim=(10, 1400), ylim=(36, 60))
axes.set_xticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1000"])
axes.grid(color="#d9d6ce", linewidth=0.7)
axes.minorticks_off()
for place, (name, point) in enumerate(points.items()):
    axes.scatter(*point, 44, "#3b6fb6", zorder=3)
    apart = (-6, 8) if place % 2 else (4, -13)
    axes.annotate(name.removeprefix("yolov7-"), point, apart, textcoords="offset points", fontsize=9)
charts.present(chart, ", ".join(f"{name} {flops:.0f} G {ap}" for name, (flops, ap) in points.items()))
start, middle, end = points["yolov7-tiny"], points["yolov7"], points["yolov7-e6e"]
for a, b in ((start, middle), (middle, end)):
    print(f"{b[0] / a[0]:.1f} times the operations: {b[1] - a[1]:+.1f} points")

# %% [markdown] id="01-buy-note"
# About the same factor, twice; it buys 12.5 points at the lower end and less than half of that at the
# upper. That is the usual shape of such curves, and a reason to start with the small one.

# %% [markdown] id="01-rep-text"
# ## Three branches become one
#
# The other idea: **re-parameterisation**. While it is trained, a `RepConv` has three branches that are
# added: a 3×3 convolution, a 1×1 convolution and, where input and output have the same shape, the input
# itself; each with a BatchNorm. That trains better than one convolution. But convolution is linear, and
# so is a BatchNorm once its statistics are fixed. A 1×1 kernel is a 3×3 kernel with zeros around it, and
# *the input itself* is a 1×1 kernel that is 1 from a channel to itself. So the three are **one** 3×3.

# %% id="01-rep-fold"
import torch

from helpers.layers import RepConv, fold_batch_norm

_ = torch.manual_seed(7)
rep = RepConv(8, 8).double().eval()
for norm in (rep.rbr_dense[1], rep.rbr_1x1[1], rep.rbr_identity):
    norm.running_mean.uniform_(-0.5, 0.5)
    norm.running_var.uniform_(0.5, 2)
branches = [name for name, _ in rep.named_children() if name.startswith("rbr")]
print("branches:", ", ".join(branches))

# %% [markdown] id="01-rep-kernels-text"
# Each branch as a 3×3 kernel, its BatchNorm folded in. For the identity that is the BatchNorm's scale,
# `1 / sqrt(variance + 0.001)`:

# %% id="01-rep-kernels"
kernels = {name: torch.zeros(3, 3, dtype=torch.float64) for name in ("3×3", "1×1", "identity")}
kernels["3×3"] += fold_batch_norm(*rep.rbr_dense).weight[0, 0].detach()
kernels["1×1"][1, 1] = fold_batch_norm(*rep.rbr_1x1).weight[0, 0].item()
kernels["identity"][1, 1] = 1 / (rep.rbr_identity.running_var[0] + 1e-3).sqrt()
print("kernels:", ", ".join(f"{name} {list(kernel.shape)}" for name, kernel in kernels.items()))

# %% [markdown] id="01-rep-run-text"
# Now run it, fold it, run it again:

# %% id="01-rep-run"
images = torch.randn(1, 8, 32, 32, dtype=torch.float64)
before, parameters = rep(images), sum(p.numel() for p in rep.parameters())
rep.fuse()
after = rep(images)
print("largest difference of the outputs below 1e-12:", bool((before - after).abs().max() < 1e-12))
print(f"parameters {parameters} -> {sum(p.numel() for p in rep.parameters())}, convolutions 2 -> 1")

# %% [markdown] id="01-rep-figure-text"
# Here is one of its 64 kernels, from channel 0 to channel 0, before and after:

# %% id="01-rep-figure"
kernels["folded"] = rep.rbr_reparam.weight[0, 0].detach()
chart, axes = charts.figure("What the three branches add up to", (8.0, 2.3))
axes.set(xlim=(-0.2, 15.2), ylim=(-0.2, 3.9), aspect="equal")
axes.set_axis_off()
for place, (name, kernel) in enumerate(kernels.items()):
    left = 4 * place
    axes.imshow(kernel, extent=(left, left + 3, 0, 3), cmap="RdBu", vmin=-1.2, vmax=1.2)
    axes.text(left + 1.5, 3.25, name, ha="center", fontsize=10)
    axes.text(left + 3.5, 1.35, ("+", "+", "=", "")[place], ha="center", fontsize=15)
    for row, column in ((row, column) for row in range(3) for column in range(3)):
        value = kernel[row, column].item()
        axes.text(left + column + 0.5, 2.4 - row, f"{value:.2f}" if value else "0", ha="center", fontsize=8,
                  color="white" if abs(value) > 0.8 else "black")  # fmt: skip
added = sum(list(kernels.values())[:3])
charts.present(chart, f"their sum is the folded kernel: {torch.allclose(added, kernels['folded'])}")

# %% [markdown] id="01-whole-text"
# ## Before and after, for all seven
#
# Only YOLOv7 itself has RepConv, in three places (from 128 to 256 channels, 256 to 512, 512 to 1024: the
# shapes differ, so without the identity). But everything else folds in the same way: a BatchNorm goes into
# the convolution before it, the head's implicit layers, learned values that are added and multiplied, go
# into its 1×1 convolutions. `fuse` does all of it. First, that nothing changes, on a whole YOLOv7 of a
# quarter of the width, in double precision:

# %% id="01-whole"
from helpers import build_network
from helpers.family import describe
from helpers.network import fuse

small = build_network(describe("yolov7", ("a", "b"), training=True, width_multiple=0.25), dtype=torch.float64)
for norm in (module for module in small.modules() if isinstance(module, torch.nn.BatchNorm2d)):
    norm.running_mean.uniform_(-0.1, 0.1)
    norm.running_var.uniform_(0.5, 2)
folding = sum(isinstance(module, RepConv) for module in small.modules())
print(f"{folding} RepConv among {len(small.model)} layers")

# %% [markdown] id="01-whole-run-text"
# The statistics are made up, so that folding has something to do. One picture of noise through both forms:

# %% id="01-whole-run"
images = torch.rand(1, 3, 128, 128, dtype=torch.float64)
with torch.no_grad():
    before = small(images)
    after = fuse(small)(images)
print("output", list(after.shape))
print("largest difference below 1e-9 px:", bool((before - after).abs().max() < 1e-9))

# %% [markdown] id="01-cost-text"
# Then what it saves. *Trained* is everything that training needs, the auxiliary head included where there
# is one:

# %% id="01-cost"
from helpers.counts import reparameterization

table = []
for name in VARIANTS:
    old, new = (reparameterization(name)[form] for form in ("training", "deploy"))
    table.append((
        name, f"{old.parameters_m:.2f}", f"{new.parameters_m:.2f}", f"{old.flops_g:.1f}", f"{new.flops_g:.1f}",
        old.convolutions, new.convolutions, old.norms, new.norms,
    ))  # fmt: skip
    if name == "yolov7":
        found = f"{old.flops_g:.1f} GFLOPs become {new.flops_g:.1f}"
        claims.statement("FAQ: re-parameterised at no inference cost", new.flops <= old.flops, found)
header = ("variant", "M trained", "deployed", "GFLOPs trained", "deployed", "convolutions", "deployed")
Table((*header, "BatchNorms", "deployed"), tuple(table))

# %% [markdown] id="01-cost-note"
# Re-parameterisation proper is worth about one per cent of YOLOv7's operations. What counts more on a real
# machine is the last pair of columns: not one BatchNorm is left, each of which would have been a trip
# through memory. Lesson 02 folds the network before it is exported, for that reason.

# %% [markdown] id="01-faq-text"
# ## The guides' questions, answered by code
#
# **What is YOLOv7, and why is it considered a breakthrough?** A plan for seven networks, and a place on
# the front at nearly every speed: see [who is beaten](#Who-is-beaten).
#
# **How does it improve on YOLOv4 and YOLOv5?** YOLOv4 is not in the table. For YOLOv5, take in place of
# each the most accurate YOLOv7 that is at least as fast. (Speed alone decides here; that YOLOv7 has nearly
# twenty times the parameters of YOLOv5-N is another matter.)

# %% id="01-faq-v5"
table = []
for old in (row for row in rivals if row.family == "YOLOv5"):
    new = max((row for row in v7 if row.fps_v100 >= old.fps_v100), key=lambda row: row.ap_val)
    gain, speed = new.ap_val - old.ap_val, new.fps_v100 / old.fps_v100
    table.append((old.model, new.model, f"{gain:+.1f}", f"{speed:.2f}", f"{old.size_px} -> {new.size_px}"))
print("never less accurate:", all(float(line[2]) > 0 for line in table))
Table(("instead of", "take", "points of AP", "times the speed", "input, px"), tuple(table))

# %% [markdown] id="01-faq-ultralytics-text"
# **Can I use it with Ultralytics?** As an ONNX file or a TensorRT engine, yes; this course is about how
# that file is made. Here is Ultralytics reading the one that lesson 04 makes (it is made now if it is
# missing):

# %% id="01-faq-ultralytics"
import os

os.environ["YOLO_VERBOSE"] = "False"  # Ultralytics otherwise logs versions and timings
from ultralytics import YOLO

from helpers import Detector

path = course.need(model, "ultralytics")
picture = model.pictures(1)[0].image_bgr
result = YOLO(str(path), task="detect").predict(picture, conf=0.0, device="cpu", verbose=False)[0]
print("its labels are the model's:", tuple(result.names.values()) == tuple(model.names))
print("as many boxes as ours:", len(result.boxes) == len(Detector(path, providers="cpu").detect(picture)))

# %% [markdown] id="01-faq-train-text"
# **How do I train one on my own data?** The guides send you to the official repository. Here the pieces
# are in the package: name your classes, build, and let the loss fall. A narrow tiny, one drawn smear,
# twelve steps, to see the wheels turn; lesson 08 does it properly. `assign` is the *dynamic label
# assignment* of the paper: at each step it chooses anew which of the predictions learn from which cell.

# %% id="01-faq-train"
from helpers.training.augmentation import collate, fit
from helpers.training.loss import detection_loss
from helpers.training.smears import draw_smear

_ = torch.manual_seed(0)
mine = build_network(describe("yolov7-tiny", ("red", "white", "platelet"), width_multiple=0.25)).train()
images, targets = (torch.from_numpy(array) for array in collate([fit(draw_smear(1), 128)]))
print("input", list(images.shape), "with", len(targets), "cells")
print("channels of the head:", [conv.out_channels for conv in mine.head.m])

# %% [markdown] id="01-faq-train-run-text"
# The head has 3 anchors × (5 + 3 classes) = 24 channels at each of three strides. Twelve steps:

# %% id="01-faq-train-run"
optimiser = torch.optim.Adam(mine.parameters(), lr=2e-3)
history = []
for _ in range(12):
    loss = detection_loss(mine.levels(images), targets, mine.anchors_px, mine.strides)
    optimiser.zero_grad()
    loss.total.backward()
    optimiser.step()
    history.append((loss.total.item(), loss.positives))
losses, positives = zip(*history, strict=True)
print("more predictions than cells learn from them, at every step:", min(positives) > len(targets))
print("the loss fell by more than a fifth:", sum(losses[-3:]) < 0.8 * sum(losses[:3]))

# %% [markdown] id="01-faq-features"
# **What are its key features?** Re-parameterisation: [above](#Three-branches-become-one), three branches,
# one kernel, equal outputs. Scaling: [above](#Why-depth-and-width-go-together), `width` follows from
# `depth`. Dynamic label assignment: the cell before this, and lesson 08. *Efficiency*: it depends on the
# rival, as you saw.

# %% [markdown] id="01-verdicts-text"
# ## The verdicts
#
# Everything together. A *wrong* does not mean a bad network; it means that a sentence says more, or
# something else, than the figures under it.

# %% id="01-verdicts"
print(", ".join(f"{count_} {verdict}" for verdict, count_ in claims.counts().items()))
claims.table()

# %% [markdown] id="01-cite-text"
# ## Citation
#
# If you use the networks in a publication, cite the paper; `sota.BIBTEX` holds the entry. The authors'
# code and weights are theirs, under GPL-3.0; this course's code is original.

# %% id="01-cite"
print(sota.BIBTEX)

# %% [markdown] id="01-summary"
# ## Summary
#
# - Seven networks from one plan. Their published costs can be recomputed to half a per cent, D6's only in
#   the form in which it is trained.
# - Against 24 rivals, YOLOv7 is beaten nowhere and beats all but two. The guides' differences are right;
#   two of their percentages, 41 % and 22 %, have the wrong base: they should be 29 % and 18 %.
# - *p* per cent **less** and *p* per cent **more** have different bases. So state the base.
# - Scaling an ELAN network is compound: a deeper block has a wider concatenation, so the width follows.
# - What was several layers for training is one layer for use, with equal outputs: RepConv, BatchNorm,
#   implicit layers.

# %% [markdown] id="01-exercise-1-text"
# ## Exercises
#
# **1.** By how many per cent has YOLOv7-E6 fewer parameters than YOLOR-E6? Compute it from `rows`, to one
# digit after the point.

# %% id="01-exercise-1"
answer = ...  # a number, per cent
_ = exercises.check("01", 1, answer)

# %% [markdown] id="01-exercise-2-text"
# **2.** The family has nobody between tiny's 6 and YOLOv7's 37 million parameters. Make a `Variant` that
# has 20 to 30 million with 80 classes: `replace(VARIANTS[...], ...)`. Which fields, is up to you.

# %% id="01-exercise-2"
answer = ...  # a Variant
_ = exercises.check("01", 2, answer)


# %% [markdown] id="01-exercise-3-text"
# **3.** Fold by hand. `dense` is a 3×3 kernel `[c, c, 3, 3]`, `point` a 1×1 kernel `[c, c, 1, 1]`, both
# tensors. Return the one 3×3 kernel, `[c, c, 3, 3]`, that does what the 3×3, the 1×1 and the identity do
# together. (No BatchNorm here.)

# %% id="01-exercise-3"
def fold(dense, point):
    kernel = dense.clone()
    kernel[:, :, 1, 1] += 0 * point[:, :, 0, 0]  # something else belongs here
    return ...


_ = exercises.check("01", 3, fold)

# %% [markdown] id="01-next"
# [Solutions](solutions/01_meet_yolov7.ipynb)
#
# Next: [02 · Export](02_export.ipynb), where one of the seven leaves PyTorch.
