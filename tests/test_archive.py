"""The zip around a checkpoint: checked before anything is unpacked."""

from __future__ import annotations

import pickle
import zipfile

import official_form
import pytest
import torch

from helpers.archive import DTYPES, Archive, Storage, TensorView, recognize
from helpers.pickles import CheckpointError, Global

FLOAT = Global("torch", "FloatStorage")


@pytest.fixture
def path(tmp_path):
    """A zip with one tensor of six elements, 0 to 5."""
    torch.save({"t": torch.arange(6.0)}, tmp_path / "t.pt")
    return tmp_path / "t.pt"


@pytest.fixture
def archive(path):
    with Archive(path) as opened:
        yield opened


RECOGNIZED = {
    b"": "an empty file",
    b"PK\x03\x04rest": "a zip",
    b"\x10\0\0\0\0\0\0\0{}": "safetensors",
    b"\n <!DOCTYPE html>": "an HTML page",
    b"<html>": "an HTML page",
    b"<?xml ?>": "an HTML page",
    b"version https://git-lfs.github.com/spec/v1\noid": "a Git LFS pointer",
    b"\x80\x02}q.": "a bare pickle",
    b"hello there\n": "a text file",
    b"\x7fELF\x02": "an unknown format",
}


@pytest.mark.parametrize(("head", "expected"), RECOGNIZED.items())
def test_first_bytes(tmp_path, head, expected):
    (tmp_path / "file").write_bytes(head)
    assert recognize(tmp_path / "file").startswith(expected)


def test_a_tensor_is_rebuilt(archive):
    view = archive.view(archive.storage(("storage", FLOAT, "0", "cpu", 6)), 1, (2, 2), (3, 1), False, {})
    assert archive.tensor(view).tolist() == [[1, 2], [4, 5]]
    assert archive.tensor(view).data_ptr() == archive.tensor(view).data_ptr()


@pytest.mark.parametrize("kind", DTYPES)
def test_every_storage_type(tmp_path, kind):
    saved = torch.tensor([0, 1, 1]).to(DTYPES[kind])
    torch.save(saved, tmp_path / "t.pt")
    with Archive(tmp_path / "t.pt") as archive:
        storage = archive.storage(("storage", Global(*kind.split(".")), "0", "cpu", 3))
        found = archive.tensor(archive.view(storage, 0, (3,), (1,)))
    assert found.dtype == saved.dtype
    assert torch.equal(found, saved)


def test_an_empty_tensor(tmp_path):
    torch.save(torch.empty(0, 4), tmp_path / "t.pt")
    with Archive(tmp_path / "t.pt") as archive:
        view = archive.view(archive.storage(("storage", FLOAT, "0", "cpu", 0)), 0, (0, 4), (4, 1))
        assert archive.tensor(view).shape == (0, 4)


REFERENCES = {
    "not a tuple": "storage",
    "too short": ("storage", FLOAT, "0"),
    "another kind": ("module", FLOAT, "0", "cpu", 6),
    "unknown type": ("storage", Global("os", "system"), "0", "cpu", 6),
    "a key that is no text": ("storage", FLOAT, 0, "cpu", 6),
    "a length that is no number": ("storage", FLOAT, "0", "cpu", "6"),
    "too long": ("storage", FLOAT, "0", "cpu", 7),
    "too short a storage": ("storage", FLOAT, "0", "cpu", 5),
    "negative": ("storage", FLOAT, "0", "cpu", -6),
    "huge": ("storage", FLOAT, "0", "cpu", 2**62),
    "another width": ("storage", Global("torch", "DoubleStorage"), "0", "cpu", 6),
    "missing": ("storage", FLOAT, "9", "cpu", 6),
    "outside": ("storage", FLOAT, "../../data.pkl", "cpu", 6),
}


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
def test_wrong_references_are_refused(archive, reference):
    with pytest.raises(CheckpointError, match=r"t\.pt: .*Fix:"):
        archive.storage(reference)


VIEWS = {
    "offset beyond": (3, (4,), (1,)),
    "stride beyond": (0, (2,), (6,)),
    "size beyond": (0, (7,), (1,)),
    "repeated beyond": (0, (7, 1), (0, 0)),
    "negative offset": (-1, (2,), (1,)),
    "negative size": (0, (-2,), (1,)),
    "negative stride": (5, (2,), (-1,)),
    "huge": (0, (2**62, 2**62), (0, 0)),
    "dimensions differ": (0, (2, 2), (1,)),
    "sizes no tuple": (0, [2], (1,)),
    "a fraction": (0, (2.0,), (1,)),
    "a truth": (0, (True,), (1,)),
    "no offset": (None, (2,), (1,)),
    "text": (0, ("2",), (1,)),
}


@pytest.mark.parametrize(("offset", "size", "stride"), VIEWS.values(), ids=VIEWS)
def test_views_stay_inside_their_storage(archive, offset, size, stride):
    storage = archive.storage(("storage", FLOAT, "0", "cpu", 6))
    with pytest.raises(CheckpointError, match="tensor"):
        archive.view(storage, offset, size, stride)
    with pytest.raises(CheckpointError, match="malformed"):
        archive.view("storage", 0, (1,), (1,))


