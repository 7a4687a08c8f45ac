"""What each input form is fed with, by what the graph declares."""

import numpy as np
import onnx
import onnxruntime
import pytest

from helpers import feeds
from helpers.feeds import Feed
from helpers.images import ImageError, letterbox, to_tensor
from helpers.patches import preprocess
from helpers.session import DetectorError

HEAD = '<ir_version: 8, opset_import: ["": 17]> '
IMSZ = {"imgsz": [64, 96]}


def feed_of(inputs, output="output0", metadata=IMSZ):
    name = inputs.split(", ")[0].split()[-1]
    kind = inputs[: inputs.index("]") + 1]
    body = f"{{ {output} = Identity({name}) }}"
    model = onnx.parser.parse_model(f"{HEAD} g ({inputs}) => ({kind} {output}) {body}")
    return Feed.of(onnxruntime.InferenceSession(model.SerializeToString()), metadata, "a.onnx")


@pytest.fixture
def images_bgr(rng):
    return [
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in ((50, 90), (64, 96))
    ]


def test_names_are_the_patches():
    for name in ("PICTURE", "PICTURES", "PICTURE_WH", "PICTURE_BOXES"):
        assert getattr(feeds, name) == getattr(preprocess, name)


@pytest.mark.parametrize(("kind", "dtype"), [("float", np.float32), ("float16", np.float16)])
def test_tensors(images_bgr, kind, dtype):
    feed = feed_of(f"{kind}[3,3,64,96] images")
    assert (feed.form, feed.size_wh, feed.batch, feed.sizes, feed.mapped) == (
        "images",
        (96, 64),
        3,
        False,
        False,
    )
    values, boxed = feed(images_bgr)
    expected = np.concatenate(
        [to_tensor(letterbox(image_bgr, (96, 64)).image_bgr) for image_bgr in images_bgr]
    )
    assert values["images"].dtype == dtype
    np.testing.assert_array_equal(values["images"][:2], expected.astype(dtype))
    assert not values["images"][2].any()
    assert [box.picture_wh for box in boxed] == [(90, 50), (96, 64)]


def test_bytes_with_sizes(images_bgr):
    feed = feed_of("uint8[n,64,96,3] pictures, int64[n,2] picture_wh", "picture_boxes")
    assert (feed.form, feed.size_wh, feed.batch, feed.sizes, feed.mapped) == (
        "pictures",
        (96, 64),
        None,
        True,
        True,
    )
    values, _ = feed(images_bgr)
    assert values["picture_wh"].tolist() == [[90, 50], [96, 64]]
    np.testing.assert_array_equal(values["pictures"][0], letterbox(images_bgr[0], (96, 64)).image_bgr)
    np.testing.assert_array_equal(values["pictures"][1], images_bgr[1])


def test_places_to_fill(images_bgr):
    values, boxed = feed_of("uint8[3,64,96,3] pictures, int64[3,2] picture_wh")(images_bgr[:1])
    assert values["picture_wh"].tolist() == [[90, 50], [96, 64], [96, 64]]
    assert not values["pictures"][1:].any()
    assert len(boxed) == 1


@pytest.mark.parametrize("output", ["picture_boxes", "output0"])
def test_the_raw_picture(images_bgr, output):
    feed = feed_of("uint8[height,width,3] picture", output)
    assert (feed.form, feed.size_wh, feed.batch, feed.mapped) == ("picture", (96, 64), 1, output != "output0")
    values, (box,) = feed(images_bgr[:1])
    assert values["picture"] is images_bgr[0]
    made = letterbox(images_bgr[0], (96, 64))
    for name in ("picture_wh", "content_wh", "pad_xy", "size_wh", "scale_xy"):
        assert getattr(box, name) == getattr(made, name)
    with pytest.raises(ImageError, match="expected"):
        feed([images_bgr[0][:, :, :2]])


@pytest.mark.parametrize(
    ("inputs", "got"),
    [
        ("float[1,3,64,96] x", "got x tensor.float."),
        ("uint8[1,3,64,96] images", "got images tensor.uint8."),
        ("float[1,64,96,3] pictures", "got pictures"),
        ("uint8[1,64,96,4] pictures", "got pictures"),
        ("uint8[h,w,4] picture", "got picture"),
        ("float[h,w,3] picture", "got picture"),
        ("float[1,3,64,96] images, float[1] z", "z tensor"),
        ("int64[1,2] picture_wh", "got picture_wh"),
    ],
)
def test_other_inputs(inputs, got):
    with pytest.raises(DetectorError, match=rf"a.onnx: expected one input, images .*{got}.*helpers convert"):
        feed_of(inputs)


@pytest.mark.parametrize("metadata", [{}, {"imgsz": 640}, {"imgsz": [640]}])
def test_no_size(metadata):
    with pytest.raises(DetectorError, match="no fixed size and its metadata no imgsz"):
        feed_of("uint8[height,width,3] picture", metadata=metadata)
