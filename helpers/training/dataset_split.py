"""A held-out split where a data set has none: by a hash of the file name, so the same pictures every time."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helpers.training.dataset_entries import Entry, Listing

__all__ = ["HELD_OUT", "hold_out"]

HELD_OUT = 0.2
"""Share of the pictures that go to `val` where a data set has no split of its own."""


def _draw(picture: Path) -> float:
    """A number from 0 to 1 by the file's name; augmented copies (`a_jpg.rf.1f3.jpg`) get the original's."""
    name = picture.name.split(".rf.")[0]
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:6]) / 2**48


def hold_out(listing: Listing, share: float = HELD_OUT) -> None:
    """Make `train` and `val` of a listing that lacks one of them; what was done is noted.

    A picture's place depends on its name alone: pictures that are added later move none.
    """
    splits = listing.splits
    if "train" in splits and "val" in splits:
        return
    missing = "train" if "train" not in splits else "val"
    pool: list[Entry] = splits.pop("train", []) or splits.pop("val", []) or splits.pop("test", [])
    drawn = [(_draw(entry.picture), entry) for entry in pool]
    numbers = sorted(number for number, _ in drawn) or [0.0]
    limit = min(max(share, math.nextafter(numbers[0], 1)), numbers[-1])  # one picture at least on each side
    kept = {"train": [entry for number, entry in drawn if number >= limit],
            "val": [entry for number, entry in drawn if number < limit]}  # fmt: skip
    listing.splits = kept | splits
    if pool:
        listing.notes.append(
            f"no {missing} split: {len(kept['val'])} of {len(pool)} pictures are held out for val "
            f"({share:.0%} by a hash of the file names)"
        )
