"""Small folders of labelled pictures of 64x48 for the tests of data sets; each picture has its own pixels."""

from __future__ import annotations

import json
import zlib

import numpy as np

from helpers.images import save_image

SIZE_WH = (64, 48)
CORNERS = "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
OBJECT = "<object>\n<name>{}</name>\n<bndbox>" + CORNERS + "</bndbox>\n</object>\n"


def picture(path, size_wh=SIZE_WH, like=None):
    """A picture whose pixels depend on its name (or on `like`)."""
    rng = np.random.default_rng(zlib.crc32(str(like or path.name).encode()))
    shade = rng.integers(0, 256, (6, 8, 3), np.uint8)
    image_bgr = np.kron(shade, np.ones((size_wh[1] // 6, size_wh[0] // 8, 1), np.uint8))
    return save_image(path, image_bgr)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def yolo(root, pictures, yaml="train: images/train\nval: images/val\nnames: [cell, dot]\n"):
    """`{"train/a": "0 .5 .5 .5 .5"}`: pictures with the text of their label file, None for no file."""
    for name, rows in pictures.items():
        picture(root / "images" / f"{name}.png")
        if rows is not None:
            write(root / "labels" / f"{name}.txt", rows)
    if yaml:
        write(root / "data.yaml", yaml)
    return root


def coco(root, split, images, annotations, categories=((1, "cell"), (7, "dot")), make=True):
    """`images`: id to file name; `annotations`: (id, image, category, bbox[, more])."""
    for name in images.values() if make else ():
        picture(root / split / name)
    content = {
        "info": {"year": 2026, "x": [1, {"y": 2}]},
        "images": [{"id": k, "file_name": v, "width": 64, "height": 48} for k, v in images.items()],
        "annotations": [
            {"id": a[0], "image_id": a[1], "category_id": a[2], "bbox": a[3], **(a[4] if len(a) > 4 else {})}
            for a in annotations
        ],
        "categories": [{"id": k, "name": v} for k, v in categories],
    }
    write(root / "annotations" / f"instances_{split}.json", json.dumps(content, indent=1))
    return root


def voc_xml(name, objects, size_wh=SIZE_WH):
    body = "".join(OBJECT.format(*item) for item in objects)
    size = f"<size><width>{size_wh[0]}</width><height>{size_wh[1]}</height></size>\n" if size_wh else ""
    return f"<annotation>\n<filename>{name}</filename>\n{size}{body}</annotation>\n"


def voc(root, pictures, suffix=".png"):
    """`{"a": [("cell", 1, 2, 30, 40)]}`: pictures with their objects; the list of all is `list.txt`."""
    for name, objects in pictures.items():
        picture(root / "JPEGImages" / f"{name}{suffix}")
        write(root / "Annotations" / f"{name}.xml", voc_xml(f"{name}{suffix}", objects))
    write(root / "list.txt", "".join(f"{name}\n" for name in pictures))
    return root


def told(flaws):
    """Kind, file name and line of each flaw."""
    return [(flaw.kind, flaw.path.name, flaw.line) for flaw in flaws]
