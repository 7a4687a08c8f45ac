"""The held-out split: by the file's name alone, at least one picture on each side, copies kept together."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.training.dataset_entries import Entry, Listing
from helpers.training.dataset_split import HELD_OUT, hold_out


def listing(**splits):
    made = {split: [Entry(Path(name), Path("x")) for name in names] for split, names in splits.items()}
    return Listing(("a",), made)


def names(listing):
    return {split: [entry.picture.name for entry in entries] for split, entries in listing.splits.items()}


MANY = [f"picture-{n}.jpg" for n in range(500)]


@pytest.mark.parametrize(
    "splits", [{"train": ["a"], "val": ["b"]}, {"train": [], "val": ["b"], "test": ["c"]}]
)
def test_splits_that_are_there_stay(splits):
    made = listing(**splits)
    hold_out(made)
    assert (names(made), made.notes) == (splits, [])


@pytest.mark.parametrize("only", ["train", "val", "test"])
def test_one_split_becomes_two(only):
    made = listing(**{only: MANY})
    hold_out(made)
    found = names(made)
    assert list(found) == ["train", "val"]
    assert sorted(found["train"] + found["val"]) == sorted(MANY)
    assert 75 <= len(found["val"]) <= 125
    missing = "val" if only == "train" else "train"
    count = f"{len(found['val'])} of 500 pictures"
    note = f"no {missing} split: {count} are held out for val (20% by a hash of the file names)"
    assert made.notes == [note]
    assert HELD_OUT == 0.2


def test_the_same_pictures_every_time_whatever_else_is_there():
    few, many = listing(train=MANY[::2]), listing(train=MANY[::-1])
    hold_out(few)
    hold_out(many)
    assert set(names(few)["val"]) == set(names(many)["val"]) & set(MANY[::2])
    assert names(listing(train=MANY[:10])) == {"train": MANY[:10]}


def test_these_very_pictures():
    made = listing(train=MANY[:20])
    hold_out(made)
    assert names(made)["val"] == [MANY[number] for number in [1, 2, 4, 7, 13, 17]]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.999999999])
@pytest.mark.parametrize("count", [2, 3])
def test_no_side_is_empty(share, count):
    for start in range(0, 60, count):
        made = listing(train=MANY[start : start + count])
        hold_out(made, share)
        assert all(names(made).values())


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_split(count):
    made = listing(train=MANY[:count])
    hold_out(made)
    assert names(made) == {"train": MANY[:count], "val": []}
    assert len(made.notes) == count


def test_a_test_split_stays_unseen():
    made = listing(train=MANY[:50], test=MANY[50:])
    hold_out(made)
    assert names(made)["test"] == MANY[50:]
    assert sorted(names(made)["train"] + names(made)["val"]) == sorted(MANY[:50])


def test_augmented_copies_stay_together():
    copies = [f"photo-{n}_jpg.rf.{k}{k}.jpg" for n in range(60) for k in "abc"]
    made = listing(train=copies)
    hold_out(made)
    held = {name.split(".rf.")[0] for name in names(made)["val"]}
    assert held
    assert not held & {name.split(".rf.")[0] for name in names(made)["train"]}
