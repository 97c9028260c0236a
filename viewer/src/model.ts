// The columns of the page's data as typed arrays, with what follows from them.
// graphml_onnx/viewing/tables.py is the other side.

import { shapeOf } from "./text.ts";

export enum Kind {
  Module,
  Operator,
  Body,
  Function,
  Input,
  Output,
  Functions,
  /** Modules that look the same, shown as one until it is opened. */
  Repeat,
}

export interface Statistics {
  count: number;
  min: number | string | null;
  max: number | string | null;
  mean: number | null;
  std: number | null;
  zeros: number;
  nan: number;
  infinite: number;
  histogram: number[];
}

export interface Change {
  kind: string;
  subject: string;
  module: string;
  body: string;
  op_type: string;
  name: string;
  details: { what: string; old: string | null; new: string | null }[];
  node: number;
}

/** What was measured of some nodes: a colour of each, in thousandths, and a text. */
export interface MeasureColumns {
  name: string;
  legend: string;
  nodes: number[];
  shares: number[];
  texts: string[];
}

/** By what boxes are coloured: a share from 0 to 1 of each node that has one. */
export interface Measure {
  name: string;
  legend: string;
  share: (node: number) => number | undefined;
  text?: (node: number) => string | undefined;
}

export interface Facts {
  name: string;
  file: string;
  producer: string;
  irVersion: number;
  opsets: Record<string, number>;
  metadata: Record<string, string>;
  documentation: string;
  hierarchy: string;
  findings: string[];
}

export interface Columns {
  version: number;
  model: Facts;
  start: number;
  strings: string[];
  kind: number[];
  parent: number[];
  name: number[];
  type: number[];
  attributes: number[];
  macs: number[];
  attributeSets: number[][];
  inputCount: number[];
  inputs: number[];
  outputCount: number[];
  outputs: number[];
  calls: number[];
  constants: number[];
  rules: number[];
  formal: Record<string, string[]>;
  tensorName: number[];
  tensorType: number[];
  parameterTensor: number[];
  parameterOwner: number[];
  parameterKind: number[];
  parameterType: number[];
  parameterSize: number[];
  parameterBytes: number[];
  parameterFile: number[];
  parameterValue: number[];
  statistics: Statistics[] | null;
  changes?: Change[];
  other?: string;
  measures?: MeasureColumns[];
  /** How many levels below `start` are open at first; whether the page is to draw one picture and nothing else. */
  depth?: number;
  picture?: "svg" | "png" | null;
}

export const VERSION = 1;

const HANDS_ON = new Set(["Identity", "DequantizeLinear"]);

/** Lists of numbers, one after the other, with the place where each starts. */
export class Lists {
  readonly start: Int32Array;
  readonly items: Int32Array;

  constructor(counts: ArrayLike<number>) {
    this.start = new Int32Array(counts.length + 1);
    for (let i = 0; i < counts.length; i++) this.start[i + 1] = this.start[i]! + counts[i]!;
    this.items = new Int32Array(this.start[counts.length]!);
  }

  of(index: number): Int32Array {
    return this.items.subarray(this.start[index]!, this.start[index + 1]!);
  }

  /** The lists of all items with one key, in their order. */
  static grouped(keys: ArrayLike<number>, size: number, values?: ArrayLike<number>): Lists {
    const counts = new Int32Array(size);
    for (let i = 0; i < keys.length; i++) if (keys[i]! >= 0) counts[keys[i]!]!++;
    const lists = new Lists(counts);
    const next = lists.start.slice();
    for (let i = 0; i < keys.length; i++) if (keys[i]! >= 0) lists.items[next[keys[i]!]!++] = values ? values[i]! : i;
    return lists;
  }
}

function summed(deltas: number[]): Int32Array {
  const values = new Int32Array(deltas.length);
  let value = 0;
  for (let i = 0; i < deltas.length; i++) values[i] = value += deltas[i]!;
  return values;
}

function measured(columns: MeasureColumns): Measure {
  const places = new Map(columns.nodes.map((node, place) => [node, place]));
  const at = <T>(values: T[], node: number): T | undefined => {
    const place = places.get(node);
    return place === undefined ? undefined : values[place];
  };
  return {
    name: columns.name,
    legend: columns.legend,
    share: (node) => {
      const share = at(columns.shares, node);
      return share === undefined ? undefined : share / 1000;
    },
    text: (node) => at(columns.texts, node),
  };
}

