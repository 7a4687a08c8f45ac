# The text twin of a notebook: edit this file, then run python -m helpers course execute

# %% [markdown] id="09-title"
# # 09 · Scale out
#
# [Open in Colab](https://colab.research.google.com/github/OWNER/yolov7-graph-surgery/blob/main/notebooks/09_scale_out.ipynb) · English · [简体中文](zh-CN/09_scale_out.ipynb)
#
# One picture is a demonstration; a folder of a hundred thousand is a job. By the end of this page you can put
# several pictures into one run of the graph and know what that buys, send a folder through every core of a
# machine (or of a cluster, with the same call), pull the plug in the middle and go on where it was, and say
# before you start how long it will take.
#
# > **You need** lesson 04's files (made for you if they are missing) and, from the third section on, Ray Data,
# > which the course's set-up installs (where it is missing, the cells say so); about 40 seconds on two
# > cores.
# >
# > **You get** `build/<model>/<model>-batched.onnx`, and a folder of Parquet files with every box.

# %% [markdown] id="09-contents"
# ## Contents
#
# - [Several pictures in one run](#Several-pictures-in-one-run)
# - [What a batch buys](#What-a-batch-buys)
# - [A folder, as folders are](#A-folder,-as-folders-are)
# - [Workers](#Workers)
# - [The results are a table](#The-results-are-a-table)
# - [A bad file](#A-bad-file)
# - [Again, with news](#Again,-with-news)
# - [Pull the plug](#Pull-the-plug)
# - [How much faster?](#How-much-faster?)
# - [A plan for a cluster](#A-plan-for-a-cluster)
# - [The same call, elsewhere](#The-same-call,-elsewhere)
# - [Summary](#Summary)
# - [Exercises](#Exercises)

# %% id="09-colab" tags=["colab"]
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

# %% id="09-model"
import numpy as np

from helpers import Detector, course, images
from helpers.course import charts, exercises
from helpers.table import Table

model = course.pick_model()

# %% [markdown] id="09-batch-text"
# ## Several pictures in one run
#
# The file of lesson 04 takes one picture: Ultralytics and a plain engine want it so. Its sister leaves the
# first dimension open, `[B, 3, 640, 640]` in and `[B, 100, 6]` out, and every picture has 100 slots of its
# own.

# %% id="09-batch-files"
single = Detector(course.need(model, "ultralytics"), providers="cpu")
batched = Detector(course.need(model, "batched"), providers="cpu")

# %% [markdown] id="09-whose-text"
# That last part has to be made, because the NMS writes *one* list for all pictures, with a column that says
# whose row it is. The guide's script drops that column. With one picture nothing is lost; with four, the rows
# of all four land in one list of 100, and nobody knows any more where they belong. In our graph each row
# finds its picture's slots. A blank picture between the others stays empty:

# %% id="09-whose"
base = [picture.image_bgr for picture in model.pictures(4)]
four = [base[0], np.full_like(base[0], 230), *base[1:3]]
together = [result.detections for result in batched.detect_many(four, batch_size=len(four))]
for number, found in enumerate(together):
    alone = single.detect(four[number])
    print(f"picture {number}: alone {len(alone)} boxes, in the batch {len(found)}")

# %% [markdown] id="09-same-text"
# As many boxes is not yet the same boxes. Box by box:

# %% id="09-same"
from helpers.parity import Tolerance, compare_detections

reports = [compare_detections(single.detect(p), found) for p, found in zip(four, together, strict=True)]
print("every box has its partner within 0.05 px and 0.0001:", all(r.within(Tolerance()) for r in reports))

# %% [markdown] id="09-buys-text"
# ## What a batch buys
#
# On a GPU, a lot: one small picture cannot keep thousands of arithmetic units busy. On a CPU, little. One
# 640 × 640 picture already fills a core: in processor time, on one core of the machine where this page was
# written, a picture cost 62 ms alone, 62 in a batch of four and 68 in one of eight. Where several cores share a
# run, they wait for each other at the end of every operator; a batch makes these waits fewer, and the busier a
# machine, the longer they are. The sizes take turns here, so that what else the machine does hits all of them.

# %% id="09-buys"
import time
from statistics import median

eight = [np.roll(base[number % len(base)], 37 * number, axis=1) for number in range(8)]


def milliseconds(size):
    """For each of eight pictures, from pixels to boxes, `size` of them in a run."""
    started = time.perf_counter()
    boxes = sum(len(result.detections) for result in batched.detect_many(eight, batch_size=size))
    return 1000 * (time.perf_counter() - started) / len(eight), boxes


