"""Write samples as a data set in YOLO, COCO or Pascal VOC form: for lessons, tests, and to change the form.

Boxes are kept to 0.001 px in YOLO and COCO form; Pascal VOC has whole pixels, so there to 0.5 px.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import yaml  # type: ignore[import-untyped,unused-ignore]

from helpers.artifacts import atomic_path
from helpers.images import save_image
from helpers.training.dataset_form import FORMS, Form
from helpers.training.flaws import DatasetError
from helpers.training.samples import CELL_NAMES, Sample

__all__ = ["write_dataset"]

_Named = list[tuple[str, Sample]]


def write_dataset(
    samples: Mapping[str, Sequence[Sample]] | Sequence[Sample],
    folder: Path | str,
    form: Form,
    *,
    names: Sequence[str] = CELL_NAMES,
    suffix: str = ".jpg",
) -> Path:
    """Write samples into a new folder.

    Args:
        samples: of each split, `train`, `val`, `test`; a plain sequence is `train`.
        folder: is made; one that has files in it is refused.
        form: `yolo`, `coco` or `voc`.
        names: class names in the order of the ids.
        suffix: format of the pictures; `.png` loses nothing.

    Returns:
        The folder.

    Raises:
        DatasetError: the folder is not empty, the form is unknown, or a class id has no name.
    """
    folder = Path(folder)
    splits = samples if isinstance(samples, Mapping) else {"train": samples}
    if form not in FORMS:
        raise DatasetError(f"form: expected yolo, coco or voc, got {form!r}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"folder: expected a new or empty one, got {folder}; name another")
    highest = max((int(s.class_ids.max()) for g in splits.values() for s in g if len(s)), default=-1)
    if highest >= len(names):
        raise DatasetError(f"names: expected one for class {highest}, got {len(names)}")
    write = {"yolo": _write_yolo, "coco": _write_coco, "voc": _write_voc}[form]
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, {split: _name(split, group, suffix) for split, group in splits.items()}, names)
    return folder


def _name(split: str, group: Sequence[Sample], suffix: str) -> _Named:
    return [(f"{split}-{index:04d}{suffix}", sample) for index, sample in enumerate(group)]


def _text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_yolo(folder: Path, splits: dict[str, _Named], names: Sequence[str]) -> None:
    """`data.yaml`, `images/<split>`, `labels/<split>`: rows `class cx cy w h` in shares of the picture."""
    content: dict[str, object] = {"path": ".", **{split: f"images/{split}" for split in splits}}
    content |= {"nc": len(names), "names": dict(enumerate(map(str, names)))}
    _text(folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    for split, pictures in splits.items():
        (folder / "images" / split).mkdir(parents=True)
        for name, sample in pictures:
            save_image(folder / "images" / split / name, sample.image_bgr)
            label = (folder / "labels" / split / name).with_suffix(".txt")
            _text(label, "".join(f"{row}\n" for row in _yolo_rows(sample)))


def _yolo_rows(sample: Sample) -> Iterator[str]:
    width, height = sample.size_wh
    for class_id, (x0, y0, x1, y1) in zip(sample.class_ids, sample.boxes_xyxy.astype(float), strict=True):
        cx, cy, w, h = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height
        yield f"{class_id} {cx:.8f} {cy:.8f} {w:.8f} {h:.8f}"


def _write_coco(folder: Path, splits: dict[str, _Named], names: Sequence[str]) -> None:
    """`annotations/instances_<split>.json` and a folder of pictures a split; ids from 1, as in COCO."""
    categories = [{"id": number, "name": str(name)} for number, name in enumerate(names, 1)]
    for split, pictures in splits.items():
        images: list[dict[str, object]] = []
        annotations: list[dict[str, object]] = []
        for number, (name, sample) in enumerate(pictures, 1):
            save_image(folder / split / name, sample.image_bgr)
            width, height = sample.size_wh
            images.append({"id": number, "file_name": name, "width": width, "height": height})
            for class_id, box in zip(sample.class_ids.tolist(), sample.boxes_xyxy.tolist(), strict=True):
                x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
                annotations.append({
                    "id": len(annotations) + 1, "image_id": number, "category_id": class_id + 1,
                    "bbox": [round(v, 3) for v in (x, y, w, h)], "area": round(w * h, 3), "iscrowd": 0,
                })  # fmt: skip
        lists = {"images": images, "annotations": annotations, "categories": categories}
        body = ",\n".join(
            f'"{key}": [\n' + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "\n]"
            for key, items in lists.items()
        )
        _text(folder / "annotations" / f"instances_{split}.json", "{\n" + body + "\n}\n")


def _write_voc(folder: Path, splits: dict[str, _Named], names: Sequence[str]) -> None:
    """`Annotations/*.xml`, `JPEGImages/`, and a list of names a split in `ImageSets/Main`; whole pixels."""
    _text(folder / "classes.txt", "".join(f"{name}\n" for name in names))
    for split, pictures in splits.items():
        for name, sample in pictures:
            save_image(folder / "JPEGImages" / name, sample.image_bgr)
            _text((folder / "Annotations" / name).with_suffix(".xml"), _voc_xml(name, sample, names))
        stems = "".join(f"{Path(name).stem}\n" for name, _ in pictures)
        _text(folder / "ImageSets" / "Main" / f"{split}.txt", stems)


def _voc_xml(name: str, sample: Sample, names: Sequence[str]) -> str:
    width, height = sample.size_wh
    lines = [f"<filename>{escape(name)}</filename>"]
    lines.append(f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>")
    for class_id, box in zip(sample.class_ids, sample.boxes_xyxy.tolist(), strict=True):
        x0, y0, x1, y1 = map(round, box)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        corners = f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        lines += ["<object>", f"  <name>{escape(str(names[int(class_id)]))}</name>"]
        lines += ["  <difficult>0</difficult>", f"  <bndbox>{corners}</bndbox>", "</object>"]
    body = "\n".join(f"  {line}" for line in lines)
    return f"<annotation>\n{body}\n</annotation>\n"