export class Model {
  readonly facts: Facts;
  readonly strings: string[];
  readonly count: number;
  readonly kind: Uint8Array;
  readonly parent: Int32Array;
  readonly name: Int32Array;
  readonly type: Int32Array;
  readonly depth: Uint16Array;
  /** What stands in each node, in the order in which it first runs. */
  readonly children: Lists;
  readonly inputs: Lists;
  readonly outputs: Lists;
  /** For each tensor the node that makes it, or -1. */
  readonly producer: Int32Array;
  readonly consumers: Lists;
  readonly tensors: number;
  readonly tensorName: Int32Array;
  readonly tensorType: Int32Array;
  /** For each tensor the parameter that it is, or -1. */
  readonly parameter: Int32Array;
  readonly owned: Lists;
  /** Operators, elements of parameters, their bytes and MACs of all that is in each node. */
  readonly operators: Float64Array;
  readonly elements: Float64Array;
  readonly bytes: Float64Array;
  readonly macs: Float64Array;
  readonly unknownMacs: Float64Array;
  /** For a Constant the parameter that it holds, for others -1. */
  readonly constant: Int32Array;
  readonly called = new Map<number, number>();
  readonly callers = new Map<number, number[]>();
  readonly measures: Measure[];
  private readonly keys = new Map<number, Map<string, number>>();

  constructor(readonly columns: Columns) {
    if (columns.version !== VERSION) throw new Error(`the data have version ${columns.version}, not ${VERSION}`);
    const c = columns;
    this.facts = c.model;
    this.strings = c.strings;
    const n = (this.count = c.kind.length);
    this.kind = Uint8Array.from(c.kind);
    this.parent = Int32Array.from(c.parent);
    this.name = summed(c.name);
    this.type = Int32Array.from(c.type);
    this.depth = new Uint16Array(n);
    for (let i = 1; i < n; i++) this.depth[i] = this.depth[this.parent[i]!]! + 1;
    this.constant = new Int32Array(n).fill(-1);
    for (let i = 0; i < c.constants.length; i += 2) this.constant[c.constants[i]!] = c.constants[i + 1]!;
    this.children = this.inOrder();

    this.outputs = new Lists(c.outputCount);
    this.outputs.items.set(summed(c.outputs));
    this.inputs = new Lists(c.inputCount);
    let made = 0;
    for (let node = 0; node < n; node++) {
      const end = this.inputs.start[node + 1]!;
      for (let i = this.inputs.start[node]!; i < end; i++) {
        const back = c.inputs[i]!;
        this.inputs.items[i] = back === 0 ? -1 : back > 0 ? made - back : made - back - 1;
      }
      for (const tensor of this.outputs.of(node)) if (tensor >= 0) made++;
    }

    this.tensorName = summed(c.tensorName);
    this.tensorType = Int32Array.from(c.tensorType);
    const tensors = (this.tensors = this.tensorName.length);
    this.producer = new Int32Array(tensors).fill(-1);
    const takers = new Int32Array(this.inputs.items.length);
    for (let node = 0; node < n; node++) {
      for (const tensor of this.outputs.of(node)) {
        if (tensor >= 0 && this.producer[tensor]! < 0) this.producer[tensor] = node;
      }
      takers.fill(node, this.inputs.start[node], this.inputs.start[node + 1]);
    }
    this.consumers = Lists.grouped(this.inputs.items, tensors, takers);

    this.parameter = new Int32Array(tensors).fill(-1);
    summed(c.parameterTensor).forEach((tensor, number) => (this.parameter[tensor] = number));
    this.owned = Lists.grouped(c.parameterOwner, n);
    for (let i = 0; i < c.calls.length; i += 2) {
      const [caller, called] = [c.calls[i]!, c.calls[i + 1]!];
      this.called.set(caller, called);
      this.callers.set(called, [...(this.callers.get(called) ?? []), caller]);
    }

    [this.operators, this.elements, this.bytes, this.macs, this.unknownMacs] = Array.from(
      { length: 5 },
      () => new Float64Array(n),
    ) as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
    for (let i = 0; i < n; i++) {
      if (this.kind[i] === Kind.Operator) this.operators[i] = 1;
      if (c.macs[i]! < 0) this.unknownMacs[i] = 1;
      else this.macs[i] = c.macs[i]!;
      for (const p of this.owned.of(i)) {
        this.elements[i]! += c.parameterSize[p]!;
        this.bytes[i]! += c.parameterBytes[p]!;
      }
    }
    for (const sums of [this.operators, this.elements, this.bytes, this.macs, this.unknownMacs]) {
      for (let i = n - 1; i > 0; i--) sums[this.parent[i]!]! += sums[i]!;
    }
    this.measures = [
      this.summed("operators", this.operators),
      this.summed("parameters", this.elements, (node) => this.takenElements(node)),
      this.summed("MACs", this.macs),
      ...(c.measures ?? []).map(measured),
    ];
  }

