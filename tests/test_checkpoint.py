"""Official checkpoints load without running; everything else is one clear error."""

from __future__ import annotations

import json
import os
import pickle
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import official_form
import pytest
import torch
from official_form import FIXTURES, make_model, save, save_pickle, save_table
from safetensors.torch import save_file

from helpers.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from helpers.family import LayerRow
from helpers.network import build_network

HEADS = ("Detect", "IDetect", "IAuxDetect")


def load_and_build(path):
    return build_network(load_checkpoint(path))


def refused(path, match=None, *, also_build=False):
    """One line that names the file, says what was found and what to do."""
    with pytest.raises(CheckpointError, match=match) as caught:
        (load_and_build if also_build else load_checkpoint)(path)
    message = str(caught.value)
    assert "\n" not in message
    assert "Fix: " in message
    assert len(message) < 700
    assert also_build or str(path) in message


# --- What loads


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_official_form(tmp_path, head, half):
    model = make_model(head, half=half)
    checkpoint = load_checkpoint(save(tmp_path / "best.pt", model))
    expected = dict(model.state_dict())
    assert checkpoint.state_dict.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(checkpoint.state_dict[name], value), name
        assert checkpoint.state_dict[name].dtype == value.dtype
    a = checkpoint.architecture
    assert a.rows[2] == LayerRow(-1, 1, "Conv", (32, 3, 2, None, 1, "nn.LeakyReLU(0.1)"))
    assert a.rows[-1].module == head
    assert a.rows[-1].source == ((13, 14, 15, 16) if head == "IAuxDetect" else (13, 14))
    assert (a.strides, a.width_multiple, a.depth_multiple, a.input_channels) == ((8, 16), 0.5, 0.67, 3)
    assert a.anchors_px == (((10, 13), (16, 30)), ((33, 23), (30, 61)))
    assert checkpoint.names == a.names == ("a", "b", "c")


def test_plain_loading_would_need_the_modules(tmp_path):
    """The files made here are what the official ones are: torch alone cannot read them."""
    path = save(tmp_path / "best.pt", make_model())
    assert not [name for name in sys.modules if name == "models" or name.startswith("models.")]
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)
    with pytest.raises(ModuleNotFoundError):
        torch.load(path, weights_only=False)


@pytest.mark.parametrize("names", [("cell",), tuple(f"class {i}" for i in range(91))])
@pytest.mark.parametrize("as_dict", [False, True])
def test_class_names(tmp_path, names, as_dict):
    path = save(tmp_path / "best.pt", make_model(names=names, names_as_dict=as_dict))
    assert load_checkpoint(path).names == names


def test_numbers_as_names_become_text(tmp_path):
    assert load_checkpoint(save(tmp_path / "best.pt", make_model(names=(0, 1)))).names == ("0", "1")


def test_ema_is_preferred(tmp_path):
    model, ema = make_model(seed=1), make_model(seed=2)
    found = load_checkpoint(save(tmp_path / "last.pt", model, ema)).state_dict
    assert torch.equal(found["model.1.conv.weight"], ema.state_dict()["model.1.conv.weight"])


