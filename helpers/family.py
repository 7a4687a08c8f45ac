"""The YOLOv7 family: seven variants as a handful of parameters each, which emit the official layer rows.

All seven have one plan. A backbone halves the picture and runs an ELAN block at each size; a spatial pyramid
pools the coarsest map; a neck goes from coarse to fine and back, again with an ELAN block at each size; a
convolution per level leads to the head. What differs is how deep and wide the blocks are, and how they halve.

Source: Wang, Bochkovskiy, Liao, "YOLOv7: Trainable bag-of-freebies sets new state-of-the-art for real-time
object detectors", 2022; layer order as in the layer tables that the released files carry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from helpers.blocks import ALL, ALL_AT_HALF, EVERY_SECOND, Elan, Table, halve, join_from_above, pool_pyramid
from helpers.rows import (
    HEADS,
    MAX_REPEATS,
    Anchors,
    Architecture,
    LayerRow,
    check_rows,
    parse_rows,
    with_names,
)

__all__ = [
    "COCO_ANCHORS_P5", "COCO_ANCHORS_P6", "COCO_ANCHORS_TINY", "HEADS", "MAX_REPEATS", "VARIANTS", "Anchors",
    "Architecture", "LayerRow", "Tiny", "Variant", "check_rows", "describe", "parse_rows", "with_names",
]  # fmt: skip

COCO_ANCHORS_TINY = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)
COCO_ANCHORS_P5 = (
    ((12.0, 16.0), (19.0, 36.0), (40.0, 28.0)),
    ((36.0, 75.0), (76.0, 55.0), (72.0, 146.0)),
    ((142.0, 110.0), (192.0, 243.0), (459.0, 401.0)),
)
COCO_ANCHORS_P6 = (
    ((19.0, 27.0), (44.0, 40.0), (38.0, 94.0)),
    ((96.0, 68.0), (86.0, 152.0), (180.0, 137.0)),
    ((140.0, 301.0), (303.0, 264.0), (238.0, 542.0)),
    ((436.0, 615.0), (739.0, 380.0), (925.0, 792.0)),
)


@dataclass(frozen=True)
class Variant:
    """One member of the family; the defaults are YOLOv7 itself.

    Attributes:
        name: Official name.
        depth: 3x3 convolutions in every ELAN block.
        width: Factor on what leaves a block; inside, the widths stay.
        doubled: Every ELAN block is two, added.
        stages: Backbone, fine to coarse: `(hidden, out)` of the ELAN block at strides 4, 8, 16, ...
        levels: Neck, fine to coarse: the same at strides 8, 16, ...
        stem: First convolutions `(channels, stride)`, all 3x3.
        reorg: The stem begins with space to depth, and the first stage halves as the others do.
        backbone, neck: How their ELAN blocks are joined.
        halve, halve_neck: How they halve; see `helpers.blocks.halve`.
        before_head: Kind of the 3x3 before the head.
        auxiliary: Width factor of the auxiliary head's convolutions; 0 where training has no such head.
        activation: Asked for in every `Conv` row; None is the default, SiLU.
        anchors_px: Per level, in input pixels.
        size: Side of the square input that the published figures are for.
    """

    name: str = "yolov7"
    depth: int = 4
    width: float = 1.0
    doubled: bool = False
    stages: tuple[tuple[int, int], ...] = ((64, 256), (128, 512), (256, 1024), (256, 1024))
    levels: tuple[tuple[int, int], ...] = ((128, 128), (256, 256), (512, 512))
    stem: tuple[tuple[int, int], ...] = ((32, 1), (64, 2), (64, 1), (128, 2))
    reorg: bool = False
    backbone: Elan = EVERY_SECOND
    neck: Elan = ALL_AT_HALF
    halve: str = "transition"
    halve_neck: str = "transition"
    before_head: str = "RepConv"
    auxiliary: float = 0.0
    activation: str | None = None
    anchors_px: Anchors = COCO_ANCHORS_P5
    size: int = 640

    @property
    def strides(self) -> tuple[int, ...]:
        """Per level, input pixels per grid cell."""
        return tuple(8 << level for level in range(len(self.levels)))

    def rows(self, *, training: bool = False) -> tuple[LayerRow, ...]:
        """The layer table, in the official order.

        Args:
            training: With implicit layers in the head, and the auxiliary head where the variant has one.
        """
        table = Table(self.activation)
        features = self._emit_backbone(table)
        laterals = self._emit_way_down(table, features)
        outputs = self._emit_way_up(table, laterals)
        widths = [2 * out for _, out in self.levels]
        inputs = [self._before_head(table, *pair) for pair in zip(outputs, widths, strict=True)]
        if training and self.auxiliary:  # it reads the way down, each level before the sum of doubled blocks
            fine = [source - 1 if self.doubled else source for source in laterals[:-1]]
            for source, width in zip([*fine, laterals[-1]], widths, strict=True):
                inputs.append(table.conv(int(width * self.auxiliary), 3, source=source))
        head = "Detect" if not training else "IAuxDetect" if self.auxiliary else "IDetect"
        table.add(tuple(inputs), head, "nc", "anchors")
        return tuple(table.rows)

    def _emit_backbone(self, table: Table) -> list[int]:
        """Stem and stages; the stages' output rows, fine to coarse."""
        if self.reorg:
            table.add(-1, "ReOrg")
        for channels, stride in self.stem:
            table.conv(self._wide(channels), 3, stride)
        features: list[int] = []
        before = 0
        for hidden, out in self.stages:
            if features or self.reorg:  # a transition keeps the width, the others widen already
                parts = halve(table, self.halve, self._wide(before if self.halve == "transition" else out))
                if len(parts) > 1:
                    table.concat(*parts)
            features.append(self._elan(table, self.backbone, hidden, out))
            before = out
        return features

    def _emit_way_down(self, table: Table, features: list[int]) -> list[int]:
        """Pyramid pooling, then coarse to fine; the levels' output rows, fine to coarse."""
        coarsest = self._wide(self.levels[-1][1])
        tiny = self.halve == "MP"
        outputs = [pool_pyramid(table, coarsest) if tiny else table.add(-1, "SPPCSPC", coarsest)]
        for (hidden, out), feature in zip(self.levels[-2::-1], features[-2::-1], strict=False):
            join_from_above(table, self._wide(out), feature)
            outputs.insert(0, self._elan(table, self.neck, hidden, out))
        return outputs

    def _emit_way_up(self, table: Table, laterals: list[int]) -> list[int]:
        """Fine to coarse; the levels' output rows."""
        outputs = laterals[:1]
        for (hidden, out), lateral in zip(self.levels[1:], laterals[1:], strict=True):
            table.concat(*halve(table, self.halve_neck, self._wide(out)), lateral)
            outputs.append(self._elan(table, self.neck, hidden, out))
        return outputs

    def _elan(self, table: Table, kind: Elan, hidden: int, out: int) -> int:
        return kind.emit(table, self.depth, hidden, self._wide(out), doubled=self.doubled)

    def _before_head(self, table: Table, source: int, channels: int) -> int:
        width = self._wide(channels)
        if self.before_head == "Conv":
            return table.conv(width, 3, source=source)
        return table.add(source, self.before_head, width, 3, 1)

    def _wide(self, channels: int) -> int:
        return int(channels * self.width)

    def architecture(
        self, names: tuple[str, ...], *, training: bool = False, width_multiple: float = 1.0
    ) -> Architecture:
        """The description for given classes.

        Args:
            names: Class names, at least one.
            training: See `rows`.
            width_multiple: Factor on every channel count.

        Raises:
            ValueError: `names` is empty.

        Example:
            >>> tiny = VARIANTS["yolov7-tiny"].architecture(("RBC", "WBC", "Platelets"))
            >>> len(tiny.rows), tiny.rows[0].args[:3], tiny.class_count
            (78, (32, 3, 2), 3)
        """
        rows = self.rows(training=training)
        return Architecture(rows, tuple(names), self.anchors_px, self.strides, width_multiple, name=self.name)


