"""Checkpoints in the official form, made here: pickled modules of `models.yolo` and `models.common`.

The classes below are stand-ins written for these tests, plain and slow; they carry the parameter names and
attributes of the official ones, so a file saved from them has the official form, and `predict` says what
the file means. The modules `models.*` exist while a file is written and never else.
"""

from __future__ import annotations

import io
import math
import pickle
import sys
import types
import zipfile
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from torch import nn
from torch.nn import functional

ANCHORS = [[10, 13, 16, 30], [33, 23, 30, 61]]
BACKBONE = [
    [-1, 1, "ReOrg", []],
    [-1, 1, "Conv", [16, 3, 1]],
    [-1, 1, "Conv", [32, 3, 2, "None", 1, "nn.LeakyReLU(0.1)"]],
    [-1, 1, "DownC", [32]],
    [-1, 3, "Conv", [32, 3, 1]],
    [[-1, -2], 1, "Shortcut", [1]],
    [-1, 1, "MP", []],
    [-1, 1, "SPPCSPC", [32]],
    [-1, 1, "SP", [5]],
    [[-1, -2], 1, "Concat", [1]],
]
NECK = [
    [-1, 1, "Conv", [32, 1, 1]],
    [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
    [[-1, 5], 1, "Concat", [1]],
    [-1, 1, "RepConv", [64, 3, 1]],
    [10, 1, "RepConv", [64, 3, 1]],
    [13, 1, "Conv", [32, 3, 1]],
    [14, 1, "Conv", [32, 3, 1]],
]
STRIDES = (8, 16)

# The official code's own files in ../shared/fixtures.
FIXTURES = (
    "deploy-yolov7-d6",
    "deploy-yolov7-e6",
    "deploy-yolov7-tiny",
    "deploy-yolov7-w6",
    "deploy-yolov7",
    "deploy-yolov7x",
    "genuine-structure-yolov7-tiny",
    "training-yolov7-e6e",
    "training-yolov7-tiny",
    "training-yolov7-w6",
    "training-yolov7",
)


def _norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)


class Conv(nn.Module):
    def __init__(self, c1, c2, k=1, s=1, p=None, g=1, act=True):
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, s, k // 2 if p is None else p, groups=g, bias=False)
        self.bn = _norm(c2)
        self.act = nn.SiLU() if act is True else act if isinstance(act, nn.Module) else nn.Identity()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class RepConv(nn.Module):
    def __init__(self, c1, c2, k=3, s=1):
        super().__init__()
        self.deploy, self.groups, self.in_channels, self.out_channels = False, 1, c1, c2
        self.act = nn.SiLU()
        self.rbr_identity = _norm(c1) if c1 == c2 and s == 1 else None
        self.rbr_dense = nn.Sequential(nn.Conv2d(c1, c2, k, s, 1, bias=False), _norm(c2))
        self.rbr_1x1 = nn.Sequential(nn.Conv2d(c1, c2, 1, s, 0, bias=False), _norm(c2))

    def forward(self, x):
        identity = 0 if self.rbr_identity is None else self.rbr_identity(x)
        return self.act(self.rbr_dense(x) + self.rbr_1x1(x) + identity)


class MP(nn.Module):
    def __init__(self, k=2):
        super().__init__()
        self.m = nn.MaxPool2d(k, k)

    def forward(self, x):
        return self.m(x)


