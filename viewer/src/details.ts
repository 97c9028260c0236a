// What is known of the selection, in words and numbers; other nodes are links.

import { h } from "./dom.ts";
import { Kind, type Model, type Statistics } from "./model.ts";
import { amount, bytes, counted, grouped, visible } from "./text.ts";

const MOST = 100;

/** What was measured of a node, as rows of its facts. */
function measured(model: Model, node: number): [string, string][] {
  return model.measures.flatMap(({ name, text }) => {
    const found = text?.(node);
    return found === undefined ? [] : [[name, found] as [string, string]];
  });
}

export class Details {
  readonly element = h("aside", { class: "details", "aria-label": "Details", tabindex: -1 });

  constructor(
    private readonly model: Model,
    private readonly go: (node: number) => void,
  ) {}

  show(node: number): void {
    const { model } = this;
    const kind = model.kind[node]!;
    const parts =
      kind === Kind.Operator
        ? this.operator(node)
        : kind === Kind.Input || kind === Kind.Output
          ? this.end(node)
          : this.box(node);
    this.element.replaceChildren(...parts);
    if (node === 0) this.element.append(...this.about());
    for (const change of model.columns.changes ?? []) {
      if (change.node !== node) continue;
      const rows = change.details.map(
        ({ what, old, new: now }) =>
          [what, old === null ? `+ ${now}` : now === null ? `− ${old}` : `${old} → ${now}`] as [string, string],
      );
      this.element.append(...section(`${change.kind}: ${change.subject} ${change.name}`, facts(rows)));
    }
    this.element.scrollTop = 0;
  }

  private link(node: number, text = this.model.labelOf(node)): HTMLElement {
    return h(
      "a",
      {
        href: this.model.linkOf(node),
        click: (event) => {
          event.preventDefault();
          this.go(node);
        },
      },
      visible(text),
    );
  }

  private box(node: number): HTMLElement[] {
    const { model } = this;
    const kind = model.kind[node]!;
    const rows: [string, string | Node][] = [];
    const path = kind === Kind.Module ? model.pathOf(node) : model.nameOf(node);
    if (path) rows.push([kind === Kind.Module ? "path" : "name", path]);
    if (model.typeOf(node) && model.typeOf(node) !== model.nameOf(node)) rows.push(["class", model.typeOf(node)]);
    rows.push(["operators", grouped(model.operators[node]!)]);
    if (model.elements[node])
      rows.push(["parameters", `${grouped(model.elements[node]!)} (${bytes(model.bytes[node]!)})`]);
    const [macs, unknown] = [model.macs[node]!, model.unknownMacs[node]!];
    const missing = `unknown for ${counted(unknown, "operator")} (--dim NAME=N sets a dynamic dimension)`;
    if (macs || unknown)
      rows.push(["MACs", [...(macs ? [amount(macs)] : []), ...(unknown ? [missing] : [])].join("; ")]);
    rows.push(...measured(model, node));
    const title = node === 0 ? model.facts.name || "model" : model.nameOf(node);
    const parts = [...heading(title, kind === Kind.Module ? "module" : Kind[kind]!.toLowerCase()), facts(rows)];
    const children = [...model.children.of(node)].filter((child) => model.isContainer(child));
    if (children.length) parts.push(...section(`Boxes (${children.length})`, this.list(children)));
    const owned = [...model.owned.of(node)];
    if (owned.length) parts.push(...section(`Parameters of its own (${owned.length})`, this.parameters(owned)));
    const callers = model.callers.get(node);
    if (callers) parts.push(...section(`Called by (${callers.length})`, this.list(callers)));
    return parts;
  }

  private operator(node: number): HTMLElement[] {
    const { model } = this;
    const rows: [string, string | Node][] = [];
    const type = model.typeOf(node);
    if (model.nameOf(node)) rows.push(["name", model.nameOf(node)]);
    rows.push([
      "module",
      this.link(model.parent[node]!, model.pathOf(model.parent[node]!) || model.nameOf(model.parent[node]!) || "model"),
    ]);
    const rule = model.ruleOf(node);
    if (rule) rows.push(["placed by", rule]);
    const macs = model.columns.macs[node]!;
    if (macs) rows.push(["MACs", macs < 0 ? "not known: of an unknown shape or operator" : amount(macs)]);
    rows.push(...measured(model, node));
    const called = model.called.get(node);
    if (called !== undefined) rows.push(["calls", this.link(called)]);
    const parts = [...heading(type, "operator"), facts(rows)];
    const attributes = model.attributesOf(node);
    if (attributes.length) parts.push(...section("Attributes", facts(attributes)));
    const constant = model.constant[node]!;
    if (constant >= 0) parts.push(...section("Value", this.parameters([constant])));
    const inputs = [...model.inputs.of(node)];
    if (inputs.length) parts.push(...section("Inputs", this.tensors(inputs, node)));
    parts.push(...section("Outputs", this.tensors([...model.outputs.of(node)])));
    const bodies = [...model.children.of(node)];
    if (bodies.length) parts.push(...section("Bodies", this.list(bodies)));
    return parts;
  }

  private end(node: number): HTMLElement[] {
    const isInput = this.model.kind[node] === Kind.Input;
    const tensors = [...(isInput ? this.model.outputs : this.model.inputs).of(node)];
    return [
      ...heading(this.model.nameOf(node), isInput ? "input" : "output"),
      ...section("Tensor", this.tensors(tensors, isInput ? undefined : node)),
    ];
  }