def test_views_at_the_edge_are_right(archive):
    storage = Storage("0", torch.float32, 6)
    assert archive.view(storage, 5, (1,), (1,)) == TensorView(storage, 5, (1,), (1,))
    assert archive.tensor(archive.view(storage, 0, (), ())).item() == 0
    assert archive.tensor(archive.view(storage, 6, (0,), (1,))).numel() == 0


def refused(path, match):
    with pytest.raises(CheckpointError, match=match) as caught, Archive(path) as archive:
        archive.read_pickle_bytes()
    assert "\n" not in str(caught.value)


def test_compressed_entries_are_a_possible_bomb(path):
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t/data/9", b"\0" * 50_000_000)
    assert path.stat().st_size < 200_000
    refused(path, "possibly a zip bomb, not unpacked")


def test_compressed_by_another_tool(path):
    refused(official_form.rewrite(path, compress=zipfile.ZIP_DEFLATED), "compressed")


def _central(data, offset, value):
    """`data` with a field of the first entry of the central directory replaced."""
    start = data.index(b"PK\x01\x02")
    return data[: start + offset] + value + data[start + offset + len(value) :]


PATCHES = {
    "declared size": (24, (2**31).to_bytes(4, "little"), "zip bomb"),
    "encrypted": (8, b"\1\0", "encrypted"),
    "unknown method": (10, b"\x63\0", "compressed"),
    "header elsewhere": (42, (5).to_bytes(4, "little"), "damaged"),
    "header beyond the end": (42, (2**31).to_bytes(4, "little"), "damaged"),
    "wrong sum": (16, b"\1\2\3\4", "damaged"),
    "wrong signature": (0, b"XX\x01\x02", "damaged"),
}


@pytest.mark.parametrize(("offset", "value", "match"), PATCHES.values(), ids=PATCHES)
def test_a_lying_directory(path, offset, value, match):
    path.write_bytes(_central(path.read_bytes(), offset, value))
    refused(path, match)


def test_overlapping_entries(path):
    """Every entry of the directory points at the first one's bytes."""
    data = bytearray(path.read_bytes())
    position = data.index(b"PK\x01\x02")
    first = data[position + 42 : position + 46]
    while (position := data.find(b"PK\x01\x02", position + 4)) > 0:
        data[position + 42 : position + 46] = first
    path.write_bytes(data)

    def read():
        with Archive(path) as archive:
            archive.read_pickle_bytes()
            archive.tensor(TensorView(Storage("0", torch.float32, 6), 0, (6,), (1,)))

    with pytest.raises(CheckpointError):
        read()


def test_two_entries_of_one_name(path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("t/version", "4")
    refused(path, "several entries of one name")


def test_other_zips(tmp_path):
    other = tmp_path / "other.pt"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(other, "not one torch.save wrote: .* got 'readme.txt'")
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(1))
        archive.writestr("b/data.pkl", pickle.dumps(1))
    refused(other, "expected one")
    with zipfile.ZipFile(other, "w"):
        pass
    refused(other, "got nothing")


def test_torchscript(tmp_path):
    with zipfile.ZipFile(tmp_path / "traced.pt", "w") as archive:
        archive.writestr("traced/data.pkl", pickle.dumps(1))
        archive.writestr("traced/code/__torch__.py", "")
    refused(tmp_path / "traced.pt", "TorchScript")


def test_big_endian(path):
    refused(
        official_form.rewrite(path, lambda name, data: b"big" if name.endswith("byteorder") else data),
        "big-endian",
    )


def test_without_byte_order(path):
    """torch before 2.1 wrote none."""
    with Archive(official_form.rewrite(path, drop=["byteorder"])) as archive:
        assert archive.read_pickle_bytes()


def test_a_huge_pickle(tmp_path):
    refused(
        official_form.save_pickle(tmp_path / "huge.pt", None, raw=b"\0" * (9 << 20)),
        "a pickle of 9437184 bytes",
    )


def test_a_missing_pickle_size(archive):
    with pytest.raises(CheckpointError, match=r"entry t/data/3 is missing"):
        archive._read("data/3")


def test_every_cut_is_refused(path):
    data = path.read_bytes()
    for end in [*range(4, len(data), 37), len(data) - 1]:
        path.write_bytes(data[:end])
        with pytest.raises(CheckpointError, match="damaged or incomplete zip"):
            Archive(path)


def test_flipped_bytes_give_the_error_or_the_content(path):
    data = path.read_bytes()
    for position in range(0, len(data), 11):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        try:
            with Archive(path) as archive:
                archive.read_pickle_bytes()
                storage = archive.storage(("storage", FLOAT, "0", "cpu", 6))
                assert archive.tensor(TensorView(storage, 0, (6,), (1,))).tolist() == [0, 1, 2, 3, 4, 5]
        except CheckpointError:
            pass
