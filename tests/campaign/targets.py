"""All targets by the name that the command line has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.campaign.bit_flips import BitFlips
from tests.campaign.commands import Commands
from tests.campaign.edges import EdgesTrusted
from tests.campaign.external_data import ExternalData
from tests.campaign.graphml_files import GraphmlFiles
from tests.campaign.graphml_lines import GraphmlLines
from tests.campaign.hierarchies import Hierarchies
from tests.campaign.json_files import JsonFiles
from tests.campaign.kills import KilledDecode, KilledEncode
from tests.campaign.wire_models import WireModels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.campaign.running import InputTarget, Target

INPUT_TARGETS: Mapping[str, Callable[[Path], InputTarget]] = {
    "wire": lambda _: WireModels(),
    "graphml": GraphmlFiles,
    "lines": GraphmlLines,
    "json": JsonFiles,
    "edges": EdgesTrusted,
    "metadata": Hierarchies,
    "external": ExternalData,
    "commands": Commands,
}
"""Those whose executions differ in one input file."""

TARGETS: Mapping[str, Callable[[Path], Target]] = {
    **INPUT_TARGETS,
    "bitflips": BitFlips,
    "kill-encode": KilledEncode,
    "kill-decode": KilledDecode,
}