  private summed(name: string, values: Float64Array, ofLeaf?: (node: number) => number): Measure {
    return {
      name,
      legend: `share of the model's ${name}`,
      share: (node) => {
        const value = values[node] || (ofLeaf && !this.isContainer(node) ? ofLeaf(node) : 0);
        return values[0] ? Math.min(1, Math.sqrt(value / values[0]!)) : 0;
      },
    };
  }

  /** Elements of the parameters that an operator takes. */
  private takenElements(node: number): number {
    let elements = 0;
    for (const tensor of this.inputs.of(node))
      if (tensor >= 0 && this.parameter[tensor]! >= 0) elements += this.columns.parameterSize[this.parameter[tensor]!]!;
    return elements;
  }

  /** Children in the order in which the first operator in them runs, constants apart: some files have all of them first. */
  private inOrder(): Lists {
    const first = new Int32Array(this.count);
    const later = 0x7fffffff;
    for (let i = 0; i < this.count; i++)
      first[i] = this.kind[i] === Kind.Module || this.typeOf(i) === "Constant" ? later : i;
    for (let i = this.count - 1; i > 0; i--) {
      const parent = this.parent[i]!;
      if (first[i]! < first[parent]!) first[parent] = first[i]!;
    }
    const order = Array.from({ length: this.count - 1 }, (_, i) => i + 1).sort(
      (a, b) => first[a]! - first[b]! || a - b,
    );
    return Lists.grouped(
      order.map((i) => this.parent[i]!),
      this.count,
      order,
    );
  }

  text(number: number): string {
    return this.strings[number] ?? "";
  }

  nameOf(node: number): string {
    return this.text(this.name[node]!);
  }

  typeOf(node: number): string {
    return this.text(this.type[node]!);
  }

  tensorNameOf(tensor: number): string {
    return this.text(this.tensorName[tensor]!);
  }

  tensorTypeOf(tensor: number): string {
    return this.text(this.tensorType[tensor]!);
  }

  /** What distinguishes a node: its name, or its type and first output. */
  labelOf(node: number): string {
    const name = this.nameOf(node);
    if (name || this.kind[node] !== Kind.Operator) return name;
    const output = this.outputs.of(node).find((tensor) => tensor >= 0);
    return output === undefined ? this.typeOf(node) : `${this.typeOf(node)} → ${this.tensorNameOf(output)}`;
  }

  isContainer(node: number): boolean {
    return this.children.start[node + 1]! > this.children.start[node]!;
  }

  /** The last part of an operator's name, which often has its module before it; of others the label. */
  shortOf(node: number): string {
    const label = this.labelOf(node);
    return (this.kind[node] === Kind.Operator && this.nameOf(node).split("/").pop()) || label;
  }

  /** The nodes around a node and itself, the outermost first. */
  around(node: number): number[] {
    const path = [];
    for (let at = node; at >= 0; at = this.parent[at]!) path.push(at);
    return path.reverse();
  }

  /** The dotted path of a module. */
  pathOf(node: number): string {
    return this.around(node)
      .slice(1)
      .filter((n) => this.kind[n] === Kind.Module)
      .map((n) => this.nameOf(n))
      .join(".");
  }

  attributesOf(node: number): [string, string][] {
    const numbers = this.columns.attributeSets[this.columns.attributes[node]!] ?? [];
    return Array.from({ length: numbers.length / 2 }, (_, i) => [
      this.text(numbers[2 * i]!),
      this.text(numbers[2 * i + 1]!),
    ]);
  }

  /** The parameter that a node hands on: a Constant, or an Identity or DequantizeLinear of parameters alone; else -1. */
  handedOn(node: number): number {
    if (this.constant[node]! >= 0 || !HANDS_ON.has(this.typeOf(node))) return this.constant[node]!;
    const inputs = this.inputs.of(node);
    const parameters = inputs.map((tensor) => (tensor < 0 ? 0 : this.parameterBehind(tensor)));
    return inputs.length && parameters.every((parameter) => parameter >= 0) ? parameters[0]! : -1;
  }

