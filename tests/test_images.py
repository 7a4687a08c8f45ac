"""Any picture file in, letterbox pixel for pixel as Ultralytics has it, and boxes there and back."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from helpers.images import ImageError, find_images, iter_images, letterbox, load_image, save_image, to_tensor

SIZES_WH = [
    (1, 1),
    (3, 2),
    (640, 480),
    (481, 641),
    (640, 640),
    (100, 300),
    (37, 999),
    (1, 500),
    (1280, 721),
    (333, 5),
]
INPUTS_WH = [(640, 640), (128, 192), (320, 64), (97, 31)]


@pytest.fixture
def image_bgr(rng):
    """A smooth, asymmetric picture, 90 wide and 50 high."""
    return cv2.resize(rng.integers(0, 256, (5, 9, 3), dtype=np.uint8), (90, 50))


@pytest.fixture
def picture(image_bgr):
    return Image.fromarray(image_bgr[:, :, ::-1])


def repeat(channel):
    return np.repeat(np.asarray(channel)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_lossless_formats(tmp_path, picture, image_bgr, suffix):
    path = tmp_path / f"кров 血液 ü.{suffix}"
    picture.save(path, **({"lossless": True} if suffix == "webp" else {}))
    loaded = load_image(path)
    assert loaded.dtype == np.uint8
    assert np.array_equal(loaded, image_bgr)
    assert np.array_equal(load_image(str(path)), image_bgr)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, picture, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    picture.save(path, exif=exif)
    with Image.open(path) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))[:, :, ::-1]
    assert load_image(path).shape == upright.shape == ((90, 50, 3) if orientation > 4 else (50, 90, 3))
    assert np.array_equal(load_image(path), upright)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA"])
def test_modes(tmp_path, picture, mode):
    converted = picture.convert(mode)
    converted.save(tmp_path / "a.png")
    assert np.array_equal(load_image(tmp_path / "a.png"), np.asarray(converted.convert("RGB"))[:, :, ::-1])


def test_transparency_is_dropped(tmp_path, picture, image_bgr):
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(tmp_path / "a.png")
    assert np.array_equal(load_image(tmp_path / "a.png"), image_bgr)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_become_eight(tmp_path, image_bgr, suffix):
    deep = image_bgr.astype(np.uint16) * 256 + 200
    for name, values, expected in (("c", deep, image_bgr), ("g", deep[:, :, 1], repeat(image_bgr[:, :, 1]))):
        cv2.imwrite(str(tmp_path / (name + suffix)), values)
        difference = load_image(tmp_path / (name + suffix)).astype(int) - expected
        assert np.abs(difference).max() <= (0 if suffix == ".png" else 1)  # TIFF rounds, PNG cuts


def contents(tmp_path, picture):
    picture.save(tmp_path / "whole.png")
    picture.save(tmp_path / "whole.jpg")
    png, jpeg = ((tmp_path / name).read_bytes() for name in ("whole.png", "whole.jpg"))
    return {
        "an empty file": b"",
        "text that begins '<!doctype html>": b"<!doctype html>\n<title>404</title>",
        "text that begins '你好": "你好, 世界".encode(),
        "text that begins 'version https://git-lfs": b"version https://git-lfs.github.com/spec/v1\noid",
        "a JPEG that is cut short or damaged": jpeg[: len(jpeg) // 2],
        "a PNG that is cut short or damaged": png[: len(png) // 2],
        "a PDF": b"%PDF-1.7\n\xe2\xe3\xcf\xd3" + bytes(99),
        "a zip archive": b"PK\x03\x04" + bytes(99),
        "104 bytes that begin 08 09 12 07": b"\x08\x09\x12\x07" + bytes(100),
    }


def test_no_picture_is_named_for_what_it_is_and_opencv_adds_nothing(tmp_path, picture, capfd):
    import cv2

    level = cv2.utils.logging.getLogLevel()
    for number, (found, data) in enumerate(contents(tmp_path, picture).items()):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(data)
        with pytest.raises(ImageError) as caught:
            load_image(path)
        assert str(path) in str(caught.value)
        assert f"found {found}" in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert cv2.utils.logging.getLogLevel() == level > 0


def test_no_file(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.png: expected a picture file, found no file there"):
        load_image(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="found a folder"):
        load_image(tmp_path)


def test_save(tmp_path, image_bgr):
    path = save_image(tmp_path / "neu" / "图.png", image_bgr)
    assert np.array_equal(load_image(path), image_bgr)
    assert [file.name for file in path.parent.iterdir()] == ["图.png"]
    small, large = (
        save_image(tmp_path / f"{quality}.jpg", image_bgr, quality=quality).stat().st_size
        for quality in (20, 95)
    )
    assert small < large
    assert np.abs(load_image(tmp_path / "95.jpg").astype(int) - image_bgr).mean() < 4


@pytest.mark.parametrize("name", ["a.txt", "a"])
def test_save_refuses_other_suffixes(tmp_path, image_bgr, name):
    with pytest.raises(ImageError, match=r"use \.jpg or \.png"):
        save_image(tmp_path / name, image_bgr)


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8\[4, 4\]"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8\[4, 4, 4\]"),
        (np.zeros((4, 4, 3), np.float32), r"float32\[4, 4, 3\]"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8\[0, 4, 3\]"),
        ([[1]], "list"),
    ],
)
@pytest.mark.parametrize(
    "use", [to_tensor, lambda image: letterbox(image, (8, 8)), lambda i: save_image("a.png", i)]
)
def test_arrays_that_are_no_pictures(wrong, got, use):
    with pytest.raises(ImageError, match=rf"image_bgr: expected .*uint8\[H, W, 3\], got {got}"):
        use(wrong)


@pytest.mark.parametrize("input_wh", INPUTS_WH)
def test_letterbox_is_that_of_ultralytics(rng, input_wh):
    augment = pytest.importorskip("ultralytics.data.augment")
    for width, height in [*SIZES_WH, *rng.integers(1, 900, (12, 2)).tolist(), input_wh]:
        image_bgr = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        theirs = augment.LetterBox((input_wh[1], input_wh[0]), auto=False, scaleup=True, center=True)(
            image=image_bgr
        )
        ours = letterbox(image_bgr, input_wh)
        assert np.array_equal(ours.image_bgr, theirs), (width, height)


@pytest.mark.parametrize("input_wh", INPUTS_WH)
def test_boxes_go_back_as_with_ultralytics(rng, input_wh):
    ops = pytest.importorskip("ultralytics.utils.ops")
    for width, height in SIZES_WH:
        box = letterbox(np.zeros((height, width, 3), np.uint8), input_wh)
        in_picture = rng.uniform(0, 1, (20, 4)) * (width, height, width, height)
        in_input = box.boxes_to_input(in_picture)
        theirs = ops.scale_boxes((input_wh[1], input_wh[0]), in_input.copy(), (height, width))
        np.testing.assert_allclose(box.boxes_to_picture(in_input), theirs, atol=1e-3)
        np.testing.assert_allclose(box.boxes_to_picture(in_input), in_picture, atol=1e-3)


@pytest.mark.parametrize(
    ("size_wh", "input_wh", "content_wh", "pad_xy", "scale"),
    [
        ((640, 480), (640, 640), (640, 480), (0, 80), 1.0),
        ((480, 640), (640, 640), (480, 640), (80, 0), 1.0),
        ((200, 100), (640, 640), (640, 320), (0, 160), 3.2),
        ((99, 100), (100, 203), (100, 101), (0, 51), 100 / 99),
        ((3000, 1), (64, 64), (64, 1), (0, 31), 64 / 3000),
        ((100, 300), (128, 192), (64, 192), (32, 0), 0.64),
    ],
)
def test_letterbox_by_hand(size_wh, input_wh, content_wh, pad_xy, scale):
    image_bgr = np.full((size_wh[1], size_wh[0], 3), (10, 200, 60), np.uint8)
    box = letterbox(image_bgr, input_wh)
    assert (box.picture_wh, box.size_wh) == (size_wh, input_wh)
    assert (box.content_wh, box.pad_xy) == (content_wh, pad_xy)
    assert box.scale == pytest.approx(scale)
    inside = np.zeros(box.image_bgr.shape[:2], bool)
    inside[pad_xy[1] : pad_xy[1] + content_wh[1], pad_xy[0] : pad_xy[0] + content_wh[0]] = True
    assert (box.image_bgr[inside] == (10, 200, 60)).all()
    assert (box.image_bgr[~inside] == 114).all()
    corners = [pad_xy[0], pad_xy[1], pad_xy[0] + content_wh[0], pad_xy[1] + content_wh[1]]
    np.testing.assert_allclose(box.boxes_to_picture([corners]), [[0, 0, *size_wh]], atol=1e-4)
    np.testing.assert_allclose(box.boxes_to_input([[0, 0, *size_wh]]), [corners], atol=1e-4)


def test_no_boxes_go_both_ways():
    box = letterbox(np.zeros((10, 20, 3), np.uint8), (64, 64))
    assert box.boxes_to_input([]).shape == box.boxes_to_picture(np.zeros((0, 4))).shape == (0, 4)


def test_letterbox_refuses_no_size():
    with pytest.raises(ValueError, match="size_wh: expected two sizes of at least 1 pixel"):
        letterbox(np.zeros((10, 20, 3), np.uint8), (0, 64))


def test_letterbox_leaves_the_picture_alone(image_bgr):
    before = image_bgr.copy()
    letterbox(image_bgr, (90, 90)).image_bgr[:] = 0
    letterbox(image_bgr, (90, 50)).image_bgr[:] = 0
    assert np.array_equal(image_bgr, before)


def test_tensor(image_bgr):
    images_nchw = to_tensor(image_bgr)
    assert (images_nchw.shape, images_nchw.dtype) == ((1, 3, 50, 90), np.float32)
    assert images_nchw.flags.c_contiguous
    for channel in range(3):
        assert np.array_equal(images_nchw[0, channel], image_bgr[:, :, 2 - channel].astype(np.float32) / 255)
    assert np.array_equal(to_tensor(image_bgr[::-1, ::-1]), images_nchw[:, :, ::-1, ::-1])


@pytest.fixture
def folder(tmp_path, picture):
    for name in ("img10.png", "img2.PNG", "img1.jpg", "b.webp"):
        picture.save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "inner.png").mkdir()
    return tmp_path


def test_folder_in_natural_order(folder):
    assert [path.name for path in find_images(folder)] == ["b.webp", "img1.jpg", "img2.PNG", "img10.png"]
    assert [path.name for path, image in iter_images(folder) if image.shape == (50, 90, 3)] == [
        path.name for path in find_images(folder)
    ]


def test_other_sources(folder):
    names = ["img10.png", "img1.jpg"]
    assert [path.name for path in find_images(f"{folder}/img*")] == ["img1.jpg", "img2.PNG", "img10.png"]
    assert [path.name for path in find_images([folder / name for name in names])] == names
    assert find_images(folder / "img1.jpg") == [folder / "img1.jpg"]
    (folder / "img[1].png").write_bytes((folder / "img10.png").read_bytes())
    assert find_images(folder / "img[1].png") == [folder / "img[1].png"]


@pytest.mark.parametrize("make", [lambda p: p, lambda p: f"{p}/*.png", lambda p: []])
def test_no_pictures(tmp_path, make):
    with pytest.raises(ImageError, match=r"no pictures in (folder|pattern|the list).*\.jpg"):
        find_images(make(tmp_path))


def test_photographs_are_read_as_opencv_reads_them(bccd):
    for path in find_images(bccd / "JPEGImages")[:8]:
        assert np.array_equal(load_image(path), cv2.imread(str(path)))