def test_a_file_from_the_middle_of_training(tmp_path):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
    model.train()(torch.rand(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    path = save(
        tmp_path / "last.pt",
        model,
        make_model(seed=3),
        updates=17,
        optimizer=optimizer.state_dict(),
        epoch=4,
        training_results="0/2 1.2 3.4\n",
        best_fitness=np.array([0.3]),
        wandb_id="abc",
    )
    assert load_checkpoint(path).names == ("a", "b", "c")


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_other_pickle_protocols(tmp_path, protocol):
    model = make_model()
    with official_form.official_modules():
        torch.save({"model": model}, tmp_path / "best.pt", pickle_protocol=protocol)
    assert len(load_checkpoint(tmp_path / "best.pt").state_dict) == len(model.state_dict())


def test_a_path_as_text(tmp_path):
    assert isinstance(load_checkpoint(str(save(tmp_path / "best.pt", make_model()))), Checkpoint)


def test_reading_twice_gives_independent_tensors(tmp_path):
    path = save(tmp_path / "best.pt", make_model())
    first, second = load_checkpoint(path), load_checkpoint(path)
    first.state_dict["model.1.conv.weight"].zero_()
    assert second.state_dict["model.1.conv.weight"].abs().sum() > 0
    path.write_bytes(b"")  # nothing is left mapped
    assert second.state_dict["model.1.conv.weight"].abs().sum() > 0


# --- What is refused


class Trick:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


PLACES = {
    "alone": lambda trick: trick,
    "as the model": lambda trick: {"model": trick},
    "in a list": lambda trick: {"model": None, "extra": [1, (trick,)]},
    "as a key's neighbour": lambda trick: {"epoch": 1, "optimizer": {"state": {0: trick}}},
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_nothing_of_a_hostile_file_runs(tmp_path, place, protocol):
    canary = tmp_path / "canary"
    path = save_pickle(tmp_path / "a.pt", place(Trick(os.system, f"touch {canary}")), protocol=protocol)
    refused(path, f"asks for `{os.system.__module__}.system`; nothing of it was run")
    assert not canary.exists()


def test_a_hostile_state_inside_a_real_model(tmp_path):
    canary = tmp_path / "canary"

    def change(model):
        model.model[3].hook = Trick(eval, f"open({str(canary)!r}, 'w')")

    refused(save_table(tmp_path / "a.pt", change), "asks for `__builtin__.eval`")
    assert not canary.exists()


FORBIDDEN = {
    "torch.load": torch.load,
    "torch.hub.load": torch.hub.load,
    "getattr": getattr,
    "print": print,
    "torch.storage._load_from_bytes": torch.storage._load_from_bytes,
    "Path": Path,
    "numpy.load": np.load,
    "numpy.fromfile": np.fromfile,
    "torch._utils._rebuild_qtensor": torch._utils._rebuild_qtensor,
}


@pytest.mark.parametrize("function", FORBIDDEN.values(), ids=FORBIDDEN)
def test_near_misses_are_refused_too(tmp_path, function):
    refused(save_pickle(tmp_path / "a.pt", {"model": Trick(function, "x")}), "asks for `")


@pytest.mark.parametrize("module", ["models.common", "models.yolo", "torch.nn.modules.conv"])
@pytest.mark.parametrize(
    "name", ["os.system", "Conv.forward", "torch.load", "load", "__init__", "_x", "Conv\n", ""]
)
def test_dotted_names_through_stack_global(tmp_path, module, name):
    def short(text):
        return b"\x8c" + bytes([len(text.encode())]) + text.encode()

    raw = b"\x80\x04" + short(module) + short(name) + b"\x93)R."
    refused(save_pickle(tmp_path / "a.pt", None, raw=raw), "asks for `")


def test_module_names_that_only_begin_well(tmp_path):
    for module in (
        "models.yolo.os",
        "models.evil",
        "torch.nn.modulesX",
        "torch.nn.modules.conv.os",
        "models",
        "torch",
    ):
        raw = b"\x80\x02c" + module.encode() + b"\nConv\n)\x81."
        refused(save_pickle(tmp_path / "a.pt", None, raw=raw), "asks for `")


def test_calling_a_layer_class(tmp_path):
    refused(
        save_pickle(tmp_path / "a.pt", None, raw=b"\x80\x02cmodels.common\nConv\n)R."),
        "calls `models.common.Conv`",
    )


def test_state_for_a_tensor(tmp_path):
    """A tensor's `__setstate__` could be made to point it at other memory; it is never reached."""
    path = tmp_path / "a.pt"
    torch.save({"t": torch.arange(4.0)}, path)
    refused(path, "a bare state dict")
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    end = pickled.rindex(b"R")  # the call that rebuilds the tensor
    hostile = pickled[: end + 1] + b")b" + pickled[end + 1 :]
    official_form.rewrite(path, lambda name, data: hostile if name.endswith("data.pkl") else data)
    refused(path, "sets the state of a TensorView")


FILES = {
    "empty": (b"", "an empty file"),
    "page": (b"<!DOCTYPE html>\n<html><title>Not found</title>", "an HTML page"),
    "text": (b"hello, this is no checkpoint\n" * 9, "a text file"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "a Git LFS pointer"),
    "bare pickle": (pickle.dumps({"model": 1}, 2), "a bare pickle or a file of torch before 1.6"),
    "binary": (b"\x89PNG\r\n\x1a\n" + bytes(99), "an unknown format"),
    "only a signature": (b"PK\x03\x04", "damaged or incomplete zip"),
    "safetensors under another name": (b"\x02\0\0\0\0\0\0\0{}", "safetensors, not a checkpoint"),
}


@pytest.mark.parametrize(("content", "match"), FILES.values(), ids=FILES)
def test_files_that_are_no_checkpoint(tmp_path, content, match):
    (tmp_path / "best.pt").write_bytes(content)
    refused(tmp_path / "best.pt", match)


def test_old_torch_file(tmp_path):
    torch.save({"model": 1}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    refused(tmp_path / "old.pt", "torch before 1.6")


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="none there"):
        load_checkpoint(tmp_path / "best.pt")
    refused(tmp_path, "got a folder")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "expected a dict with a `model`, got a NoneType"),
        ([1], "got a list"),
        ({}, "no model, but none"),
        ({"model": None}, "no model, but model"),
        ({"epoch": 1, "weights": 2}, "no model, but epoch, weights"),
        ({"model": "yolov7"}, "no model"),
        ({"a.weight": torch.ones(2), "b": torch.ones(1)}, "a bare state dict .2 tensors, no layer table"),
        ({"model": {"a.weight": torch.ones(2)}}, "a bare state dict .1 tensors"),
        ({"ema": {"a.weight": torch.ones(2)}, "model": None}, "a bare state dict .1 tensors"),
        (torch.nn.Conv2d(1, 1, 1), "got a torch.nn.modules.conv.Conv2d"),
        ({"model": torch.nn.Conv2d(1, 1, 1)}, "torch.nn.modules.conv.Conv2d has no layer table"),
    ],
)
def test_other_contents(tmp_path, content, match):
    torch.save(content, tmp_path / "a.pt")
    refused(tmp_path / "a.pt", match)


