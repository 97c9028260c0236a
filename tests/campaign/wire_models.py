"""The target ``wire``: hostile mutants of models, round-tripped byte for byte."""

from __future__ import annotations

import random
import zlib
from functools import cache
from typing import TYPE_CHECKING, get_args

import onnx
from google.protobuf.message import DecodeError

from graphml_onnx import ExternalDataError, Layout, ModelError, ParameterStrategy
from tests.campaign.sizes import chunks
from tests.common import seeds
from tests.common.roundtrip import through_memory
from tests.strategies import models, wire

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

_STRATEGIES = get_args(ParameterStrategy)
_LAYOUTS = get_args(Layout)


@cache
def seed_models() -> list[wire.Fields]:
    """Tiny and small models often, larger ones now and then: what makes bytes unusual is not size."""
    small = list(seeds.small_models().values())
    package = [data for data in seeds.onnx_files().values() if len(data) < 4000][::6]
    fixtures = [data for data in seeds.fixtures().values() if len(data) < 40_000]
    large = [data for data in seeds.fixtures().values() if len(data) >= 40_000]
    large.append(seeds.model_of_payloads(3 << 18))
    tiny = _tiny_models()
    weighted = small * (len(tiny) // 6) + package * 5 + fixtures * 2 + large
    return [*tiny, *map(wire.parse, weighted)]


def _tiny_models() -> list[wire.Fields]:
    """Each field of each message of ONNX on its own, with its default value and with others."""
    tiny = []
    for name, paths in models.paths_to_messages().items():
        descriptor: Descriptor = onnx.ModelProto.DESCRIPTOR.file.pool.FindMessageTypeByName(name)
        samples = [fields for field in descriptor.fields for _, fields in models.samples(field)]
        tiny += [models.embed(path, fields) for path in paths for fields in samples]
    return [fields for fields in tiny if len(wire.serialise(fields)) < 200]


def is_model(data: bytes) -> bool:
    """Whether ONNX itself can read the bytes, and finds a graph."""
    try:
        return onnx.ModelProto.FromString(data).HasField("graph")
    except DecodeError:
        return False


class WireModels:
    """A model comes back byte for byte; anything else is refused, or comes back too."""

    def make(self, number: int) -> bytes:
        """A mutant of one of the models."""
        rng = random.Random(number)
        return wire.mutant(rng.choice(seed_models()), rng)

    def attempt(self, number: int) -> str:
        """See `Target`."""
        return self.check(self.make(number))

    def check(self, data: bytes) -> str:
        """See `InputTarget`; the options depend on the data, so that these alone say what happens."""
        rng = random.Random(zlib.crc32(data))
        try:
            with chunks(data, rng):
                trip = through_memory(
                    data,
                    rng.choice(_STRATEGIES),
                    rng.choice(_LAYOUTS),
                    show_parameters=rng.random() < 0.3,
                    inline_limit=rng.choice((0, 64, 1024)),
                )
        except ExternalDataError:  # a tensor has become external; its data file does not exist
            return "refused for external data"
        except ModelError:
            assert not is_model(data), "a model was refused"
            return "refused as no model"
        assert trip.decoded == data, "not byte-identical"
        assert trip.exact
        return "byte-identical"
