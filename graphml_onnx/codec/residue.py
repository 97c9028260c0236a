"""The residue: a patch from canonical protobuf to the bytes of a file that was written otherwise.

It is a Zstandard frame with the canonical skeleton as prefix, so that a few shuffled fields or over-long numbers
cost a few bytes. It applies to exactly the canonical skeleton that it was made for; after an edit it does not.

Source: docs/format.md, section "Residue"; RFC 8878 (Zstandard).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.codec.numbers import NumberError, integer
from graphml_onnx.codec.payloads import payload_json, read_payload
from graphml_onnx.onnxfile.messages import count_messages
from graphml_onnx.onnxfile.skeleton import NONCE_BYTES, marker, renumbered
from graphml_onnx.support.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.parameters.store import PayloadReference

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MAX_SIZE = 1 << 31
_LEVEL = 9  # the highest ones take a microsecond for each byte, a hundred times as long, for half of the size
_MAX_GROWTH = 4
"""How many times as long a skeleton may be as the canonical one and the patch together: what is longer is no gain."""
_MAX_MESSAGES = 2
"""How many times as many messages it may have; besides, one for every two bytes of the patch, which can say so many."""
_BLOCK = 1 << 17  # bytes of a block that is stored as it is
_HEX = re.compile("[0-9a-f]+")


class Residue(NamedTuple):
    """What restores a skeleton that is not canonical.

    Attributes:
        nonce: the nonce of the skeleton's markers.
        canonical_sha256: SHA-256 of the canonical skeleton to which it applies.
        size: size of the original skeleton in bytes.
        payloads: payloads that only the original skeleton mentions (a repeated field counts once).
        patch: the Zstandard frame.
    """

    nonce: bytes
    canonical_sha256: str
    size: int
    payloads: tuple[PayloadReference, ...]
    patch: bytes

    def text(self) -> str:
        """The text of its key."""
        payloads = ",".join(payload_json(reference) for reference in self.payloads)
        return (
            f'{{"nonce":"{self.nonce.decode()}","canonical_sha256":"{self.canonical_sha256}","size":{self.size},'
            f'"payloads":[{payloads}],"patch":"{base64.b64encode(self.patch).decode()}"}}'
        )

    @classmethod
    def from_text(cls, text: str) -> Residue:
        """Reads the text of its key back.

        Raises:
            NumberError: the text is not a residue.
        """
        try:
            value = parse(text)
        except JsonError as error:
            raise NumberError(str(error)) from None
        members = {"nonce", "canonical_sha256", "size", "payloads", "patch"}
        if not isinstance(value, dict) or value.keys() != members:
            raise NumberError(f"must have the members {', '.join(sorted(members))}")
        nonce, digest, payloads, patch = (value[key] for key in ("nonce", "canonical_sha256", "payloads", "patch"))
        if not isinstance(nonce, str) or len(nonce) != NONCE_BYTES or not _HEX.fullmatch(nonce):
            raise NumberError(f"nonce must be {NONCE_BYTES} hexadecimal digits")
        if not isinstance(digest, str) or not isinstance(payloads, list) or not isinstance(patch, str):
            raise NumberError("a member has the wrong type")
        try:
            frame = base64.b64decode(patch, validate=True)
        except (binascii.Error, ValueError):
            raise NumberError("patch is not base64") from None
        references = tuple(read_payload(item) for item in payloads)
        return cls(nonce.encode(), digest, integer(value["size"], 0, _MAX_SIZE), references, frame)

    def applies_to(self, canonical: bytes) -> bool:
        """Whether this is the canonical skeleton for which the residue was made."""
        return hashlib.sha256(canonical).hexdigest() == self.canonical_sha256

    def apply(self, canonical: bytes) -> bytes:
        """The original skeleton; the inverse of `make_residue`.

        Raises:
            NumberError: the patch is damaged, or claims or gives a skeleton that is out of proportion.
        """
        if self.size > (limit := _MAX_GROWTH * (len(canonical) + len(self.patch))):
            raise NumberError(f"claims a skeleton of {self.size} bytes; from this patch, it has at most {limit}")
        try:
            decompressor = zstd.ZstdDecompressor(
                zstd_dict=_prefix(canonical),
                options={zstd.DecompressionParameter.window_log_max: _window_log(len(canonical) + self.size)},
            )
            # One byte more than is expected: a frame that gives it is not what was encoded.
            original = decompressor.decompress(self.patch, max_length=self.size + 1)
        except zstd.ZstdError as error:
            raise NumberError(f"the patch is damaged: {error}") from None
        if len(original) != self.size:
            raise NumberError(f"the patch gives {len(original)} bytes instead of {self.size}")
        if _has_too_many_messages(original, canonical, self.patch):
            raise NumberError("the patch gives more messages than the text of the GraphML and the patch say")
        return original


def ranks(references: Mapping[int, PayloadReference]) -> dict[int, int]:
    """The numbers of payloads in the skeletons of a residue; both directions compute the same."""
    order = {key: rank for rank, key in enumerate(sorted({reference.key for reference in references.values()}))}
    return {number: order[reference.key] for number, reference in references.items()}


def make_residue(
    original: bytes, canonical: bytes, nonce: bytes, references: Mapping[int, PayloadReference]
) -> Residue | None:
    """The residue of a skeleton, or None if it is canonical.

    Args:
        original: the skeleton of the file.
        canonical: the same, as protobuf writes it.
        nonce: the nonce of both.
        references: the payloads of the file by number; the residue keeps those that the canonical skeleton lacks.
    """
    if original == canonical:
        return None
    numbers = ranks(references)
    original, canonical = (renumbered(skeleton, nonce, nonce, numbers) for skeleton in (original, canonical))
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _LEVEL,
        zstd.CompressionParameter.window_log: _window_log(len(original) + len(canonical)),
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    patch = zstd.compress(original, options=options, zstd_dict=_prefix(canonical))
    too_long = len(original) > _MAX_GROWTH * (len(canonical) + len(patch))
    if too_long or _has_too_many_messages(original, canonical, patch):
        patch = _stored(original)
    missing = tuple(
        reference for number, reference in references.items() if marker(nonce, numbers[number]) not in canonical
    )
    return Residue(nonce, hashlib.sha256(canonical).hexdigest(), len(original), missing, patch)


def _has_too_many_messages(original: bytes, canonical: bytes, patch: bytes) -> bool:
    """Whether reading the original needs much more memory than the canonical skeleton and the patch."""
    most = _MAX_MESSAGES * count_messages(canonical, len(canonical)) + len(patch) // 2
    return count_messages(original, most) > most


def _stored(original: bytes) -> bytes:
    """A frame with the bytes uncompressed, so that a small patch cannot claim much memory; RFC 8878, 3.1.1."""
    starts = range(0, max(len(original), 1), _BLOCK)
    parts = [b"\x28\xb5\x2f\xfd\xe0", len(original).to_bytes(8, "little")]  # one segment, its size in 8 bytes
    for start in starts:
        block = original[start : start + _BLOCK]
        parts += [(len(block) << 3 | (start == starts[-1])).to_bytes(3, "little"), block]
    return b"".join(parts)


def _prefix(canonical: bytes) -> tuple[zstd.ZstdDict, int] | None:
    # Zstandard takes no dictionary of less than 8 bytes.
    return zstd.ZstdDict(canonical, is_raw=True).as_prefix if len(canonical) >= 8 else None


def _window_log(size: int) -> int:
    return min(31, max(10, size.bit_length() + 1))