@pytest.mark.parametrize("entry", ["data/0", "data/7", "data.pkl"])
def test_a_missing_entry(tmp_path, entry):
    path = official_form.rewrite(save(tmp_path / "a.pt", make_model()), drop=[f"/{entry}"])
    refused(path, "is missing|not one torch.save wrote")


@pytest.mark.parametrize("change", [lambda d: d[:-4], lambda d: d + bytes(4), lambda _: b""])
def test_storage_sizes_that_do_not_match(tmp_path, change):
    path = save(tmp_path / "a.pt", make_model())
    official_form.rewrite(path, lambda name, data: change(data) if name.endswith("data/3") else data)
    refused(path, r"storage 3: expected \d+ bytes \(\d+ x torch.float32\), got \d+")


def test_every_cut_of_a_whole_checkpoint(tmp_path):
    path = save(tmp_path / "a.pt", make_model())
    data, cut = path.read_bytes(), tmp_path / "cut.pt"
    for end in [0, 1, 2, 3, 4, 5, 30, 60, *range(100, len(data), len(data) // 60), len(data) - 1]:
        cut.write_bytes(data[:end])
        refused(cut)


def test_flipped_bytes_of_the_pickle_raise_nothing_else(tmp_path):
    path = save(tmp_path / "a.pt", make_model("Detect"))
    raw = {}
    official_form.rewrite(path, raw.setdefault)
    pickled = next(data for name, data in raw.items() if name.endswith("data.pkl"))
    generator = np.random.default_rng(7)
    for position in generator.integers(0, len(pickled), 60):
        data = bytearray(pickled)
        data[position] = generator.integers(256)
        official_form.rewrite(
            path, lambda name, old, new=bytes(data): new if name.endswith("data.pkl") else old
        )
        with suppress(CheckpointError):
            load_and_build(path)


def edit_yaml(**changes):
    return lambda model: model.yaml.update(changes)


def edit_row(index, value, part="backbone"):
    def change(model):
        model.yaml[part][index] = value

    return change


def drop_state(name):
    def change(model):
        delattr(model, name)

    return change


def endless(model):
    """A module that holds itself."""
    model.model[1]._modules["again"] = model.model[1]


def wide(model):
    """Few modules that hold each other over and over."""
    inner = torch.nn.Module()
    for _ in range(14):
        outer = torch.nn.Module()
        outer._modules.update({str(i): inner for i in range(10)})
        inner = outer
    model._modules["wide"] = inner


def laughing(model):
    """Names that would be gigabytes of text."""
    name = ["ha"]
    for _ in range(40):
        name = [name, name]
    model.names = [name, "b", "c"]


def crowded(model):
    """One short row, thousands of times."""
    row = [-1, 1, "Conv", [16, 3, 1]]
    model.yaml["backbone"] = [row] * 3000


def shared(model):
    """One weight under many names."""
    weight = model.model[1].conv.weight
    for number in range(1000):
        model.model[1].register_parameter(f"again{number}", weight)


BROKEN = {
    "too many rows": (crowded, "at most 2000 rows of 200 values, got more"),
    "too many arguments": (edit_row(1, [-1, 1, "Conv", [8] * 201]), "at most 2000 rows of 200 values"),
    "too many sources": (edit_row(1, [[-1] * 201, 1, "Concat", [1]]), "at most 2000 rows of 200 values"),
    "endless depth": (edit_yaml(depth_multiple=1e9), "layers: expected at most 2000, got"),
    "one weight under many names": (shared, "one storage under many names"),
    "too many anchors": (
        lambda m: setattr(m.model[-1], "anchor_grid", torch.ones(2, 51, 2)),
        "at most 200, got 204",
    ),
    "too many strides": (lambda m: setattr(m, "stride", torch.arange(201)), "at most 200, got 201"),
    "no table": (drop_state("yaml"), "no layer table"),
    "a table of text": (lambda m: setattr(m, "yaml", "yolov7.yaml"), "no layer table"),
    "half a table": (lambda m: m.yaml.pop("head"), "no layer table"),
    "no names": (drop_state("names"), "missing 'names'"),
    "no stride": (drop_state("stride"), "missing 'stride'"),
    "no class count": (lambda m: m.yaml.pop("nc"), "missing 'nc'"),
    "no width": (lambda m: m.yaml.pop("width_multiple"), "missing 'width_multiple'"),
    "too few names": (lambda m: m.names.pop(), "2 class names for 3 classes"),
    "names as text": (lambda m: setattr(m, "names", "abc"), "names"),
    "names of lists": (lambda m: setattr(m, "names", [["a"], "b", "c"]), "names"),
    "names with gaps": (lambda m: setattr(m, "names", {0: "a", 2: "b", 3: "c"}), "layer table is damaged"),
    "names that laugh": (laughing, "names"),
    "no classes": (lambda m: (setattr(m, "names", []), m.yaml.update(nc=0)), "at least one class name"),
    "rows as text": (edit_yaml(backbone="Conv"), "layer 0: expected"),
    "no rows": (edit_yaml(backbone=[], head=[]), "one head"),
    "a short row": (edit_row(1, [-1, 1, "Conv"]), "layer 1: expected"),
    "a row of text": (edit_row(1, "Conv"), "layer 1: expected"),
    "a source of text": (edit_row(1, ["-1", 1, "Conv", [8]]), "layer 1: expected"),
    "sources of text": (edit_row(1, [["-1"], 1, "Conv", [8]]), "layer 1: expected"),
    "no sources": (edit_row(1, [[], 1, "Conv", [8]]), "layer 1: expected"),
    "a list as argument": (edit_row(1, [-1, 1, "Conv", [[8]]]), "layer 1 .Conv.: expected numbers"),
    "reads forward": (edit_row(1, [5, 1, "Conv", [16, 3, 1]]), "layer 1 .Conv.: reads layer 5"),
    "reads itself": (edit_row(1, [1, 1, "Conv", [16, 3, 1]]), "reads layer 1"),
    "reads too far back": (edit_row(1, [-2, 1, "Conv", [16, 3, 1]]), "reads layer -2"),
    "the first reads another": (edit_row(0, [0, 1, "ReOrg", []]), "reads layer 0"),
    "no repeats": (edit_row(1, [-1, 0, "Conv", [16, 3, 1]]), "1 to 100 repeats"),
    "endless repeats": (edit_row(1, [-1, 10**9, "Conv", [16, 3, 1]]), "1 to 100 repeats"),
    "a head in the middle": (edit_row(1, [-1, 1, "Detect", ["nc", "anchors"]]), "one head"),
    "no head": (lambda m: m.yaml["head"].pop(), "one head"),
    "another head": (edit_row(-1, [[13, 14], 1, "IKeypoint", ["nc"]], "head"), "one head .*got IKeypoint"),
    "too few inputs of the head": (edit_row(-1, [[13], 1, "Detect", ["nc"]], "head"), "expected 2 inputs"),
    "no anchor_grid": (lambda m: delattr(m.model[-1], "anchor_grid"), "missing 'model.17.anchor_grid'"),
    "an odd anchor_grid": (lambda m: setattr(m.model[-1], "anchor_grid", torch.ones(3)), "damaged"),
    "another number of levels": (
        lambda m: setattr(m.model[-1], "anchor_grid", torch.ones(3, 1, 2, 1, 1, 2)),
        "levels",
    ),
    "negative anchors": (lambda m: m.model[-1].anchor_grid.neg_(), "above 0"),
    "endless anchors": (lambda m: m.model[-1].anchor_grid.fill_(float("nan")), "above 0"),
    "a stride of text": (lambda m: setattr(m, "stride", "8"), "damaged"),
    "a broken stride": (lambda m: setattr(m, "stride", torch.tensor([8.5, 16])), "whole numbers"),
    "a stride that is none": (lambda m: setattr(m, "stride", torch.tensor([float("nan"), 16])), "damaged"),
    "an endless stride": (lambda m: setattr(m, "stride", torch.tensor([float("inf"), 16])), "damaged"),
    "strides upside down": (lambda m: setattr(m, "stride", torch.tensor([16, 8])), "smallest first"),
    "a width of text": (edit_yaml(width_multiple="wide"), "damaged"),
    "no width at all": (edit_yaml(width_multiple=0), "above 0"),
    "an endless width": (edit_yaml(width_multiple=float("inf")), "above 0"),
    "negative channels": (edit_yaml(ch=-3), "above 0"),
    "modules inside themselves": (endless, "nested endlessly"),
    "modules without number": (wide, "nested endlessly"),
    "modules of another kind": (lambda m: setattr(m, "_modules", [1]), ""),
}


@pytest.mark.parametrize(("change", "match"), BROKEN.values(), ids=BROKEN)
def test_broken_tables(tmp_path, change, match):
    model = make_model("Detect")
    path = tmp_path / "a.pt"
    if match:
        change(model)
        refused(save(path, model), match)
    else:  # what torch would not let us build is written into the pickle
        save(path, model)
        raw = (
            b"\x80\x02}X\x05\x00\x00\x00modelcmodels.yolo\nModel\n)\x81}(X\x04\x00\x00\x00yaml}("
            b"X\x08\x00\x00\x00backbone]X\x04\x00\x00\x00head]uX\x08\x00\x00\x00_modules]K\x01aubs."
        )
        refused(save_pickle(path, None, raw=raw), "damaged")


UNBUILDABLE = {
    "unknown layer": (edit_row(8, [-1, 1, "GhostConv", [5]]), "layer 8: expected one of .*got 'GhostConv'"),
    "code as layer": (edit_row(8, [-1, 1, "__import__('os').system('touch canary')", []]), "not supported"),
    "no arguments": (edit_row(1, [-1, 1, "Conv", []]), "layer 1 .Conv.: its arguments do not fit"),
    "too many arguments": (edit_row(8, [-1, 1, "SP", [5, 1, 1, 1]]), "layer 8 .SP."),
    "channels of text": (edit_row(1, [-1, 1, "Conv", ["many"]]), "layer 1 .Conv."),
    "negative channels": (edit_row(1, [-1, 1, "Conv", [-16]]), "layer 1 .Conv."),
    "endless channels": (edit_row(1, [-1, 1, "Conv", [float("inf")]]), "layer 1 .Conv."),
    "channels beyond memory": (edit_row(1, [-1, 1, "Conv", [10**8, 3, 1]]), "do not fit"),
    "code as activation": (
        edit_row(1, [-1, 1, "Conv", [16, 3, 1, None, 1, "__import__('os').abort()"]]),
        "activation",
    ),
    "a RepConv of 5x5": (edit_row(3, [-1, 1, "RepConv", [64, 5, 1]], "head"), "expected a 3x3 kernel"),
    "other channels": (
        edit_row(1, [-1, 1, "Conv", [64, 3, 1]]),
        "weights do not fit the layers: size mismatch",
    ),
    "a missing layer": (edit_row(4, [-1, 1, "MP", []]), "do not fit"),
    "sizes that do not concatenate": (
        edit_row(2, [[-1, 2], 1, "Concat", [1]], "head"),
        "do not fit each other",
    ),
    "another stride": (
        lambda m: setattr(m, "stride", torch.tensor([8.0, 32.0])),
        "strides: expected|do not fit each",
    ),
    "much depth": (
        lambda m: (edit_yaml(depth_multiple=150)(m), edit_row(1, [-1, 3, "Conv", [16, 3, 1]])(m)),
        "repeats, expected at most 100|layers: expected at most 2000",
    ),
    "a weight too few": (lambda m: delattr(m.model[1].bn, "weight"), "Missing key"),
    "a weight too many": (
        lambda m: m.model[1].register_parameter("more", torch.nn.Parameter(torch.ones(1))),
        "Unexpected key",
    ),
    "weights of whole numbers": (
        lambda m: m.model[1].conv._parameters.update(weight=m.model[1].conv.weight.long()),
        "do not fit",
    ),
}


@pytest.mark.parametrize(("change", "match"), UNBUILDABLE.values(), ids=UNBUILDABLE)
def test_tables_that_cannot_be_built(tmp_path, change, match):
    refused(save_table(tmp_path / "a.pt", change), match, also_build=True)


# --- Our own format


@pytest.fixture
def checkpoint(tmp_path):
    return load_checkpoint(save(tmp_path / "best.pt", make_model("IAuxDetect")))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, None])
