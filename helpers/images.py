"""Pictures in and out of files, and the letterbox between a picture and the network's input.

Pictures are `uint8[H, W, 3]` in OpenCV's channel order: blue, green, red.
"""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from helpers.artifacts import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

Size = tuple[int, int]
__all__ = ["ImageError", "Letterbox", "find_images", "iter_images", "letterbox", "load_image", "place"]
__all__ += ["save_image", "to_tensor"]

IMAGE_SUFFIXES = {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
GREY = 114


class ImageError(ValueError):
    """A file that cannot be read as a picture, or an array that is none."""


def load_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a picture file as `image_bgr` `uint8[H, W, 3]`.

    The EXIF orientation is applied; grey, palette, 16-bit and transparent pictures are brought to the same
    form (transparency is dropped, 16 bits become 8), as OpenCV, and so Ultralytics, reads them.

    Raises:
        ImageError: the file is missing, empty, cut short, or no picture; the message says what was found.

    >>> load_image("no-such-file.jpg")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    helpers.images.ImageError: no-such-file.jpg: expected a picture file, found no file there; check the path
    """
    try:
        raw = np.fromfile(path, np.uint8)
    except OSError as error:
        found = "a folder" if Path(path).is_dir() else f"no readable file ({error.strerror or error})"
        found = found if Path(path).exists() else "no file there"
        raise ImageError(f"{path}: expected a picture file, found {found}; check the path") from error
    head = raw[:512].tobytes()
    log, level = cv2.utils.logging, cv2.utils.logging.getLogLevel()
    try:
        log.setLogLevel(log.LOG_LEVEL_SILENT)  # what OpenCV dislikes, the error says once
        image_bgr = None if _is_text(head) else cv2.imdecode(raw, cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(f"{path}: OpenCV cannot decode this picture: {error.err}") from error
    finally:
        if level != log.LOG_LEVEL_SILENT:  # else another thread is in here, and brings it back
            log.setLogLevel(level)
    if image_bgr is None:
        found = _describe(head, len(raw))
        raise ImageError(f"{path}: expected a complete picture (JPEG, PNG, ...), found {found}")
    return np.asarray(image_bgr, np.uint8)


def _is_text(head: bytes) -> bool:
    if head[:1] == b"P" and head[1:2].isdigit():  # PGM and PPM pictures begin like text
        return False
    return all(byte >= 0x20 or byte in b"\t\n\r" for byte in head) and not head.startswith(b"\xff\xd8")


def _describe(head: bytes, size: int) -> str:
    """What a file that is no readable picture seems to be, in a few words."""
    kinds = {
        b"\xff\xd8": "a JPEG that is cut short or damaged",
        b"\x89PNG": "a PNG that is cut short or damaged",
        b"RIFF": "a WebP that is cut short or damaged",
        b"%PDF": "a PDF",
        b"PK\x03\x04": "a zip archive",
    }
    if size == 0:
        return "an empty file"
    for magic, meaning in kinds.items():
        if head.startswith(magic):
            return f"{meaning} ({size} bytes)"
    if _is_text(head):
        return f"text that begins {head.decode('utf-8', 'replace').strip()[:40]!r}"
    return f"{size} bytes that begin {head[:8].hex(' ')}"


def save_image(path: str | Path, image_bgr: NDArray[np.uint8], *, quality: int = 90) -> Path:
    """Write `image_bgr` `uint8[H, W, 3]`; the suffix picks the format, `quality` is JPEG's. Makes folders.

    Raises:
        ImageError: the array is no picture, or OpenCV writes no such format.
    """
    path = Path(path)
    check_image(image_bgr)
    try:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix.lower() in (".jpg", ".jpeg") else []
        done, data = cv2.imencode(path.suffix, image_bgr, options)
    except cv2.error as error:
        fix = f"no picture format has the suffix {path.suffix!r}; use .jpg or .png"
        raise ImageError(f"{path}: {fix}") from error
    if not done:
        raise ImageError(f"{path}: OpenCV could not encode a picture as {path.suffix}")
    with atomic_path(path) as temporary:
        data.tofile(temporary)
    return path


def check_image(image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `image_bgr` where it is `uint8[H, W, 3]` with at least one pixel, else raise `ImageError`."""
    if not isinstance(image_bgr, np.ndarray):
        raise ImageError(f"image_bgr: expected an array uint8[H, W, 3], got {type(image_bgr).__name__}")
    if image_bgr.dtype != np.uint8 or image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.size == 0:
        got = f"{image_bgr.dtype}{list(image_bgr.shape)}"
        raise ImageError(
            f"image_bgr: expected uint8[H, W, 3], got {got}; load_image() makes this form of any file"
        )
    return image_bgr


@dataclass(frozen=True)
class Letterbox:
    """A picture scaled into the network's input, and the way back.

    Attributes:
        image_bgr: the input, `uint8[H, W, 3]`.
        picture_wh: size of the picture it was made of, pixels.
        content_wh: size of the scaled picture inside the input, pixels.
        pad_xy: grey pixels left of and above the scaled picture.
    """

    image_bgr: NDArray[np.uint8]
    picture_wh: tuple[int, int]
    content_wh: tuple[int, int]
    pad_xy: tuple[int, int]

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the input, pixels."""
        return int(self.image_bgr.shape[1]), int(self.image_bgr.shape[0])

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Input pixels per picture pixel; the axes differ a little: each side is rounded to whole pixels."""
        return self.content_wh[0] / self.picture_wh[0], self.content_wh[1] / self.picture_wh[1]

    @property
    def scale(self) -> float:
        """Input pixels per picture pixel, before rounding to whole pixels."""
        return min(size / picture for size, picture in zip(self.size_wh, self.picture_wh, strict=True))

    def boxes_to_picture(self, boxes_xyxy: ArrayLike) -> NDArray[np.float32]:
        """Boxes `[n, 4]` in input pixels → the same boxes in the picture's pixels (not clipped)."""
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        moved = boxes - (*self.pad_xy, *self.pad_xy)
        return np.asarray(moved / (*self.scale_xy, *self.scale_xy), np.float32)

    def boxes_to_input(self, boxes_xyxy: ArrayLike) -> NDArray[np.float32]:
        """Boxes `[n, 4]` in picture pixels → the same boxes in input pixels."""
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        scaled = boxes * (*self.scale_xy, *self.scale_xy)
        return np.asarray(np.add(scaled, (*self.pad_xy, *self.pad_xy)), np.float32)


def letterbox(image_bgr: NDArray[np.uint8], size_wh: tuple[int, int]) -> Letterbox:
    """Scale a picture to fit `size_wh`, keep its proportions, centre it on grey 114.

    Bilinear, and rounded as Ultralytics' `LetterBox(auto=False)` rounds: the pixels are the same.

    >>> boxed = letterbox(np.zeros((100, 300, 3), np.uint8), (640, 640))
    >>> boxed.content_wh, boxed.pad_xy, boxed.boxes_to_picture([[0, 213, 640, 426]]).tolist()
    ((640, 213), (0, 213), [[0.0, 0.0, 300.0, 100.0]])
    """
    picture_wh = (check_image(image_bgr).shape[1], image_bgr.shape[0])
    content_wh, (left, top) = place(picture_wh, size_wh)
    if content_wh != picture_wh:
        image_bgr = np.asarray(cv2.resize(image_bgr, content_wh, interpolation=cv2.INTER_LINEAR), np.uint8)
    padded = np.full((size_wh[1], size_wh[0], 3), GREY, np.uint8)
    padded[top : top + content_wh[1], left : left + content_wh[0]] = image_bgr
    return Letterbox(padded, picture_wh, content_wh, (left, top))


def place(picture_wh: Size, size_wh: Size) -> tuple[Size, Size]:
    """Where a letterbox puts a picture: its scaled size, and the grey pixels left of it and above.

    >>> place((300, 100), (640, 640))
    ((640, 213), (0, 213))
    """
    if min(size_wh) < 1:
        raise ValueError(f"size_wh: expected two sizes of at least 1 pixel, got {size_wh}")
    scale = min(size_wh[0] / picture_wh[0], size_wh[1] / picture_wh[1])
    width, height = (max(round(side * scale), 1) for side in picture_wh)
    return (width, height), (round((size_wh[0] - width) / 2 - 0.1), round((size_wh[1] - height) / 2 - 0.1))


def to_tensor(image_bgr: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """The network's input: `images_nchw` `float32[1, 3, H, W]`, RGB, 0 to 1; written into `out` if given.

    >>> to_tensor(np.full((2, 4, 3), (255, 0, 51), np.uint8))[0, :, 0, 0].tolist() == [np.float32(0.2), 0, 1]
    True
    """
    height, width = check_image(image_bgr).shape[:2]
    images_nchw = np.empty((1, 3, height, width), np.float32) if out is None else out
    planes = np.empty((3, height, width), np.uint8)
    cv2.split(image_bgr, [planes[2], planes[1], planes[0]])  # far faster than NumPy's strides
    np.divide(planes, np.float32(255), out=images_nchw[0])
    return images_nchw


def find_images(source: str | Path | Iterable[str | Path]) -> list[Path]:
    """Picture files of a folder, a glob pattern, one file or a list of files; `img2` comes before `img10`.

    Raises:
        ImageError: there are none.
    """
    if not isinstance(source, str | Path):
        paths, where = [Path(item) for item in source], "the list"
    elif Path(source).is_dir():
        files = (path for path in Path(source).iterdir() if path.is_file())
        paths = sorted((path for path in files if path.suffix.lower() in IMAGE_SUFFIXES), key=_natural)
        where = f"folder {source}"
    elif not Path(source).exists() and glob.has_magic(str(source)):
        found = glob.glob(str(source), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        paths = sorted((Path(name) for name in found if Path(name).is_file()), key=_natural)
        where = f"pattern {source}"
    else:
        return [Path(source)]
    if not paths:
        kinds = " ".join(sorted(IMAGE_SUFFIXES))
        raise ImageError(f"no pictures in {where}; expected at least one file ({kinds})")
    return paths


def iter_images(source: str | Path | Iterable[str | Path]) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    """Load the pictures of `find_images(source)` one after another: `(path, image_bgr)`."""
    for path in find_images(source):
        yield path, load_image(path)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path).lower())
    return [(int(part or 0), "") if part.isdigit() else (0, part) for part in parts]
