from __future__ import annotations

import contextlib
import hashlib
import json
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx.codec import residue as residues
from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.residue import Residue, make_residue, ranks
from graphml_onnx.onnxfile.messages import count_messages
from graphml_onnx.onnxfile.skeleton import marker, renumbered
from graphml_onnx.parameters.store import PayloadReference
from tests.strategies import wire
from tests.strategies.models import models
from tests.strategies.wire import BYTES, FIXED32, FIXED64, GROUP, VARINT, Field, serialise

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NONCE = b"0123456789abcdef"


@given(original=st.binary(max_size=300), canonical=st.binary(max_size=300))
def test_any_bytes_are_restored_from_any_others(original, canonical):
    residue = make_residue(original, canonical, NONCE, {})
    if original == canonical:
        assert residue is None
        return
    again = Residue.from_text(residue.text())
    assert again == residue
    assert again.applies_to(canonical)
    assert again.apply(canonical) == original


@given(fields=models(), seed=st.integers(0, 2**32))
def test_a_mutant_is_restored_from_its_model(fields, seed):
    canonical, original = serialise(fields), serialise(wire.mutate(fields, random.Random(seed)))
    residue = make_residue(original, canonical, NONCE, {})
    if residue is not None:
        assert Residue.from_text(residue.text()).apply(canonical) == original


def test_a_few_changes_in_a_large_file_cost_a_few_bytes():
    canonical = random.Random(1).randbytes(1_000_000)
    original = canonical[:500_000] + b"!" + canonical[500_000:]
    residue = make_residue(original, canonical, NONCE, {})
    assert len(residue.patch) < 200
    assert residue.apply(canonical) == original


def test_what_a_patch_may_claim_ends_at_a_limit():
    canonical = b"canonical bytes"
    residue = make_residue(b"original", canonical, NONCE, {})
    limit = residues._MAX_GROWTH * (len(canonical) + len(residue.patch))
    with pytest.raises(NumberError, match=f"instead of {limit}$"):
        residue._replace(size=limit).apply(canonical)
    with pytest.raises(NumberError, match="claims a skeleton"):
        residue._replace(size=limit + 1).apply(canonical)


def test_how_many_messages_a_patch_accounts_for():
    message = b"\x3a\x00"
    most = 2 * residues._MAX_MESSAGES + 3
    assert not residues._has_too_many_messages(most * message, 2 * message, bytes(7))
    assert residues._has_too_many_messages((most + 1) * message, 2 * message, bytes(7))


def test_an_empty_skeleton_is_stored_as_one_block():
    assert zstd.decompress(residues._stored(b"")) == b""
    assert zstd.decompress(residues._stored(b"x" * 200_000)) == b"x" * 200_000


def test_a_residue_applies_to_nothing_else():
    residue = make_residue(b"original", b"canonical bytes", NONCE, {})
    assert not residue.applies_to(b"canonical byteS")


def test_payloads_that_only_the_original_mentions_go_with_it():
    references = {7: PayloadReference(0, 40, "a" * 64), 64: PayloadReference(64, 50, "b" * 64)}
    residue = make_residue(b"original", b"..." + marker(NONCE, 64) + b"...", NONCE, references)
    assert residue.payloads == (references[7],)
    assert Residue.from_text(residue.text()) == residue


@given(st.permutations(range(5)), st.booleans())
def test_the_numbers_of_a_residue_do_not_depend_on_those_of_a_side(order: list[int], named: bool) -> None:
    """Payloads are numbered by name or offset, whatever numbers the skeleton has."""
    payloads = [PayloadReference(0 if named else k, 40, "a" * 64, f"w{k}" if named else None) for k in range(5)]
    skeleton = b"".join(marker(NONCE, 100 + order.index(k)) for k in range(5))
    numbers = ranks({100 + place: payloads[k] for place, k in enumerate(order)})
    assert renumbered(skeleton, NONCE, b"n" * 16, numbers) == b"".join(marker(b"n" * 16, k) for k in range(5))


def _text(**changes: object) -> str:
    value = json.loads(make_residue(b"original", b"canonical bytes", NONCE, {}).text())
    return json.dumps(value | changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"nonce":"0"}',
        _text(extra=1),
        _text(nonce="0123"),
        _text(nonce="0123456789ABCDEF"),
        _text(nonce=5),
        _text(canonical_sha256=None),
        _text(size=-1),
        _text(size=2**40),
        _text(size="1"),
        _text(payloads={}),
        _text(payloads=[{}]),
        _text(patch="***"),
        _text(patch=None),
    ],
)
def test_what_is_no_residue_is_refused(text):
    with pytest.raises(NumberError):
        Residue.from_text(text)


