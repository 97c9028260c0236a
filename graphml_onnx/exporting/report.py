"""Writes the report of an export, in Markdown (GitHub's dialect) and as JSON.

Markdown stays valid for any names. The module tree is drawn with its numbers of operators; items of a list that look
the same are drawn once.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from graphml_onnx.hierarchy.paths import last_part
from graphml_onnx.support.notices import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphml_onnx.exporting.record import ExportRecord, OperatorRecord, TensorRecord
    from graphml_onnx.hierarchy.tree import Module
    from graphml_onnx.support.notices import Notice
    from graphml_onnx.support.strictjson import Json

_MOST_FREQUENT: Final = 20
"""Types of operators that are counted module by module."""

_SPECIAL: Final = re.compile(r"[\\`*{}\[\]<>|&~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def report_markdown(record: ExportRecord, started: datetime) -> str:
    """Writes the report; the same record and time give the same text.

    Args:
        record: the export.
        started: when it started, with its time zone.
    """
    sections = (
        f"# Export of {inline(record.model.class_name)}",
        _model(record, started),
        "## Inputs",
        _tensors(record.inputs),
        "## Outputs",
        _tensors(record.outputs),
        "## Module tree",
        code_block(module_tree_lines(record.modules, record.operators)),
        "## Coverage by rule",
        *_coverage(record),
        "## Operators by type",
        _types(record),
        "## Modules",
        _modules(record),
        *_idle(record),
        "## Operators by module",
        _types_by_module(record),
        "## Operators",
        _operators(record),
        "## Time",
        _steps(record),
        "## Files",
        _files(record),
        *_findings(record.findings),
    )
    return "\n\n".join(sections) + "\n"


def _model(record: ExportRecord, started: datetime) -> str:
    model, exporter = record.model, record.exporter
    facts = {
        "Model": model.source,
        "Class": model.class_name,
        "Framework": model.framework,
        "Architecture": model.model_type,
        "Task": model.task,
        "Parameters": f"{model.parameters:,}",
        "Modules": f"{model.torch_modules:,}, of which {len(record.modules):,} in the tree",
        "Operators": f"{len(record.operators):,}",
        "Exporter": exporter.name,
        "Opset": str(exporter.opset_version),
        "Tags in the ONNX": "yes" if exporter.embeds_tags else "no",
        "Example inputs": record.input_method,
        "Versions": ", ".join(f"{name} {version}" for name, version in sorted(exporter.versions.items())),
        "Started": started.astimezone(UTC).isoformat(sep=" ", timespec="seconds"),
    }
    return table(("Fact", "Value"), [(name, inline(value)) for name, value in facts.items() if value])


def _tensors(tensors: Sequence[TensorRecord]) -> str:
    rows = [
        (inline(tensor.name), inline(tensor.dtype), inline(f"({', '.join(map(str, tensor.shape))})"))
        for tensor in tensors
    ]
    return table(("Name", "Type", "Shape"), rows)


def _coverage(record: ExportRecord) -> tuple[str, str]:
    total = len(record.operators)
    exact = sum(operator.rule.match == "direct" for operator in record.operators)
    rows = [
        (inline(rule.name), inline(rule.meaning), rule.match, f"{count:,}", _percent(count, total))
        for rule, count in Counter(operator.rule for operator in record.operators).most_common()
    ]
    told = (
        f"All {total:,} operators have the tag of a module; {exact:,} ({_percent(exact, total)}) have that of "
        "exactly the module that ran them."
    )
    return told, table(("Rule", "Goes by", "Match", "Operators", "Share"), rows, numbers=("Operators", "Share"))


def _types(record: ExportRecord) -> str:
    types = Counter(operator.op_type for operator in record.operators)
    rows = [
        (inline(op_type), f"{count:,}", _percent(count, len(record.operators)))
        for op_type, count in sorted(types.items(), key=lambda entry: (-entry[1], entry[0]))
    ]
    return table(("Type", "Operators", "Share"), rows, numbers=("Operators", "Share"))


def _modules(record: ExportRecord) -> str:
    direct, total = _counts(record)
    rows = [
        (
            str(module.execution_order),
            inline(module.scope),
            inline(module.class_name),
            f"{direct[index]:,}",
            f"{total[index]:,}",
            inline(module.tag),
        )
        for index, module in sorted(enumerate(record.modules), key=lambda entry: entry[1].execution_order or 0)
    ]
    header = ("Order", "Module", "Class", "Directly", "In all", "Tag")
    return table(header, rows, numbers=("Order", "Directly", "In all"))


def _counts(record: ExportRecord) -> tuple[list[int], list[int]]:
    """For each module, the number of its own operators and of those within it."""
    own = Counter(operator.module for operator in record.operators)
    direct = [own[index] for index in range(len(record.modules))]
    total = list(direct)
    for index in reversed(range(len(record.modules))):
        parent = record.modules[index].parent
        if parent is not None:
            total[parent] += total[index]
    return direct, total


def _idle(record: ExportRecord) -> tuple[str, ...]:
    """The modules that never ran and so are not in the tree."""
    if not record.idle:
        return ()
    rows = [(inline(scope), inline(class_name)) for scope, class_name in record.idle]
    return ("### Modules that never ran", table(("Module", "Class"), rows))


def _types_by_module(record: ExportRecord) -> str:
    rows = [
        (inline(op_type), inline(record.modules[module].tag), f"{count:,}")
        for op_type, module, count in _frequent(record)
    ]
    return table(("Type", "Tag", "Operators"), rows, numbers=("Operators",))


def _frequent(record: ExportRecord) -> list[tuple[str, int, int]]:
    """The most frequent types with their modules and the number there; the most frequent first."""
    types = Counter(operator.op_type for operator in record.operators)
    places = Counter((operator.op_type, operator.module) for operator in record.operators)
    ranking = sorted(types, key=lambda op_type: (-types[op_type], op_type))[:_MOST_FREQUENT]
    within: dict[str, list[tuple[int, int]]] = {op_type: [] for op_type in ranking}
    for (op_type, module), count in sorted(places.items(), key=lambda entry: (-entry[1], entry[0][1])):
        if op_type in within:
            within[op_type].append((module, count))
    return [(op_type, module, count) for op_type in ranking for module, count in within[op_type]]


def _operators(record: ExportRecord) -> str:
    rows = [
        (
            inline(operator.name),
            inline(operator.op_type),
            inline(record.modules[operator.module].tag),
            inline(operator.rule.name),
        )
        for operator in record.operators
    ]
    return table(("Name", "Type", "Tag", "Rule"), rows)


def report_document(record: ExportRecord) -> dict[str, Json]:
    """The tables of the report as JSON: modules, those that never ran, types of operators by module, operators."""
    direct, total = _counts(record)
    modules: list[Json] = [
        {
            "order": module.execution_order,
            "scope": module.scope,
            "class_name": module.class_name,
            "tag": module.tag,
            "operators": direct[index],
            "operators_in_all": total[index],
        }
        for index, module in enumerate(record.modules)
    ]
    return {
        "modules": modules,
        "modules_that_never_ran": [{"scope": scope, "class_name": name} for scope, name in record.idle],
        "operators_by_module": [
            {"op_type": op_type, "tag": record.modules[module].tag, "operators": count}
            for op_type, module, count in _frequent(record)
        ],
        "operators": [
            {
                "name": operator.name,
                "op_type": operator.op_type,
                "tag": record.modules[operator.module].tag,
                "rule": operator.rule.name,
                "match": operator.rule.match,
                "in_body": operator.in_body,
            }
            for operator in record.operators
        ],
    }


def _steps(record: ExportRecord) -> str:
    total = sum(step.seconds for step in record.steps)
    rows = [
        (inline(step.name.replace("_", " ")), f"{step.seconds:,.3f}", _percent(step.seconds, total))
        for step in record.steps
    ]
    return table(("Step", "Seconds", "Share"), [*rows, ("all", f"{total:,.3f}", "")], numbers=("Seconds", "Share"))


def _files(record: ExportRecord) -> str:
    rows = [
        (
            inline(file.role.replace("_", " ")),
            inline(file.path),
            "" if file.size is None else f"{file.size:,}",
            file.sha256 or "",
        )
        for file in record.files
    ]
    return table(("File", "Path", "Bytes", "SHA-256"), rows, numbers=("Bytes",))


def _findings(findings: Sequence[Notice]) -> tuple[str, ...]:
    told = "\n".join(f"- {inline(finding)} (`{finding.code}`)" for finding in findings)
    return ("## Findings", told) if findings else ()


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def one_line(name: str) -> str:
    """A name on one line: unchanged if it is printable, else in quotes and escaped."""
    return name if name.isprintable() else quoted(name)


def inline(name: str) -> str:
    """A name in text or in a table; Markdown's own characters become character references."""
    return _SPECIAL.sub(lambda special: f"&#{ord(special[0])};", one_line(name))


