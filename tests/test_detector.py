"""Detector on six-line models: what it hands to the graph, and what it makes of the two output forms."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from helpers.detections import Detections
from helpers.detector import Detector, DetectorError
from helpers.images import ImageError, letterbox, save_image, to_tensor
from helpers.video import frame_rate, write_video

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
ROWS = np.array(
    [  # x0, y0, x1, y1, score, class in a 96 x 64 input
        [30, 20, 50, 40, 0.5, 1],
        [0, 0, 0, 0, 0, 0],
        [-9, -9, 200, 300, 0.25, 0],
        [40, 10, 60, 54, 0.75, 2],
    ],
    np.float32,
)
IMAGES = "g (float[1,3,64,96] images) => "
PASSED_ON = """{ used = ReduceMin<keepdims=0>(images)
 zero = Mul(used, nought)
 output = Add(rows, zero) }"""
RELU = "{ y = Relu(images) }"
NAMES = {0: "RBC", 1: "WBC", 2: "Platelets"}


def model(text, metadata=None, **arrays):
    made = onnx.parser.parse_model(HEAD + text)
    for name, values in arrays.items():
        made.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    for key, value in (metadata or {}).items():
        made.metadata_props.add(key=key, value=str(value))
    onnx.checker.check_model(made)
    return made.SerializeToString()


def patched(rows=ROWS, batch="1", kind="float", metadata=None):
    """`[B, S, 6]`: constant rows, their scores times the picture's red at its centre."""
    text = f"""g ({kind}[{batch},3,64,96] images) => (float[{batch},{len(rows)},6] output) {{
        wide = Cast<to=1>(images)
        pixel = Slice(wide, starts, ends, axes)
        flat = Reshape(pixel, shape)
        factor = Where(is_score, flat, one)
        output = Mul(rows, factor)
    }}"""
    arrays = {
        "starts": np.array([0, 32, 48]), "ends": np.array([1, 33, 49]), "axes": np.array([1, 2, 3]),
        "shape": np.array([-1, 1, 1]), "one": np.float32(1), "rows": np.float32(rows)[None],
        "is_score": np.array([False] * 4 + [True, False]).reshape(1, 1, 6),
    }  # fmt: skip
    metadata = {"names": NAMES, "args": {"nms": True, "dynamic": False}} if metadata is None else metadata
    return model(text, metadata, **arrays)


def end2end(rows):
    text = IMAGES + "(float[m,7] output) " + PASSED_ON
    return model(
        text, {"names": list(NAMES.values())}, rows=np.float32(rows).reshape(-1, 7), nought=np.float32(0)
    )


RED = np.full((100, 300, 3), (0, 0, 255), np.uint8)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("YOLOV7_HEADLESS", "1")


def test_nothing_found():
    for detector in (
        Detector(patched(np.zeros((4, 6)))),
        Detector(end2end([])),
        Detector(patched(), score_threshold=0.8),
    ):
        assert detector.detect(RED) == Detections.empty()


def test_boxes_are_the_pictures_own():
    found = Detector(patched()).detect(RED)
    assert found.class_ids.tolist() == [2, 1, 0]
    assert found.scores.tolist() == [0.75, 0.5, 0.25]
    # 300 x 100 goes to 96 x 32 at y 16: 3.125 picture pixels each
    expected = [[125, 0, 187.5, 100], [93.75, 12.5, 156.25, 75], [0, 0, 300, 100]]
    np.testing.assert_allclose(found.boxes_xyxy, expected, atol=1e-4)


def test_the_picture_goes_in_as_rgb_letterboxed():
    dim = np.full((100, 300, 3), (255, 255, 51), np.uint8)  # BGR: red is 0.2
    assert Detector(patched()).detect(dim).scores.tolist() == pytest.approx([0.15, 0.1, 0.05])
    inverse = Detector(patched()).detect(np.full((64, 96, 3), (255, 255, 0), np.uint8))
    assert len(inverse) == 0


def test_end_to_end_form_gives_the_same():
    rows = [[0, *row[:4], row[5], row[4]] for row in ROWS if row[4]]
    assert Detector(end2end(rows)).detect(RED) == Detector(patched()).detect(RED)


def test_half_precision_input():
    assert Detector(patched(kind="float16")).detect(RED) == Detector(patched()).detect(RED)


def test_attributes(tmp_path):
    (tmp_path / "a.onnx").write_bytes(patched())
    detector = Detector(tmp_path / "a.onnx", threads=1)
    assert (detector.names, detector.size_wh, detector.batch) == (tuple(NAMES.values()), (96, 64), 1)
    assert detector.provider == "CPUExecutionProvider"
    assert Detector(end2end([])).names == tuple(NAMES.values())
    assert Detector(patched(metadata={})).names == ()
    assert Detector(patched(batch="n")).batch is None


