"""A pickle is data: what it names is never imported, what it calls is never called."""

from __future__ import annotations

import builtins
import collections
import contextlib
import os
import pickle
import pickletools
import struct
import subprocess
import sys

import numpy as np
import pytest

from helpers.pickles import CheckpointError, Global, Record, Rules, read_pickle

PROTOCOLS = (2, 3, 4, 5)


def rules(**calls):
    known = {"collections.OrderedDict": lambda pairs=(): dict(pairs), **calls}
    return Rules(
        lambda g: g.module == "models.yolo" and g.name == "Model", known, frozenset({"torch.Kind"}), list
    )


def read(data, **calls):
    return read_pickle(data, "file.pt", rules(**calls))


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back(protocol):
    shared = [1, 2]
    values = {
        "empty": ({}, [], (), "", b"" if protocol > 2 else ""),
        "numbers": [0, 1, 255, 256, 65536, -1, 2**31, -(2**40), 10**30, 1.5, float("inf"), True, False, None],
        "text": "é漢\n",
        "tuples": ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "lists": [[1], shared, shared],
        3: {"nested": {"deep": [1]}},
        None: 1,
        "many": list(range(3000)),
        "long": "x" * 300,
        "ordered": collections.OrderedDict(a=1, b=[2]),
    }
    found = read(pickle.dumps(values, protocol))
    assert found == values
    assert found["lists"][1] is found["lists"][2]


@pytest.mark.parametrize("protocol", [0, 1])
def test_old_protocols_of_plain_values(protocol):
    values = [[1, 2.5, "text", None], [True]]
    if protocol == 0:  # it builds lists with instructions of its own
        with pytest.raises(CheckpointError, match="instruction LIST"):
            read(pickle.dumps(values, protocol))
    else:
        assert read(pickle.dumps(values, protocol)) == values


def test_bytes_come_back():
    assert read(pickle.dumps([b"ab", b"c" * 300], 4)) == [b"ab", b"c" * 300]