turns = [{size: milliseconds(size) for size in order} for order in ((1, 4, 8), (8, 4, 1), (1, 4, 8))]
taken = {f"batches of {size}": median(turn[size][0] for turn in turns) for size in (1, 4, 8)}
chart = charts.bars(taken, title="Milliseconds for each picture, on this machine", unit="ms")
same = {boxes for turn in turns for _, boxes in turn.values()}
charts.present(chart, f"batches of 1, 4 and 8, three times each; the same boxes each time: {len(same) == 1}")

# %% [markdown] id="09-folder-text"
# ## A folder, as folders are
#
# Sixteen pictures in two folders (a few smears, shifted, so that there are enough) stand for a hundred
# thousand. And because no large folder is without one: a file that was cut short when the disk was full.

# %% id="09-folder"
import shutil

work = model.folder / "lesson-09"
shutil.rmtree(work, ignore_errors=True)
folder = work / "pictures"


def view(number):
    """As many different pictures as we like."""
    return np.roll(base[number % len(base)], 37 * number, axis=1)


for number in range(16):
    images.save_image(folder / f"slide-{number % 2}" / f"{number:03}.jpg", view(number))
whole = (folder / "slide-0" / "000.jpg").read_bytes()
(folder / "slide-1" / "torn.jpg").write_bytes(whole[: len(whole) // 3])
print(f"{course.relative(folder)}: {len(list(folder.rglob('*.jpg')))} files")

# %% [markdown] id="09-workers-text"
# ## Workers
#
# A Python process can use many cores inside one operator, but not everywhere, and it lives on one machine. So
# the folder is cut into *parts*, and each part goes to a *worker*: a process of its own, with a session of
# its own that stays open. [Ray](https://docs.ray.io) starts the processes, hands out the parts, and starts a
# worker again if one dies. Its library for data, Ray Data, calls a worker like this an *actor*, and a row of
# workers an *actor pool*.
#
# ```text
#                     parts (names only)                      Parquet files
#   folder ──────►  Ray Data  ──────►  worker 1: session ──────►  part-3f….parquet
#   listed once               ──────►  worker 2: session ──────►  part-a1….parquet
#                             ◄──────  counts: pictures, boxes, errors
# ```
#
# Three decisions make it sturdy. **Only names travel**: a worker opens its pictures itself, so memory does
# not grow with the folder. **A worker reads ahead, but not far**: while the graph looks at one batch, two
# more are being read, and then reading waits. That is back-pressure, and it is why a quick disk cannot flood a
# slow network. **A worker writes its part's file itself**, under a temporary name, and renames it when it
# is whole.

# %% id="09-ray"
from contextlib import ExitStack
from importlib.util import find_spec

have_ray = find_spec("ray") is not None
REASON = "not run: Ray Data is not installed (the extra scale)"
running = ExitStack()
if have_ray:
    from helpers import scale

    ray = running.enter_context(scale.cluster(workers=2))
    print(f"Ray runs on this machine alone, with room for {ray.cluster_resources()['CPU']:.0f} workers")
else:
    print(REASON)

# %% [markdown] id="09-first-text"
# Usually you need not start Ray: `detect_folder` does, and stops it when it is done. Here it stays up for the
# whole lesson, to save the seconds. Parts are small, because the folder is (by default 64 pictures).

# %% id="09-first"
results = work / "results"


def look(results=results, workers=2):
    """Every picture of the folder that has no row yet."""
    return scale.detect_folder(folder, batched.path, results, workers=workers, part_size=2, batch_size=2)


if have_ray:
    first = look()
    print(first)
    print("in", len(list(results.glob("part-*.parquet"))), "Parquet files")
else:
    print(REASON)

# %% [markdown] id="09-table-text"
# ## The results are a table
#
# One row a picture; boxes, scores and classes are lists. Also in each row: what the file was when it was
# looked at (bytes, time), the hash of the model's file, the versions. Whoever finds this folder in a year can
# tell where it comes from.

# %% id="09-table"
if have_ray:
    table = scale.read_results(results)
    rows = table.to_pylist()
    print("columns:", ", ".join(table.column_names))
    best = [f"{max(row['scores'], default=0):.2f}" for row in rows]
    cells = [
        (r["path"], r["width"], r["height"], len(r["scores"]), s) for r, s in zip(rows, best, strict=True)
    ]
    print(Table(("path", "width", "height", "boxes", "best score"), tuple(cells[:4])))
else:
    print(REASON)

# %% [markdown] id="09-ask-text"
# Parquet is read by everything that works with tables: pandas, Polars, DuckDB, Spark. They take the whole
# folder at once, and most read only the columns that a question needs. How crowded are the slides?

# %% id="09-ask"
if have_ray:
    import pandas as pd

    frame = pd.read_parquet(results, columns=["path", "scores"])
    frame["boxes"] = frame["scores"].map(len)
    slides = frame.groupby(frame["path"].str.split("/").str[0])["boxes"].sum()
    chart = charts.bars(slides.to_dict(), title="Boxes by slide", unit="boxes")
    charts.present(chart, f"boxes by slide: {slides.to_dict()}; most in one picture: {frame['boxes'].max()}")
else:
    print(REASON)

# %% [markdown] id="09-bad-text"
# ## A bad file
#
# The torn file cost one row, and the row says why. The job went on. Neither would a picture stop it that
# *kills* its worker (it happens: decoders have bugs, memory has an end). Ray starts the worker again, the
# part is then looked at one picture at a time, and if it happens again, the picture at fault gets its row.

# %% id="09-bad"
if have_ray:
    bad = [(row["path"], row["error"].replace(str(len(whole) // 3), "…")) for row in rows if row["error"]]
    print(Table(("picture", "error"), tuple(bad)))
else:
    print(REASON)

# %% [markdown] id="09-again-text"
# ## Again, with news
#
# There is no second list of what is done: the rows *are* the list. A picture is done if its row names the
# size and time that the file has now. So calling again does nothing (it does not even start a worker), and
# when one picture is replaced and one is new, two are looked at.

# %% id="09-again"
if have_ray:
    print(look())
    images.save_image(folder / "slide-0" / "000.jpg", view(50))
    images.save_image(folder / "slide-0" / "new.jpg", view(51))
    print(look())
    print("one row a picture:", scale.read_results(results).num_rows == len(list(folder.rglob("*.jpg"))))
else:
    print(REASON)

# %% [markdown] id="09-plug-text"
# ## Pull the plug
#
# Now the real thing: another process does the job from the start, and as soon as it has written three parts
# it gets `kill -9`, the signal that a program cannot catch or tidy up after.

# %% id="09-plug"
import subprocess
import sys

script = "import sys; from helpers.scale import detect_folder as f; f(*sys.argv[1:], workers=2, part_size=1)"
second = work / "killed"
if have_ray:
    words = [sys.executable, "-c", script, *map(str, (folder, batched.path, second))]
    job = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    while len(list(second.glob("part-*"))) < 3 and job.poll() is None:
        time.sleep(0.002)
    job.kill()
    print("killed at work:", job.wait() != 0)
    kept = {path: path.stat().st_mtime_ns for path in second.glob("part-*")}
    print(f"parts that were finished: at least 3: {len(kept) >= 3}; all: {len(kept) == 18}")
else:
    print(REASON)

# %% [markdown] id="09-resume-text"
# The same call again, and it goes on. What was finished is not touched; what was half done is done again. A
# kill can cost each worker the part that it had in hand, and nothing else.

# %% id="09-resume"
if have_ray:
    resumed = look(second)
    print("every picture has its row:", resumed.before + resumed.done == resumed.pictures)
    print("what was done before was kept:", resumed.before >= len(kept))
    print("its files were not touched:", all(path.stat().st_mtime_ns == at for path, at in kept.items()))
    both = [scale.read_results(each).to_pylist() for each in (results, second)]
    counts = [[(row["path"], len(row["scores"])) for row in rows] for rows in both]
    print("as many boxes in every picture as in the job that was left in peace:", counts[0] == counts[1])
else:
    print(REASON)

# %% [markdown] id="09-faster-text"
# ## How much faster?
#
# Three ways through the folder: a plain loop whose session may use every core; one worker with one core; two
# workers with one core each (the very first run). Timed is the work alone, without starting processes.
#
# Compare the first and the last: the same cores, used inside a picture or across pictures. On the two cores
# where this page was made, with a folder this small, the loop is ahead. Inside a picture, cores wait for each
# other at the end of each operator, which costs little with two of them; across pictures nobody waits, and
# the work can leave the machine. What Ray costs comes before: the seconds in which processes start and load
# their libraries. For a hundred pictures the loop wins. For a hundred thousand, those seconds do not count.

# %% id="09-faster"
if have_ray:
    started = time.perf_counter()
    looked = sum(1 for _ in single.detect_many(folder / "slide-1", on_error="record"))
    loop = looked / (time.perf_counter() - started)
    one = look(work / "one-worker", workers=1)
    rates = {"a loop, every core": loop, "1 worker": one.pictures_per_s, "2 workers": first.pictures_per_s}
    chart = charts.bars(rates, title="Pictures a second, on this machine", digits=1)
    charts.present(chart, f"{one.done} pictures by 1 worker, {first.done} by 2")
else:
    print(REASON)

# %% [markdown] id="09-close-text"
# Enough of Ray; its processes go now.

# %% id="09-close"
running.close()
print("Ray is down:", not (have_ray and ray.is_initialized()))


# %% [markdown] id="09-plan-text"
# ## A plan for a cluster
#
# A cluster cannot be tried in a notebook, but it can be planned, because parts do not depend on each other.
# Twice as many workers do twice as much, until something that they share is used up; with pictures that is
# the storage. Put in your own numbers. The assumptions here: a core does 10 pictures a second, a GPU 400, a
# picture is 0.3 MB, the storage gives 400 MB a second in all, and everything is up after 60 seconds.

# %% id="09-plan"
def plan(pictures, workers, per_worker_s, *, picture_mb=0.3, storage_mb_s=400, start_s=60):
    """Seconds for a job, and what holds it up."""
    computing, reading = workers * per_worker_s, storage_mb_s / picture_mb
    seconds = start_s + pictures / min(computing, reading)
    return seconds, "computing" if computing < reading else "reading"


machines = {"a laptop, 2 cores": (2, 10), "a server, 32 cores": (32, 10), "4 servers, 128 cores": (128, 10)}
machines |= {"16 servers, 512 cores": (512, 10), "one GPU": (1, 400), "16 GPUs": (16, 400)}
lines = []
for name, (workers, rate) in machines.items():
    seconds, limit = plan(1_000_000, workers, rate)
    lines.append((name, f"{seconds / 3600:.0f} h" if seconds > 7200 else f"{seconds / 60:.0f} min", limit))
Table(("a million pictures on", "time", "held up by"), tuple(lines))

# %% [markdown] id="09-limit-text"
# Four times the servers, and hardly sooner done: from some number of cores on you would want a faster disk,
# or smaller pictures, rather than more machines. The bend is that number.

# %% id="09-limit"
counts = [2**power for power in range(11)]
hours = [plan(1_000_000, count, 10)[0] / 3600 for count in counts]
chart = charts.lines(counts, {"time": hours}, title="Time for a million pictures", x_label="cores")
chart.axes[0].set(xscale="log", yscale="log")
chart.axes[0].set_xticks(counts[::2], [str(count) for count in counts[::2]])
chart.axes[0].set_yticks([0.25, 1, 4, 16], ["15 min", "1 h", "4 h", "16 h"])
chart.axes[0].minorticks_off()
bend = next(count for count in range(1, 2000) if plan(1, count, 10)[1] == "reading")
charts.present(chart, f"more cores stop helping at {bend}")

# %% [markdown] id="09-elsewhere-text"
# ## The same call, elsewhere
#
# On a cluster, Ray runs already, and the job is told where. The code is the same:
#
# ```bash
# ray start --head                                     # on one machine
# ray start --address=head:6379                        # on every other
# python -m helpers detect-many /mnt/pictures --out /mnt/results --address auto
# ```
#
# It takes three things. Every machine has this package, in the same version. Every machine sees both folders
# under the same path: network storage, or a bucket that is mounted. And for GPUs, `--gpus 1` gives each worker
# one of its own (`0.5` shares it between two); then the batch counts, so try `--batch 32`. Without `--address`
# the command does what you have seen here, on your machine.

# %% [markdown] id="09-summary"
# ## Summary
#
# - `-batched.onnx` takes any number of pictures, and each has its own 100 slots. On a CPU that is handy rather
#   than fast.
# - Many pictures are parts, parts go to workers, and a worker is a process with one open session.
# - Only names travel, reading is bounded, and files are written whole: so memory stays level and a kill costs
#   little.
# - The results are a table and, at the same time, the list of what is done. A bad file is a row with a reason.
# - Workers scale until something shared is used up. A calculation on paper finds it before an invoice does.

# %% [markdown] id="09-exercises"
# ## Exercises
#
# Replace `...` and run the cell; the check says `right` or gives a hint.
# [Solutions](solutions/09_scale_out.ipynb).
#
# **1. How much is a batch?** A worker with `batch_size=8` hands the graph one tensor. How many bytes does it
# have?

# %% id="09-exercise-1"
answer = ...  # a whole number
_ = exercises.check("09", 1, answer)

# %% [markdown] id="09-exercise-2-task"
# **2. The invoice.** Two million pictures of 0.5 MB; 20 machines of 16 cores; a core does 4 pictures a second;
# the storage gives 300 MB a second; everything is up after 90 seconds. How many seconds does the job take?

# %% id="09-exercise-2"
answer = ...  # a number of seconds
_ = exercises.check("09", 2, answer)

# %% [markdown] id="09-exercise-3-task"
# **3. Somebody should look.** Write a function that takes rows, as `read_results(…).to_pylist()` gives them,
# and returns the paths that a person should look at, in the order of the rows: those with an error, and
# those whose best score is below 0.5. A picture in which nothing was found is not one of them.

# %% id="09-exercise-3"
answer = ...  # a function: rows -> list of paths
_ = exercises.check("09", 3, answer)

# %% [markdown] id="09-next"
# Next: [10 · When it breaks](10_when_it_breaks.ipynb)