def test_free_size_is_that_of_the_metadata():
    text = """g (float[1,3,h,w] images) => (float[1,4,6] output) {
        s = ReduceMax<keepdims=0>(images)
        output = Mul(rows, s)
    }"""
    args = {"nms": True}
    assert Detector(model(text, {"imgsz": [64, 96], "args": args}, rows=ROWS[None])).size_wh == (96, 64)
    with pytest.raises(DetectorError, match=r"no fixed size and its metadata no imgsz \[height, width\]"):
        Detector(model(text, {"args": args}, rows=ROWS[None]))


def test_as_many_rows_as_a_raw_output_of_one_class():
    """Then the file's own word counts, and only if it says that the NMS is inside."""
    rows = np.zeros((378, 6), np.float32)
    assert len(Detector(patched(rows, metadata={"args": {"nms": True}})).detect(RED)) == 0
    for metadata in ({}, {"args": {"nms": False}}, {"args": [True]}):
        with pytest.raises(DetectorError, match="is raw predictions"):
            Detector(patched(rows, metadata=metadata))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("g (float[1,3,64,96] x) => (float[1,9,6] y) { y = Relu(x) }", "expected one input, .*got x"),
        ("g (float[1,3,64] images) => (float[1,9,6] y) " + RELU, r"images tensor\(float\) \[1, 3, 64\]"),
        ("g (float[1,1,64,96] images) => (float[1,9,6] y) " + RELU, r"\[1, 1, 64, 96\]"),
        ("g (double[1,3,64,96] images) => (double[1,9,6] y) " + RELU, r"got images tensor\(double\)"),
        ("g (float[1,3,64,96] images, float[1] b) => (float[1,9,6] y) " + RELU, r"b tensor\(float\) \[1\]"),
        (IMAGES + "(float[1,378,85] y) " + RELU, r"y \[1, 378, 85\] is raw predictions.*helpers patch FILE"),
        (IMAGES + "(float[n,k,85] y) " + RELU, "is raw predictions"),
        (IMAGES + "(float[1,378,6] y) " + RELU, "is raw predictions"),
        (IMAGES + "(float[m,6] y) " + RELU, r"expected one output, \[M, 7\] or \[B, slots, 6\], got y"),
        (IMAGES + "(float[1,9,6] y, float[1] z) { y = Relu(images)\n z = Relu(images) }", r"got y .*, z"),
    ],
)  # fmt: skip
def test_refuses_other_graphs(monkeypatch, text, message):
    """The declared shapes are what counts; a session that only tells them stands in for ONNX Runtime's."""
    graph = onnx.parser.parse_model(HEAD + text).graph
    monkeypatch.setattr("helpers.detector.open_session", lambda *_, **__: Declared(graph))
    with pytest.raises(DetectorError, match=message):
        Detector("a.onnx")


class Declared:
    def __init__(self, graph):
        self.graph = graph

    def get_providers(self):
        return ["CPUExecutionProvider"]

    def get_modelmeta(self):
        return type("Meta", (), {"custom_metadata_map": {}})

    def get_inputs(self):
        return [self._value(value) for value in self.graph.input]

    def get_outputs(self):
        return [self._value(value) for value in self.graph.output]

    @staticmethod
    def _value(value):
        kind = value.type.tensor_type
        types = {1: "tensor(float)", 11: "tensor(double)"}
        shape = [d.dim_param or d.dim_value for d in kind.shape.dim]
        return type("Value", (), {"name": value.name, "type": types[kind.elem_type], "shape": shape})


def test_one_class_patched_is_not_taken_for_raw(monkeypatch):
    graph = onnx.parser.parse_model(HEAD + IMAGES + "(float[1,100,6] y) { y = Relu(images) }").graph
    monkeypatch.setattr("helpers.detector.open_session", lambda *_, **__: Declared(graph))
    assert Detector("a.onnx").names == ()