class SP(nn.Module):
    def __init__(self, k=3, s=1):
        super().__init__()
        self.m = nn.MaxPool2d(k, s, k // 2)

    def forward(self, x):
        return self.m(x)


class Concat(nn.Module):
    def __init__(self, dimension=1):
        super().__init__()
        self.d = dimension

    def forward(self, xs):
        return torch.cat(xs, self.d)


class Shortcut(nn.Module):
    def __init__(self, dimension=0):
        super().__init__()
        self.d = dimension

    def forward(self, xs):
        return xs[0] + xs[1]


class ReOrg(nn.Module):
    def forward(self, x):
        even, odd = x[:, :, ::2], x[:, :, 1::2]
        return torch.cat([even[..., ::2], odd[..., ::2], even[..., 1::2], odd[..., 1::2]], 1)


class DownC(nn.Module):
    def __init__(self, c1, c2, n=1, k=2):
        super().__init__()
        self.cv1, self.cv2, self.cv3 = Conv(c1, c1), Conv(c1, c2 // 2, 3, k), Conv(c1, c2 // 2)
        self.mp = nn.MaxPool2d(k, k)

    def forward(self, x):
        return torch.cat((self.cv2(self.cv1(x)), self.cv3(self.mp(x))), 1)


class SPPCSPC(nn.Module):
    def __init__(self, c1, c2):
        super().__init__()
        self.cv1, self.cv2, self.cv3, self.cv4 = Conv(c1, c2), Conv(c1, c2), Conv(c2, c2, 3), Conv(c2, c2)
        self.m = nn.ModuleList([nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13)])
        self.cv5, self.cv6, self.cv7 = Conv(4 * c2, c2), Conv(c2, c2, 3), Conv(2 * c2, c2)

    def forward(self, x):
        a = self.cv4(self.cv3(self.cv1(x)))
        parallel = [a] + [functional.max_pool2d(a, k, 1, k // 2) for k in (5, 9, 13)]
        return self.cv7(torch.cat([self.cv6(self.cv5(torch.cat(parallel, 1))), self.cv2(x)], 1))


class ImplicitA(nn.Module):
    def __init__(self, channel):
        super().__init__()
        self.channel = channel
        self.implicit = nn.Parameter(torch.randn(1, channel, 1, 1) * 0.3)

    def forward(self, x):
        return x + self.implicit


class ImplicitM(nn.Module):
    def __init__(self, channel):
        super().__init__()
        self.channel = channel
        self.implicit = nn.Parameter(1 + torch.randn(1, channel, 1, 1) * 0.3)

    def forward(self, x):
        return x * self.implicit


class Detect(nn.Module):
    def __init__(self, nc, anchors, ch):
        super().__init__()
        self.nc, self.no, self.nl, self.na = nc, nc + 5, len(anchors), len(anchors[0]) // 2
        self.grid = [torch.zeros(1)] * self.nl
        a = torch.tensor(anchors).float().view(self.nl, -1, 2)
        self.stride = torch.tensor(STRIDES).float()
        self.register_buffer("anchors", a / self.stride.view(-1, 1, 1))
        self.register_buffer("anchor_grid", a.clone().view(self.nl, 1, -1, 1, 1, 2))
        self.m = nn.ModuleList([nn.Conv2d(c, self.no * self.na, 1) for c in ch[: self.nl]])

    def logits(self, xs, index):
        return self.m[index](xs[index])

    def forward(self, xs):
        out = []
        for index, stride in enumerate(self.stride):
            raw = self.logits(xs, index)
            for anchor in range(self.na):
                y = raw[:, anchor * self.no : (anchor + 1) * self.no].sigmoid()
                rows, columns = torch.meshgrid(
                    torch.arange(y.shape[2]), torch.arange(y.shape[3]), indexing="ij"
                )
                w, h = self.anchor_grid[index].flatten().view(-1, 2)[anchor]
                cx, cy = (2 * y[:, 0] - 0.5 + columns) * stride, (2 * y[:, 1] - 0.5 + rows) * stride
                boxes = torch.stack([cx, cy, (2 * y[:, 2]) ** 2 * w, (2 * y[:, 3]) ** 2 * h], -1)
                values = torch.cat([boxes, y[:, 4:].permute(0, 2, 3, 1)], -1)
                out.append(values.flatten(1, 2))
        return torch.cat(out, 1)


class IDetect(Detect):
    def __init__(self, nc, anchors, ch):
        super().__init__(nc, anchors, ch)
        self.ia = nn.ModuleList([ImplicitA(c) for c in ch[: self.nl]])
        self.im = nn.ModuleList([ImplicitM(self.no * self.na) for _ in anchors])

    def logits(self, xs, index):
        return self.im[index](self.m[index](self.ia[index](xs[index])))


class IAuxDetect(IDetect):
    def __init__(self, nc, anchors, ch):
        super().__init__(nc, anchors, ch)
        self.m2 = nn.ModuleList([nn.Conv2d(c, self.no * self.na, 1) for c in ch[self.nl :]])


class Model(nn.Module):
    def __init__(self, table, names):
        super().__init__()
        self.yaml, self.names, self.stride, self.traced = table, names, torch.tensor(STRIDES).float(), False
        channels, layers = [], []
        for index, (source, number, kind, args) in enumerate(table["backbone"] + table["head"]):
            layer, width = _layer(table, source, number, kind, args, channels or [table["ch"]])
            layer.i, layer.f, layer.type = index, source, f"models.common.{kind}"
            layers.append(layer)
            channels.append(width)
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        seen = []
        for layer in self.model:
            sources = layer.f if isinstance(layer.f, list) else [layer.f]
            inputs = [seen[s] if seen else x for s in sources]
            seen.append(layer(inputs if isinstance(layer.f, list) else inputs[0]))
        return seen[-1]


def _layer(table, source, number, kind, args, channels):
    sources = [channels[s] for s in (source if isinstance(source, list) else [source])]
    known = {
        "nn.LeakyReLU(0.1)": nn.LeakyReLU(0.1),
        "None": None,
        "nc": table["nc"],
        "anchors": table["anchors"],
    }
    args = [known.get(a, a) if isinstance(a, str) else a for a in args]
    if kind.endswith("Detect"):
        return CLASSES[kind](*args, sources), 0
    if kind in ("Conv", "RepConv", "DownC", "SPPCSPC"):
        output = len(table["anchors"][0]) // 2 * (table["nc"] + 5)  # a layer as wide as this is not scaled
        width = output if args[0] == output else math.ceil(args[0] * table["width_multiple"] / 8) * 8
        repeats = max(round(number * table["depth_multiple"]), 1) if number > 1 else 1
        layers = [CLASSES[kind](c, width, *args[1:]) for c in [sources[0]] + [width] * (repeats - 1)]
        return (layers[0] if repeats == 1 else nn.Sequential(*layers)), width
    width = {"Concat": sum(sources), "ReOrg": 4 * sources[0]}.get(kind, sources[0])
    return (nn.Upsample(*args) if kind == "nn.Upsample" else CLASSES[kind](*args)), width


CLASSES = {
    kind.__name__: kind
    for kind in (
        Conv,
        RepConv,
        MP,
        SP,
        Concat,
        Shortcut,
        ReOrg,
        DownC,
        SPPCSPC,
        ImplicitA,
        ImplicitM,
        Detect,
        IDetect,
        IAuxDetect,
        Model,
    )
}
YOLO = ("Detect", "IDetect", "IAuxDetect", "Model")
for _name, _kind in CLASSES.items():
    _kind.__module__ = "models.yolo" if _name in YOLO else "models.common"


def make_model(head="IDetect", names=("a", "b", "c"), *, seed=0, half=False, names_as_dict=False):
    """A model with random weights whose outputs depend on every layer; evaluation mode."""
    torch.manual_seed(seed)
    inputs = [13, 14, 15, 16] if head == "IAuxDetect" else [13, 14]
    table = {
        "nc": len(names),
        "depth_multiple": 0.67,
        "width_multiple": 0.5,
        "anchors": ANCHORS,
        "ch": 3,
        "backbone": deepcopy(BACKBONE),
        "head": [*deepcopy(NECK), [inputs, 1, head, ["nc", "anchors"]]],
    }
    model = Model(table, dict(enumerate(names)) if names_as_dict else list(names)).eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.3)
        norm.momentum = 1.0
    with torch.no_grad():  # one picture sets the statistics, so that no layer saturates
        model.train()(torch.rand(4, 3, 64, 64))
    for norm in norms:
        norm.momentum = 0.03
        norm.running_mean += torch.randn_like(norm.running_mean) * 0.1
    model.eval()
    return model.half() if half else model


def predict(model, images):
    """What the model computes, in float64."""
    with torch.no_grad():
        return deepcopy(model).double()(images.double())


@contextmanager
def official_modules():
    """`models.yolo` and `models.common`, importable inside the block only."""
    fakes = {name: types.ModuleType(name) for name in ("models", "models.yolo", "models.common")}
    for name, kind in CLASSES.items():
        setattr(fakes["models.yolo" if name in YOLO else "models.common"], name, kind)
    sys.modules.update(fakes)
    try:
        yield
    finally:
        for name in fakes:
            del sys.modules[name]


def save(path, model=None, ema=None, **changes):
    """Write a checkpoint as the official training does."""
    content = {
        "epoch": -1,
        "best_fitness": np.float64(0.25),
        "training_results": None,
        "model": model,
        "ema": ema,
        "updates": None,
        "optimizer": None,
        "wandb_id": None,
    }
    with official_modules():
        torch.save({**content, **changes}, path)
    return path


def save_table(path, change, head="Detect"):
    """A checkpoint whose model went through `change(model)` before it was written."""
    model = make_model(head)
    change(model)
    return save(path, model)


def rewrite(path, change=None, *, drop=(), compress=zipfile.ZIP_STORED):
    """Write a zip again: `change(name, data) -> data` for every entry, without those that end in `drop`."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, data in entries.items():
            if not any(name.endswith(ending) for ending in drop):
                archive.writestr(name, change(name, data) if change else data)
    return path


def save_pickle(path, content, *, protocol=2, raw=None):
    """A zip like torch's around any pickle: of `content`, or the bytes `raw`."""
    if raw is None:
        buffer = io.BytesIO()
        pickle.Pickler(buffer, protocol).dump(content)
        raw = buffer.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", raw)
        archive.writestr("archive/version", "3\n")
    return path