  /** Tensors in their order: the inputs of a node, or else outputs. */
  private tensors(tensors: number[], taker?: number): HTMLElement {
    const { model } = this;
    return h(
      "ol",
      { class: "tensors", start: 0 },
      ...tensors.map((tensor, place) => {
        if (tensor < 0) return h("li", { class: "faint" }, "left out");
        const formal = taker === undefined ? "" : model.formalInput(taker, place);
        const item = h(
          "li",
          {},
          formal && h("span", { class: "faint" }, `${formal}: `),
          h("code", {}, visible(model.tensorNameOf(tensor)) || "(no name)"),
          h("div", { class: "faint" }, visible(model.tensorTypeOf(tensor)) || "type unknown"),
        );
        const parameter = model.parameterBehind(tensor);
        const producer = model.producer[tensor]!;
        if (taker !== undefined) {
          if (producer >= 0 && model.constant[producer]! < 0) item.append(h("div", {}, "from ", this.link(producer)));
          if (parameter >= 0) item.append(this.parameter(parameter));
        } else {
          const takers = [...new Set(model.consumers.of(tensor))];
          takers.slice(0, MOST).forEach((taker) => item.append(h("div", {}, "to ", this.link(taker))));
          if (takers.length > MOST) item.append(h("div", { class: "faint" }, `and ${takers.length - MOST} more`));
        }
        return item;
      }),
    );
  }

  private parameters(parameters: number[]): HTMLElement {
    const { model } = this;
    const { parameterTensor } = this;
    return h(
      "ul",
      { class: "parameters" },
      ...parameters.slice(0, MOST).map((parameter) => {
        const tensor = parameterTensor[parameter]!;
        const taker = model.consumers.of(tensor)[0];
        const name = model.tensorNameOf(tensor);
        return h(
          "li",
          {},
          taker === undefined ? h("code", {}, visible(name)) : this.link(taker, name),
          this.parameter(parameter),
        );
      }),
      parameters.length > MOST && h("li", { class: "faint" }, `and ${parameters.length - MOST} more`),
    );
  }

  private tensorsOfParameters?: Int32Array;
  private get parameterTensor(): Int32Array {
    if (!this.tensorsOfParameters) {
      const found = new Int32Array(this.model.columns.parameterTensor.length);
      this.model.parameter.forEach((parameter, tensor) => {
        if (parameter >= 0) found[parameter] = tensor;
      });
      this.tensorsOfParameters = found;
    }
    return this.tensorsOfParameters;
  }

  private parameter(parameter: number): HTMLElement {
    const { model } = this;
    const c = model.columns;
    const file = model.text(c.parameterFile[parameter]!);
    const text = [
      model.text(c.parameterKind[parameter]!).replace("_", " "),
      model.text(c.parameterType[parameter]!),
      bytes(c.parameterBytes[parameter]!),
      file && `in ${file}`,
    ];
    const element = h("div", { class: "faint" }, visible(text.filter(Boolean).join(", ")));
    const value = c.parameterValue[parameter]! < 0 ? "" : model.text(c.parameterValue[parameter]!);
    if (value) element.append(h("div", {}, h("code", {}, visible(value))));
    const statistics = c.statistics?.[parameter];
    if (statistics) element.append(...shown(statistics));
    return element;
  }

  private list(nodes: number[]): HTMLElement {
    const { model } = this;
    return h(
      "ul",
      {},
      ...nodes
        .slice(0, MOST)
        .map((node) => h("li", {}, this.link(node), " ", h("span", { class: "faint" }, visible(model.typeOf(node))))),
      nodes.length > MOST && h("li", { class: "faint" }, `and ${nodes.length - MOST} more`),
    );
  }

  private about(): HTMLElement[] {
    const { facts: f } = this.model;
    const rows: [string, string][] = [
      ["file", f.file],
      ["producer", f.producer],
      ["IR version", String(f.irVersion)],
      [
        "opsets",
        Object.entries(f.opsets)
          .map(([domain, version]) => `${domain} ${version}`)
          .join(", "),
      ],
      ["modules from", f.hierarchy],
      ["documentation", f.documentation],
      ...Object.entries(f.metadata),
    ];
    const parts = section("Model", facts(rows.filter(([, value]) => value)));
    if (f.findings.length)
      parts.push(...section("Findings", h("ul", {}, ...f.findings.map((finding) => h("li", {}, visible(finding))))));
    return parts;
  }
}

function heading(title: string, kind: string): HTMLElement[] {
  return [h("p", { class: "kind" }, kind), h("h2", {}, visible(title) || "(no name)")];
}

function section(title: string, content: HTMLElement): HTMLElement[] {
  return [h("h3", {}, visible(title)), content];
}

function facts(rows: [string, string | Node][]): HTMLElement {
  return h(
    "dl",
    {},
    ...rows.flatMap(([name, value]) => [
      h("dt", {}, visible(name)),
      h("dd", {}, typeof value === "string" ? visible(value) : value),
    ]),
  );
}

function shown(s: Statistics): HTMLElement[] {
  const number = (value: number | string | null) =>
    typeof value === "number" ? Number(value.toPrecision(4)).toString() : (value ?? "-");
  const rows: [string, string][] = [
    ["least", number(s.min)],
    ["greatest", number(s.max)],
    ["mean", number(s.mean)],
    ["deviation", number(s.std)],
    ["zeros", grouped(s.zeros)],
  ];
  if (s.nan) rows.push(["NaN", grouped(s.nan)]);
  if (s.infinite) rows.push(["infinite", grouped(s.infinite)]);
  const parts = [facts(rows)];
  const most = Math.max(...s.histogram);
  if (most > 0) {
    const bars = h("div", { class: "histogram", role: "img", "aria-label": "histogram" });
    for (const count of s.histogram) {
      const bar = h("span", { title: counted(count, "element") });
      bar.style.height = `${Math.max(count ? 2 : 0, (100 * count) / most)}%`;
      bars.append(bar);
    }
    parts.push(bars);
  }
  return parts;
}