@pytest.mark.parametrize("patch", ["", "AAAA", "KLUv/SAA", "KLUv/QRYAQAAAA=="])
def test_a_patch_that_is_no_frame_is_refused(patch):
    with pytest.raises(NumberError):
        Residue.from_text(_text(patch=patch)).apply(b"canonical bytes")


@pytest.mark.parametrize("size", [0, 1, 7, 9, 99])
def test_a_patch_of_another_size_is_refused(size):
    with pytest.raises(NumberError, match="bytes instead of"):
        Residue.from_text(_text(size=size)).apply(b"canonical bytes")


def test_every_damaged_patch_gives_an_error_or_bytes_of_the_size():
    """What it gives is compared with the digest of the file afterwards."""
    residue = make_residue(b"original " * 20, b"canonical bytes " * 20, NONCE, {})
    for position in range(len(residue.patch)):
        for bit in range(8):
            damaged = bytearray(residue.patch)
            damaged[position] ^= 1 << bit
            broken = Residue(NONCE, residue.canonical_sha256, residue.size, (), bytes(damaged))
            with contextlib.suppress(NumberError):
                assert len(broken.apply(b"canonical bytes " * 20)) == residue.size


@pytest.mark.parametrize("size", [0, 1, 1 << 17, (1 << 17) + 1, 1 << 20])
def test_what_compresses_too_well_is_stored(size):
    """A small patch cannot claim much, so that what was encoded never does."""
    original, canonical = b"\x3a\x00" * (size // 2) + b"!", b"canonical bytes"
    residue = make_residue(original, canonical, NONCE, {})
    assert residue.size <= 4 * (len(canonical) + len(residue.patch))
    assert residue.apply(canonical) == original


def test_a_patch_that_claims_too_much_is_refused():
    original, canonical = bytes(1 << 20), b"canonical bytes"
    patch = zstd.compress(original)
    residue = Residue(NONCE, hashlib.sha256(canonical).hexdigest(), len(original), (), patch)
    with pytest.raises(NumberError, match="claims a skeleton of 1048576 bytes"):
        residue.apply(canonical)


def test_a_patch_that_gives_more_messages_than_it_says_is_refused():
    """Two bytes make an object of a hundred; what says the same graph is compared only after all of them are made."""
    canonical = serialise((Field(7, BYTES, (Field(10, BYTES, bytes(30_000)), Field(1, BYTES, ()))),))
    original = serialise((Field(7, BYTES, (Field(1, BYTES, ()),) * 50_000),))
    patch = zstd.compress(original, zstd_dict=zstd.ZstdDict(canonical, is_raw=True).as_prefix)
    residue = Residue(NONCE, hashlib.sha256(canonical).hexdigest(), len(original), (), patch)
    with pytest.raises(NumberError, match="more messages"):
        residue.apply(canonical)
    assert make_residue(original, canonical, NONCE, {}).apply(canonical) == original


@pytest.mark.parametrize(("fields", "expected"), [
    pytest.param((Field(7, BYTES, (Field(1, BYTES, ()), Field(1, BYTES, (Field(5, BYTES, ()),)))),), 4, id="nested"),
    pytest.param((Field(7, BYTES, (Field(1, BYTES, ()),)), Field(99, GROUP, (Field(7, BYTES, b""),)),
                  Field(8, BYTES, ()), Field(1, VARINT, 300), Field(1, FIXED32, 1), Field(1, FIXED64, 1)), 3,
                 id="others"),
    pytest.param((Field(7, BYTES, ()), Field(7, BYTES, ()), Field(8, BYTES, ()), Field(2, BYTES, b"x")), 3, id="twice"),
])  # fmt: skip
def test_messages_are_counted(fields, expected):
    data = serialise(fields)
    assert [count_messages(data, most) for most in range(expected)] == [*range(1, expected + 1)]
    assert [count_messages(data, most) for most in (expected, 100)] == [expected, expected]
    assert all(count_messages(data[:end], 100) <= expected for end in range(len(data)))
    assert count_messages(data + b"\x07" + data, 100) == expected, "protobuf ends there"