def canary_calls(folder):
    path = str(folder / "canary")
    return {
        "os.system": Call(os.system, f"touch {path}"),
        "subprocess.Popen": Call(subprocess.Popen, ["touch", path]),
        "builtins.eval": Call(eval, f"open({path!r}, 'w')"),
        "builtins.exec": Call(exec, f"open({path!r}, 'w')"),
        "builtins.open": Call(open, path, "w"),
        "builtins.getattr": Call(getattr, "text", "upper"),
        "builtins.__import__": Call(builtins.__import__, "os"),
        "os.mkdir": Call(os.mkdir, path),
        "operator.attrgetter": Call(__import__("operator").attrgetter, "real"),
        "torch.load": Call(__import__("torch").load, path),
        "numpy.load": Call(np.load, path),
        "functools.partial": Call(__import__("functools").partial, os.system, f"touch {path}"),
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", canary_calls(__import__("pathlib").Path()))
@pytest.mark.parametrize("nest", [lambda x: x, lambda x: {"model": [x, 1]}, lambda x: {"a": (1, {"b": x})}])
def test_any_other_global_is_refused_by_name_and_nothing_runs(tmp_path, protocol, name, nest):
    data = pickle.dumps(nest(canary_calls(tmp_path)[name]), protocol)
    with pytest.raises(CheckpointError, match="asks for") as caught:
        read(data)
    assert name.rpartition(".")[2] in str(caught.value)
    assert "nothing of it was run" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def op(name, argument=b""):
    return next(o.code for o in pickletools.opcodes if o.name == name).encode("latin1") + argument


def text(value):
    return op("BINUNICODE", struct.pack("<I", len(value)) + value.encode())


MODEL = op("GLOBAL", b"models.yolo\nModel\n")
STOP = op("STOP")
HOSTILE = {
    "dotted name": (text("models.yolo") + text("Model.forward") + op("STACK_GLOBAL"), "asks for"),
    "global without a name": (op("BININT1", b"\1") + text("Model") + op("STACK_GLOBAL"), "without a name"),
    "call of a class": (MODEL + op("EMPTY_TUPLE") + op("REDUCE"), "calls `models.yolo.Model`"),
    "call of text": (text("os.system") + op("EMPTY_TUPLE") + op("REDUCE"), "calls `str`"),
    "call of allowed text": (
        text("collections.OrderedDict") + op("EMPTY_TUPLE") + op("REDUCE"),
        "calls `str`",
    ),
    "arguments that are no tuple": (
        op("GLOBAL", b"collections\nOrderedDict\n") + op("EMPTY_LIST") + op("REDUCE"),
        "calls",
    ),
    "instance of a function": (
        op("GLOBAL", b"collections\nOrderedDict\n") + op("EMPTY_TUPLE") + op("NEWOBJ"),
        "constructs",
    ),
    "state of a function": (
        op("GLOBAL", b"collections\nOrderedDict\n") + op("EMPTY_DICT") + op("BUILD"),
        "state of a Global",
    ),
    "state of a list": (op("EMPTY_LIST") + op("EMPTY_DICT") + op("BUILD"), "state of a list"),
    "append to an instance": (
        MODEL + op("EMPTY_TUPLE") + op("NEWOBJ") + op("NONE") + op("APPEND"),
        "appends to a Record",
    ),
    "items of an instance": (
        MODEL + op("EMPTY_TUPLE") + op("NEWOBJ") + text("a") + text("b") + op("SETITEM"),
        "items of a Record",
    ),
    "a tuple as key": (op("EMPTY_DICT") + op("EMPTY_TUPLE") + text("b") + op("SETITEM"), "items of a dict"),
    "extension registry": (op("EXT1", b"\1"), "instruction EXT1"),
    "old-style instance": (op("MARK") + op("INST", b"os\nsystem\n"), "instruction INST"),
    "object opcode": (op("MARK") + MODEL + op("OBJ"), "instruction OBJ"),
    "text reference": (op("PERSID", b"x\n"), "instruction PERSID"),
}


@pytest.mark.parametrize(("body", "message"), HOSTILE.values(), ids=HOSTILE)
def test_tricks_are_refused(body, message):
    with pytest.raises(CheckpointError, match=message):
        read(op("PROTO", b"\2") + body + STOP)


DAMAGED = {
    "nothing": b"",
    "no end": op("NONE"),
    "empty stack": STOP,
    "two values": op("NONE") + op("NONE") + STOP,
    "underflow": op("TUPLE2") + STOP,
    "below the mark": op("NONE") + op("MARK") + op("TUPLE1") + STOP,
    "no mark": op("TUPLE") + STOP,
    "unknown memo": op("BINGET", b"\5") + STOP,
    "key without value": op("EMPTY_DICT") + op("MARK") + text("a") + op("SETITEMS") + STOP,
    "not an opcode": b"\xff",
    "bad text": op("BINUNICODE", struct.pack("<I", 1) + b"\xff") + STOP,
    "text longer than the file": op("BINUNICODE", struct.pack("<I", 2**31) + b"a") + STOP,
    "negative long": op("LONG4", struct.pack("<i", -1)) + STOP,
    "call with wrong arguments": op("GLOBAL", b"collections\nOrderedDict\n")
    + op("NONE")
    + op("TUPLE1")
    + op("REDUCE")
    + STOP,
}


@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
def test_damage_is_one_clear_error(body):
    with pytest.raises(CheckpointError, match=r"file\.pt: its pickle is damaged"):
        read(body)


def test_every_cut_is_one_clear_error():
    data = pickle.dumps({"a": [1, (2, 3), "text"], "b": collections.OrderedDict(x=1)}, 2)
    for end in range(len(data)):
        with pytest.raises(CheckpointError):
            read(data[:end])


def test_flipped_bytes_never_raise_anything_else():
    data = pickle.dumps({"a": [1, (2, 3), "text"], "b": collections.OrderedDict(x=1), "c": 2.5}, 2)
    for position in range(len(data)):
        for value in (0, 0x28, 0x52, 0x62, 0x7D, 0xFF):
            with contextlib.suppress(CheckpointError):
                read(data[:position] + bytes([value]) + data[position + 1 :])


@pytest.mark.parametrize("name", ["Model.forward", "__dict__.clear"])
def test_dotted_names_are_refused_even_where_every_class_may_appear(name):
    anything = Rules(lambda _: True, {}, frozenset(), list)
    with pytest.raises(CheckpointError, match=f"asks for `models.yolo.{name}`"):
        read_pickle(text("models.yolo") + text(name) + op("STACK_GLOBAL") + STOP, "file.pt", anything)


def test_a_huge_memo_index_costs_nothing():
    assert read(op("NONE") + op("LONG_BINPUT", struct.pack("<I", 2**32 - 1)) + STOP) is None


def test_deep_nesting_neither_crashes_nor_recurses():
    deep = op("EMPTY_TUPLE") + op("TUPLE1") * 200_000 + STOP
    assert len(read(deep)) == 1
    as_key = op("EMPTY_DICT") + deep[:-1] + op("NONE") + op("SETITEM") + STOP
    with pytest.raises(CheckpointError, match="keys that are no text"):
        read(as_key)


def test_a_name_cannot_break_the_line_or_flood_it():
    with pytest.raises(CheckpointError) as caught:
        read(text("os\n\x1b[31m" + "x" * 5000) + text("system") + op("STACK_GLOBAL") + STOP)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_instances_become_records_with_their_state():
    def instance(state):
        return MODEL + op("BININT1", b"\7") + op("TUPLE1") + op("NEWOBJ") + state + op("BUILD") + STOP

    found = read(instance(op("EMPTY_DICT") + text("i") + op("BININT1", b"\1") + op("SETITEM")))
    assert isinstance(found, Record)
    assert (found.kind, found.args, found.state) == ("models.yolo.Model", (7,), {"i": 1})
    assert read(instance(op("EMPTY_LIST"))).state == {}


def test_state_of_an_ordered_dict_is_ignored():
    assert read(op("EMPTY_DICT") + op("EMPTY_LIST") + op("BUILD") + STOP) == {}


def test_constants_and_references_are_passed_on():
    reference = op("GLOBAL", b"torch\nKind\n") + op("TUPLE1") + op("BINPERSID") + STOP
    assert read(reference) == [Global("torch", "Kind")]
    assert str(Global("torch", "Kind")) == "torch.Kind"


def test_reading_imports_nothing():
    before = set(sys.modules)
    with pytest.raises(CheckpointError):
        read(op("GLOBAL", b"antigravity\nfly\n") + STOP)
    assert "antigravity" not in set(sys.modules) - before