def test_safetensors_round_trip(tmp_path, checkpoint, dtype):
    path = tmp_path / "out" / "best.safetensors"
    described = Checkpoint(checkpoint.architecture, checkpoint.state_dict, {"licence": "MIT"})
    save_checkpoint(described, path, dtype=dtype)
    found = load_checkpoint(path)
    assert found.architecture == checkpoint.architecture
    assert found.metadata == {"licence": "MIT"}
    assert found.state_dict.keys() == checkpoint.state_dict.keys()
    for name, value in checkpoint.state_dict.items():
        wanted = value.to(dtype) if dtype and value.is_floating_point() else value
        assert torch.equal(found.state_dict[name], wanted)
        assert found.state_dict[name].dtype == wanted.dtype
    build_network(found)
    assert list(path.parent.iterdir()) == [path]


def test_safetensors_bytes_are_the_same_every_time(tmp_path, checkpoint):
    save_checkpoint(checkpoint, tmp_path / "a.safetensors")
    save_checkpoint(checkpoint, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_safetensors_by_another_name(tmp_path, checkpoint):
    with pytest.raises(CheckpointError, match=r"expected a name in \.safetensors, got best\.pt"):
        save_checkpoint(checkpoint, tmp_path / "best.pt")


def test_somebody_elses_safetensors(tmp_path):
    path = tmp_path / "llm.safetensors"
    save_file({"a": torch.ones(2)}, path)
    refused(path, "without this project's `yolov7` description")


DESCRIPTIONS = {
    "no json": "{",
    "a list": "[]",
    "empty": "{}",
    "deep": "[" * 100_000,
    "rows missing": json.dumps({"names": ["a"]}),
}


@pytest.mark.parametrize("description", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_damaged_description(tmp_path, description):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(2)}, path, {"yolov7": description})
    refused(path, "`yolov7` description is damaged")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rows", [[9, 1, "Conv", [8]]]),
        ("names", []),
        ("names", [1]),
        ("strides", [8, "16"]),
        ("width_multiple", -1),
    ],
)
def test_hostile_description(tmp_path, checkpoint, key, value):
    path = tmp_path / "a.safetensors"
    save_checkpoint(checkpoint, path)
    text = json.loads(_metadata(path)["yolov7"]) | {key: value}
    save_file({"a": torch.ones(2)}, path, {"yolov7": json.dumps(text)})
    refused(path, "`yolov7` description")


def _metadata(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return file.metadata()


def test_every_cut_of_safetensors(tmp_path, checkpoint):
    path = tmp_path / "a.safetensors"
    save_checkpoint(checkpoint, path)
    data = path.read_bytes()
    for end in [0, 5, 8, 9, 20, *range(100, len(data), len(data) // 20), len(data) - 1]:
        path.write_bytes(data[:end])
        refused(path)
    path.write_text("<html>")
    refused(path, "an HTML page")


# --- The official code's own files


@pytest.mark.shared
@pytest.mark.parametrize("name", FIXTURES)
def test_fixtures(fixtures, name):
    before = set(sys.modules)
    checkpoint = load_checkpoint(fixtures / f"{name}.pt")
    assert len(checkpoint.names) == 80
    assert checkpoint.names[:2] == ("person", "bicycle")
    assert not [module for module in set(sys.modules) - before if module.startswith("models")]


@pytest.mark.shared
def test_every_fixture_is_tested(fixtures):
    assert sorted(path.stem for path in fixtures.glob("*.pt")) == sorted(FIXTURES)
