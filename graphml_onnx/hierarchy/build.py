"""Builds the hierarchy of a model: each source refines the result of the sources before it.

For each graph (the main graph, each body, each function), in this order:

1. an explicit tree: HTP metadata, else tags in the model, else the metadata that its exporter wrote;
2. scopes in operators' names, if they are modules;
3. names of parameters: an operator belongs to the module that owns its parameter;
4. neighbours: every other operator goes between its producers and its consumers;
5. repeated structure, only if no source before found a module.

A later source places operators that have no place yet, or moves them deeper; it never moves an operator out of a
module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.hierarchy.draft import Draft
from graphml_onnx.hierarchy.exporter import ExporterSource
from graphml_onnx.hierarchy.findings import Tally
from graphml_onnx.hierarchy.growth import grow_from
from graphml_onnx.hierarchy.metadata_placement import about_the_model, place_by_metadata
from graphml_onnx.hierarchy.name_evidence import NameEvidence
from graphml_onnx.hierarchy.neighbours import place_by_neighbours
from graphml_onnx.hierarchy.parameters import aligned, place_by_parameters
from graphml_onnx.hierarchy.repetition import place_by_repetition
from graphml_onnx.hierarchy.tags import TagSource
from graphml_onnx.hierarchy.tree import MAX_LEVELS, NOWHERE, Graph, Hierarchy
from graphml_onnx.hierarchy.wiring import Wiring
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphml_onnx.hierarchy.metadata import HtpMetadata
    from graphml_onnx.hierarchy.source import Key, Source, Step
    from graphml_onnx.hierarchy.tree import Operator, Placed, SourceName

_WORTH_TELLING = 4  # operators with parameters


def build_hierarchy(
    graph: Graph, metadata: HtpMetadata | None, functions: Sequence[Graph] = (), *, refine: bool = True
) -> Hierarchy:
    """Builds the module trees of a model and places each operator in them.

    Args:
        graph: the main graph.
        metadata: the model's HTP metadata, if there is any.
        functions: the model's functions.
        refine: whether names and parameters may place operators deeper than metadata, tags or the exporter do.
    """
    builder = _Builder(metadata, refine=refine)
    main = builder.place(graph, within=None, outer={}, level=0, is_main=True)
    placed = tuple(builder.place(function, within=None, outer={}, level=0, is_main=False) for function in functions)
    shares = _Shares()
    shares.add("main", main, inside=False)
    for function in placed:
        shares.add("functions", function, inside=False)
    return Hierarchy(
        source=builder.source,
        main=main,
        functions=placed,
        findings=builder.all_findings,
        coverage=shares.total,
        coverages=shares.each,
    )


class _Builder:
    """Places graphs one after the other, and collects findings."""

    def __init__(self, metadata: HtpMetadata | None, *, refine: bool) -> None:
        self._metadata = metadata
        self._refine = refine
        self.source: SourceName = "none"
        self.findings: list[Notice] = []
        self._deep = Tally("too-deep", f"bodies whose modules would be more than {MAX_LEVELS} deep, left without them")

    @property
    def all_findings(self) -> tuple[Notice, ...]:
        """What was found; after all graphs were placed."""
        return (*self.findings, *self._deep.lines)

    def place(
        self,
        graph: Graph,
        within: Sequence[str] | None,
        outer: Mapping[str, tuple[int, ...]],
        level: int,
        *,
        is_main: bool,
    ) -> Placed:
        """Places the operators of a graph, and of the bodies in it.

        Args:
            graph: the graph.
            within: for a body, the scope of the module of its operator.
            outer: the weights of the graphs around it.
            level: how many modules are around it.
            is_main: whether it is the main graph.
        """
        operators = graph.operators
        draft = Draft(len(operators), within or ())
        wiring = Wiring(graph, outer)
        names = NameEvidence(graph, wiring, outer)
        source: SourceName = "none"
        if is_main and self._metadata is not None:
            source = self._by_metadata(draft, operators, self._metadata, names)
        if is_main and source == "none":
            source = self._by_tags(draft, operators, "tags", names)
        if source == "none":
            source = self._by_exporter(draft, operators, within)
        lacking = [position for position in draft.unplaced() if draft.modules and not draft.tags[position]]
        is_told = False
        if self._refine or source == "none":
            is_told = names.refine(draft)
            told, contrary = place_by_parameters(draft, aligned(names.owners, draft), wiring)
            if source in ("metadata", "exporter") and told >= _WORTH_TELLING and 2 * contrary > told:
                text = (
                    f"{contrary} of {told} operators that take parameters are not in the module that the parameters' "
                    f"names give: the source of the modules ({source}) may belong to another model, or be misread"
                )
                self.findings.append(Notice("parameters-contrary", text))
        place_by_neighbours(draft, wiring)
        if not draft.modules and not is_told:
            draft.rules = [None] * len(operators)  # names such as ``/Conv_1`` contain no module
            place_by_repetition(draft, graph, wiring)
            place_by_neighbours(draft, wiring, constants_only=True)
        if is_main and source != "none":
            self._tell_lacking(draft, operators, lacking)
        if level + draft.levels > MAX_LEVELS:
            draft = Draft(len(operators), within or ())
            self._deep.add(operators[0].name or operators[0].op_type)
        self.findings += draft.findings
        source = draft.modules[0].told_by if source == "none" and draft.modules else source
        if self.source == "none":
            self.source = source
        visible = {**outer, **graph.weights} if any(operator.bodies for operator in operators) else {}
        bodies = {
            position: tuple(self._body(body, draft, position, visible, level) for body in operator.bodies)
            for position, operator in enumerate(operators)
            if operator.bodies
        }
        return draft.placed(bodies)

    def _body(
        self, body: Graph, draft: Draft, position: int, outer: Mapping[str, tuple[int, ...]], level: int
    ) -> Placed:
        module = draft.places[position] if draft.rules[position] else draft.root
        return self.place(body, draft.scope_of(module), outer, level + draft.level(module), is_main=False)

    def _by_metadata(
        self, draft: Draft, operators: Sequence[Operator], metadata: HtpMetadata, names: NameEvidence
    ) -> SourceName:
        if metadata.modules:
            self.findings += place_by_metadata(draft, operators, metadata)
            return "metadata"
        self.findings += [*metadata.findings, *about_the_model(operators, metadata)]
        tagged = [operator._replace(tag=metadata.nodes.get(operator.name) or operator.tag) for operator in operators]
        source = self._by_tags(draft, tagged, "metadata", names)
        if source == "none":
            text = "the metadata describe no modules, so the modules come from the model itself"
            self.findings.append(Notice("metadata-empty", text))
        return source

    def _by_tags(
        self, draft: Draft, operators: Sequence[Operator], source: SourceName, names: NameEvidence
    ) -> SourceName:
        if not _has_tags(operators):
            return "none"
        hints = names.hints if self._refine else ()
        return self._grown(draft, operators, TagSource(operators, hints), source)

    def _by_exporter(self, draft: Draft, operators: Sequence[Operator], within: Sequence[str] | None) -> SourceName:
        return self._grown(draft, operators, ExporterSource(within), "exporter")

    def _grown(
        self, draft: Draft, operators: Sequence[Operator], source: Source[Key, Step], name: SourceName
    ) -> SourceName:
        findings = grow_from(draft, operators, source)
        if findings is None:
            return "none"
        self.findings += findings
        return name

    def _tell_lacking(self, draft: Draft, operators: Sequence[Operator], lacking: Sequence[int]) -> None:
        """Reports where operators went that the source itself does not place."""
        went: dict[str, Tally] = {}
        for position in lacking:
            rule = draft.rules[position]
            if rule is None or draft.places[position] == draft.root:
                text = "left in the root"
            else:
                text = {"neighbours": "placed by their neighbours"}.get(rule, f"placed by their {rule}")
            tally = went.setdefault(
                text, Tally("unplaced-operators", f"operators that the source does not place, {text}")
            )
            tally.add(operators[position].name or operators[position].op_type)
        for tally in went.values():
            self.findings += tally.lines


def _has_tags(operators: Sequence[Operator]) -> bool:
    """Whether tags describe modules. A tag that all operators share does not, such as winml's ``/UnknownModel``."""
    tags = {operator.tag for operator in operators if operator.tag}
    return len(tags) > 1 or any(tag.strip("/").count("/") for tag in tags)


def _is_below_root(placed: Placed, module: int) -> bool:
    return module != NOWHERE and (placed.modules[module].parent is not None or bool(placed.modules[module].scope))


class _Shares:
    """Counts the operators that are in a module below the root."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}

    def add(self, kind: str, placed: Placed, *, inside: bool) -> None:
        """Adds one graph and its bodies; ``inside`` says whether all of it is in a module."""
        counts = self._counts.setdefault(kind, [0, 0])
        below = [inside or _is_below_root(placed, module) for module in placed.placement]
        counts[0] += sum(below)
        counts[1] += len(below)
        for position, bodies in placed.bodies.items():
            for body in bodies:
                self.add("bodies", body, inside=below[position])

    @property
    def total(self) -> float:
        """The percentage of all operators."""
        return _percentage([sum(column) for column in zip(*self._counts.values(), strict=True)])

    @property
    def each(self) -> dict[str, float]:
        """The percentage for each kind of graph that has operators."""
        return {kind: _percentage(counts) for kind, counts in self._counts.items() if counts[1]}


def _percentage(counts: Sequence[int]) -> float:
    return 100.0 * counts[0] / counts[1] if counts[1] else 0.0
