"""What the project wants to reach, and whether a run reached it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import groups as names
from benchmarks.groups import SHAPES, STRATEGIES, scale_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.record import Group, Row, Run

_MB = 1e6
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal.

    Attributes:
        work: what is compared.
        limit: what the median must not exceed.
        unit: of the limit: a ratio has none.
        values: one for each turn.
    """

    work: str
    limit: float
    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        return self.median <= self.limit


def goals(run: Run) -> list[Goal]:
    """The goals whose groups a run has; of a quick run, whose models are smaller, they say nothing."""
    found: list[Goal] = []
    if "structure" in run.groups:
        found += _structure(run.groups["structure"])
    if "exports" in run.groups:
        found += _json(run.groups["exports"], "nested", "20,000 operators as torch exports them")
    if "weights-438mb" in run.groups:
        found += _weights(run.groups["weights-438mb"])
    for name, size in (("weights-438mb", "438 MB"), ("weights-2gb", "2 GB")):
        if name in run.groups:
            found += _memory_of_weights(run.groups[name], size)
    for shape in SHAPES:
        if scale_name(shape) in run.groups:
            found += _scale(run.groups[scale_name(shape)], shape)
    if "start" in run.groups:
        found += _start(run.groups["start"])
    return found


def _structure(group: Group) -> Iterator[Goal]:
    for layout in ("nested", "flat"):
        encode, decode = f"encode, {layout}", f"decode, {layout}"
        size = f"{layout}, 100,000 operators"
        for peer, content in ((names.NETWORKX_WRITE, "same content"), (names.NETWORKX_WRITE_LESS, "less content")):
            work = f"encode with the self-check, {size} / networkx, build and write, {content}"
            yield Goal(work, 1.2, "", group.ratios([encode], [peer]))
        for peer, content in ((names.NETWORKX_READ, "same content"), (names.NETWORKX_READ_LESS, "less content")):
            yield Goal(f"decode, {size} / networkx, read, {content}", 0.4, "", group.ratios([decode], [peer]))
        yield from _json(group, layout, size)


def _json(group: Group, layout: str, size: str) -> Iterator[Goal]:
    encode, decode = f"encode, {layout}", f"decode, {layout}"
    json = [names.TO_JSON, names.FROM_JSON]
    for way, name in ((encode, "encode with the self-check"), (f"{encode}, no self-check", "encode without")):
        work = f"{name} + decode, {size} / protobuf's JSON, both ways"
        yield Goal(work, 0.5, "", group.ratios([way, decode], json))


def _weights(group: Group) -> Iterator[Goal]:
    both = [names.COPY, names.SHA]
    yield Goal("encode 438 MB, sidecar / (cp + SHA-256)", 1.3, "", group.ratios(["encode, sidecar"], both))
    yield Goal("decode 438 MB, sidecar / (cp + SHA-256)", 1.3, "", group.ratios(["decode, sidecar"], both))
    yield Goal("encode 438 MB, reference / SHA-256", 1.5, "", group.ratios(["encode, reference"], [names.SHA]))


def _memory_of_weights(group: Group, size: str) -> Iterator[Goal]:
    for work in ("encode", "decode"):
        rows = [group.row(f"{work}, {strategy}") for strategy in STRATEGIES]
        values = _peaks(rows)
        if values:
            yield Goal(f"peak memory, {work} {size}, the worst strategy", 64, "MB", values)


def _peaks(rows: Iterable[Row]) -> list[float]:
    """The largest peak of several cases in MB, one for each turn."""
    return [max(turn) * _KIB / _MB for turn in zip(*(row.peaks for row in rows), strict=True)]


def _scale(group: Group, shape: str) -> Iterator[Goal]:
    layout = SHAPES[shape][1]
    sizes = [row.operators for row in group.rows]

    def small(case: str) -> Row:
        return group.row(f"{case}, {min(sizes):,}")

    def large(case: str) -> Row:
        return group.row(f"{case}, {max(sizes):,}")

    for work in ("encode", "decode"):
        case = f"{work}, {layout}"
        values = [big / few for big, few in zip(large(case).per_operator(), small(case).per_operator(), strict=True)]
        yield Goal(f"an operator of 1,000,000 / of 10,000: {work}, {shape}", 1.2, "", values)
    parsed = large(names.PARSE).peaks
    for work in ("encode", "decode"):
        peaks = large(f"{work}, {layout}").peaks
        if parsed and all(parsed):
            values = [peak / message for peak, message in zip(peaks, parsed, strict=True)]
            yield Goal(f"peak memory, 1,000,000 operators / the parsed message: {work}, {shape}", 3, "", values)


def _start(group: Group) -> Iterator[Goal]:
    pairs = zip(group.row(names.ENCODE_SMALL).seconds, group.row(names.IMPORT_ONNX).seconds, strict=True)
    yield Goal("a whole g2o encode, 20 operators, beyond `import onnx`", 0.15, "s", [own - base for own, base in pairs])
