"""What stands in front of an engine, and who made it."""

import json

import pytest

from helpers.artifacts import Manifest
from helpers.engine_header import (
    EngineError,
    built_here,
    check_origin,
    engine_names,
    made_by,
    pack_header,
    read_header,
    read_plan,
)


@pytest.mark.parametrize(
    "content", [b"", b"ftrt", b"ftrt and more of a plan", b"\x02\0\0\0[]ftrt", b"\x04\0\0\0nono"]
)
def test_a_file_without_header_is_a_plan_from_its_first_byte(tmp_path, content):
    engine = tmp_path / "a.engine"
    engine.write_bytes(content)
    assert read_header(engine) == {}
    assert made_by(engine) == {}
    if content:
        assert read_plan(engine) == content
    else:
        with pytest.raises(EngineError, match="expected a plan of some bytes, got 0"):
            read_plan(engine)


def test_ultralytics_form(tmp_path):
    engine = tmp_path / "a.engine"
    engine.write_bytes(pack_header({"names": {1: "b", 0: "a"}, "args": {"nms": True}}) + b"plan")
    raw = engine.read_bytes()
    length = int.from_bytes(raw[:4], "little", signed=True)
    assert json.loads(raw[4 : 4 + length])["args"] == {"nms": True}
    assert read_plan(engine) == raw[4 + length :] == b"plan"
    assert engine_names(engine) == ("a", "b")


def test_a_cut_plan_is_told(tmp_path):
    engine = tmp_path / "a.engine"
    engine.write_bytes(pack_header({"made_by": {"plan_bytes": 10}}) + b"123456789")
    with pytest.raises(EngineError, match="expected a plan of 10 bytes, got 9: the file is cut off"):
        read_plan(engine)


def test_nothing_there(tmp_path):
    for read in (read_header, read_plan, engine_names, made_by):
        with pytest.raises(EngineError, match="expected an engine, got none"):
            read(tmp_path / "none.engine")
    assert not built_here(tmp_path / "none.engine")


def test_built_here_goes_by_content_alone(tmp_path):
    engine, graph = tmp_path / "a.engine", tmp_path / "a.onnx.txt"
    engine.write_bytes(b"plan")
    graph.write_bytes(b"graph")
    assert not built_here(engine)
    Manifest(tmp_path).record(engine, call="build", sources=[graph])
    graph.write_bytes(b"another graph")
    assert built_here(engine)
    engine.write_bytes(b"another plan")
    assert not built_here(engine)


@pytest.mark.parametrize("header", [b"", b"{}", b'{"names": ["a"]}', b"not JSON", b'{"names": {"x": "a"}}'])
def test_a_file_without_names_says_what_it_should_have(tmp_path, header):
    engine = tmp_path / "a.engine"
    engine.write_bytes(len(header).to_bytes(4, "little") + header + b"ftrt")
    with pytest.raises(EngineError, match="expected a JSON header with class names"):
        engine_names(engine)


HERE = {"platform": "linux", "tensorrt": "11.4.0.106", "gpu": "compute capability 8.6"}


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        ({}, ""),
        (HERE, ""),
        ({"gpu": "NVIDIA A, compute capability 8.6"}, ""),
        ({"tensorrt": "10.16.1.11"}, "built with tensorrt 10.16.1.11, and here is 11.4.0.106"),
        ({"tensorrt": "10.16.1.11", "version_compatible": True}, ""),
        ({"tensorrt": "10.16.1.11", "hardware_compatible": True}, "built with tensorrt"),
        ({"gpu": "B, compute capability 9.0"}, "built with gpu B, compute capability 9.0, and here is"),
        ({"gpu": "B, compute capability 9.0", "hardware_compatible": True}, ""),
        ({"gpu": "B, compute capability 9.0", "version_compatible": True}, "built with gpu"),
        (
            {"platform": "win32", "version_compatible": True, "hardware_compatible": True},
            "built with platform",
        ),
    ],
)
def test_where_an_engine_comes_from(tmp_path, made, refused):
    engine = tmp_path / "a.engine"
    engine.write_bytes(pack_header({"made_by": made}) + b"ftrt")
    if refused:
        with pytest.raises(EngineError, match=refused):
            check_origin(engine, HERE)
    else:
        check_origin(engine, HERE)


def test_nothing_is_asked_of_an_engine_that_says_nothing(tmp_path):
    engine = tmp_path / "a.engine"
    engine.write_bytes(b"ftrt")
    check_origin(engine, HERE)
    check_origin(engine, {})