@dataclass(frozen=True)
class Tiny(Variant):
    """YOLOv7-tiny: short chains, plain pooling, LeakyReLU (the published table's row has SiLU)."""

    name: str = "yolov7-tiny"
    depth: int = 2
    stages: tuple[tuple[int, int], ...] = ((32, 64), (64, 128), (128, 256), (256, 512))
    levels: tuple[tuple[int, int], ...] = ((32, 64), (64, 128), (128, 256))
    stem: tuple[tuple[int, int], ...] = ((32, 2), (64, 2))
    backbone: Elan = ALL
    neck: Elan = ALL
    halve: str = "MP"
    halve_neck: str = "Conv"
    before_head: str = "Conv"
    activation: str | None = "nn.LeakyReLU(0.1)"
    anchors_px: Anchors = COCO_ANCHORS_TINY


def _family() -> dict[str, Variant]:
    """All seven, the larger ones by what they change."""
    base = Variant()
    x = replace(base, name="yolov7x", depth=6, width=1.25, neck=EVERY_SECOND, before_head="Conv")
    w6 = Variant(
        name="yolov7-w6", stem=((64, 1),), reorg=True, halve="Conv", halve_neck="Conv", before_head="Conv",
        stages=((64, 128), (128, 256), (256, 512), (384, 768), (512, 1024)),
        levels=((128, 128), (256, 256), (384, 384), (512, 512)),
        auxiliary=1.25, anchors_px=COCO_ANCHORS_P6, size=1280,
    )  # fmt: skip
    e6 = replace(w6, name="yolov7-e6", depth=6, width=1.25, halve="DownC", halve_neck="DownC")
    d6 = replace(e6, name="yolov7-d6", depth=8, width=1.5, auxiliary=1.5)
    e6e = replace(e6, name="yolov7-e6e", doubled=True)
    return {variant.name: variant for variant in (Tiny(), base, x, w6, e6, d6, e6e)}


VARIANTS: dict[str, Variant] = _family()


def describe(
    name: str, names: tuple[str, ...], *, training: bool = False, width_multiple: float = 1.0
) -> Architecture:
    """The architecture of a variant by its official name.

    Args:
        name: One of `VARIANTS`.
        names: Class names, at least one.
        training: The form that is trained: implicit layers, auxiliary head where there is one.
        width_multiple: Factor on every channel count.

    Raises:
        ValueError: Another name, or no class names.

    Example:
        >>> x = describe("yolov7x", ("cell",), training=True)
        >>> len(x.rows), x.rows[-1].module, x.strides
        (122, 'IDetect', (8, 16, 32))
    """
    if name not in VARIANTS:
        raise ValueError(f"name: expected one of {', '.join(VARIANTS)}; got {name[:60]!r}; use one of these")
    return VARIANTS[name].architecture(tuple(names), training=training, width_multiple=width_multiple)