@pytest.fixture
def folder(tmp_path, rng):
    for number, size_wh in ((10, (96, 64)), (2, (300, 100)), (1, (33, 77))):
        value = (255, 255, 20 * number)
        save_image(tmp_path / f"p{number}.png", np.full((size_wh[1], size_wh[0], 3), value, np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("batch", "batch_size"), [("1", 1), ("n", 1), ("n", 2), ("n", 3), ("n", 9), ("2", 1), ("4", 1)]
)
def test_folder_in_any_batch(folder, batch, batch_size):
    detector = Detector(patched(batch=batch))
    single = Detector(patched())
    results = list(detector.detect_many(folder, batch_size=batch_size))
    assert [result.path.name for result in results] == ["p1.png", "p2.png", "p10.png"]
    for result in results:
        assert result.error == ""
        assert result.detections == single.detect(result.path) == single.detect(result.image_bgr)
    assert len({result.detections.scores.max() for result in results}) == 3


def test_a_batch_of_end_to_end_rows_is_told_apart():
    rows = [[1, 0, 0, 9, 9, 0, 0.5], [0, 1, 1, 8, 8, 1, 0.25], [1, 2, 2, 9, 9, 2, 0.75]]
    text = "g (float[n,3,64,96] images) => (float[m,7] output) " + PASSED_ON
    detector = Detector(model(text, rows=np.float32(rows), nought=np.float32(0)))
    images = [np.zeros((64, 96, 3), np.uint8)] * 3
    found = [result.detections.class_ids.tolist() for result in detector.detect_many(images, batch_size=3)]
    assert found == [[1], [2, 0], []]


def test_other_sources(folder):
    detector = Detector(patched())
    assert [r.path for r in detector.detect_many(RED)] == [None]
    assert [r.path for r in detector.detect_many([RED, folder / "p2.png"])] == [None, folder / "p2.png"]
    assert [r.path.name for r in detector.detect_many(f"{folder}/p1*.png")] == ["p1.png", "p10.png"]
    assert [r.path.name for r in detector.detect_many(str(folder / "p2.png"))] == ["p2.png"]
    assert list(detector.detect_many([])) == []
    (folder / "none").mkdir()
    with pytest.raises(ImageError, match="no pictures in folder"):
        list(detector.detect_many(folder / "none"))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_one_bad_picture(folder, batch_size):
    (folder / "p3.png").write_text("no picture")
    detector = Detector(patched(batch="n"))
    with pytest.raises(ImageError, match=r"p3\.png"):
        list(detector.detect_many(folder))
    results = list(detector.detect_many(folder, batch_size=batch_size, on_error="record"))
    assert [bool(result.error) for result in results] == [False, False, True, False]
    assert "text that begins 'no picture'" in results[2].error
    assert (len(results[2].detections), results[2].image_bgr.size) == (0, 0)
    assert results[3].detections == Detector(patched()).detect(folder / "p10.png")
    assert [r.error for r in detector.detect_many(np.zeros((2, 2)), on_error="record")] != [""]


def test_arguments():
    detector = Detector(patched(batch="n"))
    with pytest.raises(ValueError, match='on_error: expected "raise" or "record", got \'skip\''):
        next(detector.detect_many([RED], on_error="skip"))
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        next(detector.detect_many([RED], batch_size=0))


def test_video(tmp_path):
    write_video(
        tmp_path / "a.avi",
        [np.full((64, 96, 3), 40 * n + 40, np.uint8) for n in range(5)],
        frames_per_second=5,
    )
    detector = Detector(patched())
    results = list(detector.detect_video(tmp_path / "a.avi", every=2))
    assert [result.frame for result in results] == [0, 2, 4]
    scores = [float(result.detections.scores[0]) for result in results]
    assert scores == pytest.approx([0.75 * value / 255 for value in (40, 120, 200)], abs=0.02)
    assert detector.annotate_video(tmp_path / "a.avi", tmp_path / "b.mp4") == 5
    assert (tmp_path / "b.mp4").stat().st_size > 500
    assert detector.annotate_video(tmp_path / "a.avi", tmp_path / "c.mp4", every=2) == 3
    assert frame_rate(tmp_path / "c.mp4") == pytest.approx(frame_rate(tmp_path / "a.avi") / 2)


def test_official_end_to_end_graph(fixtures):
    """The official exporter's own file: its rows for its own input, in a picture of the same size."""
    path = fixtures / "official-end2end-yolov7-tiny.onnx"
    detector = Detector(path)
    assert detector.size_wh == (128, 192)
    arrays = np.load(path.with_suffix(".npz"))
    for key in [key for key in arrays.files if key.startswith("x")]:
        image_bgr = np.ascontiguousarray(
            (arrays[key][0].transpose(1, 2, 0)[:, :, ::-1] * 255).round().astype(np.uint8)
        )
        rows = detector._session.run(None, {"images": to_tensor(letterbox(image_bgr, (128, 192)).image_bgr)})[
            0
        ]
        expected = Detections.from_rows(rows[:, [1, 2, 3, 4, 6, 5]]).sorted().clipped((128, 192))
        assert detector.detect(image_bgr) == expected


def test_ultralytics_finds_the_same(tmp_path):
    """The same file through Ultralytics: a list of pictures, one with nothing in it; labels by name."""
    ultralytics = pytest.importorskip("ultralytics")
    metadata = {"names": NAMES, "args": {"nms": True, "dynamic": False}, "stride": 32, "task": "detect"}
    metadata |= {"imgsz": [64, 96], "batch": 1, "channels": 3}
    (tmp_path / "a.onnx").write_bytes(patched(metadata=metadata))
    detector = Detector(tmp_path / "a.onnx")
    images = [RED, np.full((77, 33, 3), (9, 9, 200), np.uint8), np.zeros((64, 96, 3), np.uint8)]
    results = ultralytics.YOLO(tmp_path / "a.onnx", task="detect")(
        images, imgsz=(64, 96), conf=0.01, verbose=False
    )
    for image_bgr, result in zip(images, results, strict=True):
        theirs = Detections.from_rows(result.boxes.data.numpy()).sorted()
        ours = detector.detect(image_bgr)
        assert ours.class_ids.tolist() == theirs.class_ids.tolist()
        np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=1e-3)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-6)
        assert tuple(result.names.values()) == detector.names
    assert [len(result) for result in results] == [3, 3, 0]