  /** The parameter that a tensor is, at first or second hand; else -1. */
  parameterBehind(tensor: number): number {
    if (tensor < 0) return -1;
    const producer = this.producer[tensor]!;
    return producer < 0 || this.constant[producer]! >= 0 ? this.parameter[tensor]! : this.handedOn(producer);
  }

  /** Whether a switch folds it into the operators that take it. */
  isFoldable(node: number): boolean {
    if (this.kind[node] !== Kind.Operator || (this.typeOf(node) !== "Constant" && this.handedOn(node) < 0))
      return false;
    const takers = this.consumers.of(this.outputs.of(node)[0]!);
    return takers.length > 0 && takers.every((taker) => this.kind[taker] !== Kind.Output);
  }

  /** What ONNX calls an input of an operator; the last name stands for all that follow. */
  formalInput(node: number, place: number): string {
    const names = this.columns.formal[this.type[node]!] ?? [];
    return names[Math.min(place, names.length - 1)] ?? "";
  }

  parameterShape(parameter: number): string {
    return shapeOf(this.text(this.columns.parameterType[parameter]!));
  }

  /** The rule by which an operator of the main graph was placed in its module. */
  ruleOf(node: number): string {
    if (!this.columns.rules.length) return "";
    if (!this.mainOperators) {
      this.mainOperators = new Map();
      let index = 0;
      for (let i = 0; i < this.count; i++) {
        if (this.kind[i] === Kind.Operator && this.kind[this.parent[i]!] === Kind.Module)
          this.mainOperators.set(i, index++);
      }
    }
    const index = this.mainOperators.get(node);
    return index === undefined ? "" : this.text(this.columns.rules[index]!);
  }
  private mainOperators?: Map<number, number>;

  // Links

  /** The name of a node among those around it, with a number if several have the same. */
  private keysOf(parent: number): Map<string, number> {
    let keys = this.keys.get(parent);
    if (!keys) {
      keys = new Map();
      for (const child of this.named(parent)) {
        const label = this.shortOf(child) || Kind[this.kind[child]!]!;
        let key = label;
        for (let number = 2; keys.has(key); number++) key = `${label}~${number}`;
        keys.set(key, child);
      }
      this.keys.set(parent, keys);
    }
    return keys;
  }

  /** The children of a node, with those that stand in a box of repeats: links do not name it. */
  private named(parent: number): number[] {
    return [...this.children.of(parent)].flatMap((child) =>
      this.kind[child] === Kind.Repeat ? [...this.children.of(child)] : child,
    );
  }

  private outer(node: number): number {
    const parent = this.parent[node]!;
    return parent >= 0 && this.kind[parent] === Kind.Repeat ? this.parent[parent]! : parent;
  }

  linkOf(node: number): string {
    const parts = this.around(node)
      .slice(1)
      .filter((inner) => this.kind[inner] !== Kind.Repeat)
      .map((inner) => {
        for (const [key, child] of this.keysOf(this.outer(inner)))
          if (child === inner) return encodeURIComponent(key.toWellFormed?.() ?? key);
        return "";
      });
    return `#/${parts.join("/")}`;
  }

  /** The node that a link leads to, as far as there is one: `#/encoder/layer.0`, `#/encoder.layer.0` or a name. */
  followed(link: string): number {
    const parts = link
      .replace(/^#?\/?/, "")
      .split("/")
      .filter(Boolean)
      .map((part) => {
        try {
          return decodeURIComponent(part);
        } catch {
          return part;
        }
      });
    let node = 0;
    for (const part of parts) {
      const next = this.keysOf(node).get(part) ?? this.below(node, part);
      if (next === undefined) break;
      node = next;
    }
    return node;
  }

  private below(node: number, path: string): number | undefined {
    for (const child of this.named(node)) {
      const name = this.nameOf(child);
      if (this.kind[child] !== Kind.Module || !name) continue;
      if (name === path) return child;
      const found = path.startsWith(`${name}.`) ? this.below(child, path.slice(name.length + 1)) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** Reads the page's own data: gzip in base64. */
export async function read(element: HTMLElement): Promise<Model> {
  const packed = Uint8Array.from(atob(element.textContent ?? ""), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Model(JSON.parse(await new Response(stream).text()) as Columns);
}