def code_block(lines: Iterable[str]) -> str:
    """A block of unchanged lines; a line of backticks alone would end it."""
    return "\n".join(("```text", *lines, "```"))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """A table.

    Args:
        header: names of the columns.
        rows: cells, as Markdown on one line each.
        numbers: names of the columns that are aligned to the right.
    """
    rule = ["---:" if name in numbers else "---" for name in header]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


class _Bundle(NamedTuple):
    """Modules that are drawn as one line.

    Attributes:
        places: how many items of one list it folds.
        members: indices of the modules, over all folded lists around it: of twelve layers, the twelve attentions.
    """

    places: int
    members: tuple[int, ...]


def module_tree_lines(modules: Sequence[Module], operators: Sequence[OperatorRecord]) -> list[str]:
    """Draws the tree, one line for a module or for items of a list that are built alike.

    Items are alike if they and all modules in them have the same classes. If their numbers of operators differ, the
    least and the greatest are shown.

    Args:
        modules: parents before their children; the first is the root.
        operators: operators of the main graph.
    """
    return _Drawing(modules, operators).lines() if modules else []


class _Drawing:
    def __init__(self, modules: Sequence[Module], operators: Sequence[OperatorRecord]) -> None:
        self._modules = modules
        self._children: list[list[int]] = [[] for _ in modules]
        own = Counter(operator.module for operator in operators)
        self._own = [own[index] for index in range(len(modules))]
        self._all = list(self._own)
        self._shapes = [0] * len(modules)
        known: dict[tuple[str, tuple[tuple[str, int], ...]], int] = {}
        for index, module in enumerate(modules):
            if module.parent is not None:
                self._children[module.parent].append(index)
        for index in reversed(range(len(modules))):
            module = modules[index]
            shape = (
                module.class_name,
                tuple((self._kind(child), self._shapes[child]) for child in self._children[index]),
            )
            self._shapes[index] = known.setdefault(shape, len(known))
            if module.parent is not None:
                self._all[module.parent] += self._all[index]

    def lines(self) -> list[str]:
        """The lines from the root on."""
        lines: list[str] = []
        waiting = [("", "", _Bundle(1, (0,)))]
        while waiting:
            branch, stem, bundle = waiting.pop()
            lines.append(f"{branch}{self._label(bundle)}: {self._numbers(bundle)}")
            below = self._below(bundle)
            for position, inner in reversed(list(enumerate(below))):
                is_last = position == len(below) - 1
                waiting.append((stem + ("└── " if is_last else "├── "), stem + ("    " if is_last else "│   "), inner))
        return lines

    def _below(self, bundle: _Bundle) -> list[_Bundle]:
        """The content of the modules of a bundle, place by place; alike neighbours in a list become one."""
        folded: list[_Bundle] = []
        for members in zip(*(self._children[index] for index in bundle.members), strict=True):
            if folded and self._is_alike(folded[-1].members[0], members[0]):
                folded[-1] = _Bundle(folded[-1].places + 1, (*folded[-1].members, *members))
            else:
                folded.append(_Bundle(1, members))
        return folded

    def _is_alike(self, one: int, other: int) -> bool:
        is_item = last_part(self._modules[one].scope).isdigit()
        return is_item and self._kind(one) == self._kind(other) and self._shapes[one] == self._shapes[other]

    def _kind(self, index: int) -> str:
        """The name of a module in the module around it; for an item of a list, the name of the list."""
        name = self._name(index)
        return name.rpartition(".")[0] + "." if last_part(name).isdigit() else name

    def _name(self, index: int) -> str:
        module = self._modules[index]
        around = "" if module.parent is None else self._modules[module.parent].scope
        return module.scope.removeprefix(f"{around}.") if around else module.scope

    def _label(self, bundle: _Bundle) -> str:
        first = bundle.members[0]
        class_name, name = one_line(self._modules[first].class_name), one_line(self._name(first))
        if bundle.places == 1:
            return f"{class_name} {name}" if name else class_name
        step = len(bundle.members) // bundle.places
        last = one_line(last_part(self._name(bundle.members[-step])))
        return f"{class_name} {name} to {last}, {bundle.places} alike"

    def _numbers(self, bundle: _Bundle) -> str:
        within = _span(self._all[index] for index in bundle.members)
        text = f"{within} operator{'' if within == '1' else 's'}"
        if len(bundle.members) > 1:
            text += " each"
        own = _span(self._own[index] for index in bundle.members)
        has_both = self._children[bundle.members[0]] and own != "0"
        return f"{text}, {own} directly" if has_both else text


def _span(numbers: Iterable[int]) -> str:
    least, *_, greatest = sorted(numbers) * 2
    return f"{least:,}" if least == greatest else f"{least:,} to {greatest:,}"
