// Which boxes are open, and where everything stands: a box is laid out from what stands directly in it,
// so that opening one only lays out anew that box and those around it.

import { type Flow, Flows, BORDER } from "./flow.ts";
import { layered, type Edge, type Piece } from "./layout.ts";
import { Kind, type Model } from "./model.ts";
import { amount, counted, shortened, visible } from "./text.ts";

export const HEAD = 26;
const FEW = 12;
const PAD = 16;
const MOST_PORTS = 10;
const LINE = 15;
const ENDLESS = "9223372036854775807"; // the end of a Slice that has none

export interface Tie {
  from: number;
  to: number;
  tensors: number[];
}

/** A box that is open: where its children stand, relative to its upper left corner, and the pieces of its edges. */
export interface Open {
  width: number;
  height: number;
  children: number[];
  /** Children by layer, with the extent of each. */
  layers: { top: number; bottom: number; nodes: number[] }[];
  gaps: Piece[][];
  lanes: Piece[];
  ties: Tie[];
  /** Where tensors pass the upper and the lower border; key -1 stands for all of them. */
  above: Map<number, number>;
  below: Map<number, number>;
}

export interface Line {
  text: string;
  strong: boolean;
  faint: boolean;
}

export type Measure = (text: string, size: number, bold: boolean) => number;

export interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

export class Scene {
  readonly flows: Flows;
  readonly open = new Set<number>([0]);
  /** The upper left corner of each node relative to that of the box around it, and its size. */
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly width: Float64Array;
  readonly height: Float64Array;
  private readonly layouts = new Map<number, Open>();
  private readonly texts = new Map<number, Line[]>();

  constructor(
    readonly model: Model,
    readonly measure: Measure,
  ) {
    this.flows = new Flows(model);
    [this.x, this.y, this.width, this.height] = Array.from({ length: 4 }, () => new Float64Array(model.count)) as [
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    this.arrange();
  }

  isOpen(node: number): boolean {
    return this.open.has(node);
  }

  layoutOf(box: number): Open | undefined {
    return this.layouts.get(box);
  }

  /** Whether a node is drawn: all boxes around it are open, and it is not folded. */
  isShown(node: number): boolean {
    if (this.flows.isHidden(node)) return false;
    for (let at = this.model.parent[node]!; at >= 0; at = this.model.parent[at]!) if (!this.open.has(at)) return false;
    return true;
  }

  /** The node itself, or the closed box that it is in. */
  shownFor(node: number): number {
    for (const at of this.model.around(node)) if (!this.open.has(at)) return at;
    return node;
  }

  set(node: number, isOpen: boolean): void {
    if (isOpen === this.open.has(node) || !this.model.isContainer(node) || node === 0) return;
    if (isOpen) {
      this.open.add(node);
      if (this.model.kind[node] === Kind.Operator) for (const body of this.model.children.of(node)) this.open.add(body);
    } else this.open.delete(node);
    this.forget(node);
  }

  /** Opens or closes a box and all below it. */
  setAll(node: number, isOpen: boolean): void {
    const todo = [node];
    while (todo.length) {
      const box = todo.pop()!;
      if (!this.model.isContainer(box)) continue;
      if (isOpen) this.open.add(box);
      else if (box !== 0) this.open.delete(box);
      this.layouts.delete(box);
      todo.push(...this.model.children.of(box));
    }
    this.forget(node);
  }

  /** Opens this many levels of modules below a box; what is folded stays folded. */
  openTo(node: number, depth: number): void {
    if (depth < 1) return;
    for (const child of this.model.children.of(node)) {
      if (this.model.kind[child] === Kind.Repeat) continue;
      this.set(child, true);
      this.openTo(child, depth - 1);
    }
  }

  /** Opens what is the only box among a few nodes, and the only box in it, until there is a choice. */
  openSingle(): void {
    for (let box = 0; ;) {
      const children = [...this.model.children.of(box)];
      const boxes = children.filter((child) => this.model.isContainer(child));
      const [only] = boxes;
      if (boxes.length !== 1 || children.length > FEW || this.model.kind[only!] === Kind.Repeat) return;
      this.set(only!, true);
      box = only!;
    }
  }

  /** The share of an area that nodes of a box cover; of open ones, only those that are in it as a whole. */
  filled(box: number, area: Area): number {
    let covered = 0;
    const todo = [box];
    while (todo.length) {
      const node = todo.pop()!;
      const { x, y } = this.corner(node);
      const wide = Math.min(x + this.width[node]!, area.x + area.width) - Math.max(x, area.x);
      const tall = Math.min(y + this.height[node]!, area.y + area.height) - Math.max(y, area.y);
      if (wide <= 0 || tall <= 0) continue;
      const isWhole = node !== box && wide === this.width[node]! && tall === this.height[node]!;
      const layout = this.open.has(node) && !isWhole ? this.layouts.get(node) : undefined;
      if (layout) for (const layer of layout.layers) todo.push(...layer.nodes);
      else covered += wide * tall;
    }
    return covered / (area.width * area.height);
  }

  reveal(node: number): void {
    for (let at = this.model.parent[node]!; at > 0; at = this.model.parent[at]!) this.set(at, true);
  }

  fold(isFolded: boolean): void {
    this.flows.folds = isFolded;
    this.layouts.clear();
    this.texts.clear();
  }

  private forget(node: number): void {
    for (let at = node; at >= 0; at = this.model.parent[at]!) this.layouts.delete(at);
  }

  /** Lays out what has changed, the innermost first. */
  arrange(): void {
    const todo = [0];
    const order: number[] = [];
    while (todo.length) {
      const box = todo.pop()!;
      if (this.layouts.has(box)) continue;
      order.push(box);
      for (const child of this.model.children.of(box)) if (this.open.has(child)) todo.push(child);
    }
    for (const box of order.reverse()) {
      const layout = this.layOut(box);
      this.layouts.set(box, layout);
      this.width[box] = layout.width;
      this.height[box] = layout.height;
    }
  }

  /** The upper left corner of a node in the picture. */
  corner(node: number): { x: number; y: number } {
    let [x, y] = [0, 0];
    for (let at = node; at > 0; at = this.model.parent[at]!) {
      x += this.x[at]!;
      y += this.y[at]!;
    }
    return { x, y };
  }

  // Boxes

  lines(node: number): Line[] {
    let lines = this.texts.get(node);
    if (!lines) this.texts.set(node, (lines = this.describe(node)));
    return lines;
  }

  private describe(node: number): Line[] {
    const { model } = this;
    const kind = model.kind[node];
    const line = (text: string, strong = false, faint = false): Line => ({
      text: shortened(visible(text), 44),
      strong,
      faint,
    });
    if (kind === Kind.Input || kind === Kind.Output) {
      const tensor = (kind === Kind.Input ? model.outputs : model.inputs).of(node)[0]!;
      const type = tensor < 0 ? "" : model.tensorTypeOf(tensor);
      return [line(model.nameOf(node), true), ...(type ? [line(type, false, true)] : [])];
    }
    if (kind === Kind.Operator) {
      const lines = [line(model.typeOf(node), true)];
      const short = model.nameOf(node).split(/[/.]/).pop() ?? "";
      if (short && short !== model.typeOf(node)) lines.push(line(short, false, true));
      let shown = 0;
      for (const [place, tensor] of model.inputs.of(node).entries()) {
        const value = tensor < 0 ? "" : this.foldedValue(tensor);
        if (!value) continue;
        if (shown++ === 3) {
          lines.push(line("…", false, true));
          break;
        }
        const own = model.tensorNameOf(tensor);
        const name = /\.[a-z]\w*$/.test(own) ? lastPart(own) : model.formalInput(node, place) || lastPart(own);
        lines.push(line(`${name} ${value}`));
      }
      if (model.isContainer(node)) lines.push(line(counted(model.operators[node]! - 1, "operator"), false, true));
      return lines;
    }
    const name = model.nameOf(node) || model.facts.name || "model";
    const type = model.typeOf(node);
    const parts = [counted(model.operators[node]!, "operator")];
    if (model.elements[node]) parts.push(`${amount(model.elements[node]!)} parameters`);
    const lines = [line(name, true)];
    if (type && type !== name) lines.push(line(type));
    return [...lines, line(parts.join(" · "), false, true)];
  }

  /** Shape or value of a tensor that is a parameter or a constant, where it is shown in what takes it. */
  private foldedValue(tensor: number): string {
    const { model } = this;
    const producer = model.producer[tensor]!;
    if (producer >= 0 && !this.flows.isHidden(producer)) return "";
    const parameter = model.parameterBehind(tensor);
    const value =
      parameter >= 0
        ? model.text(model.columns.parameterValue[parameter]!)
        : producer >= 0
          ? (model.attributesOf(producer)[0]?.[1] ?? "")
          : "";
    const short = value.replaceAll(ENDLESS, "∞");
    if (short && (short.length < 24 || parameter < 0)) return `= ${short}`;
    return parameter >= 0 ? model.parameterShape(parameter) : "";
  }

  private size(node: number): void {
    if (this.open.has(node)) return;
    const lines = this.lines(node);
    const isBox = this.model.isContainer(node);
    let width = 0;
    for (const { text, strong } of lines) width = Math.max(width, this.measure(text, strong ? 13 : 11, strong));
    this.width[node] = Math.max(Math.ceil(width) + (isBox ? 44 : 24), isBox ? 120 : 56);
    this.height[node] = lines.length * LINE + (isBox ? 18 : 12);
  }

  private layOut(box: number): Open {
    const flow = this.flows.of(box);
    const above = ports(flow.entering);
    const below = ports(flow.leaving);
    const { children } = flow;
    for (const child of children) this.size(child);
    const linked = connected(flow);
    const alone = children.filter((child) => !linked.has(child));
    const placed = children.filter((child) => linked.has(child));

    const slot = new Map<number, number>();
    above.forEach((_, i) => slot.set(-2 - i, i));
    placed.forEach((child, i) => slot.set(child, above.length + i));
    const edges: Edge[] = [];
    const ties: Tie[] = [];
    const known = new Map<string, number>();
    const add = (from: number, to: number, tie: Tie, channel = 0) => {
      const key = `${from} ${to} ${channel}`;
      const edge = known.get(key);
      if (edge !== undefined) {
        ties[edge]!.tensors.push(...tie.tensors.filter((tensor) => !ties[edge]!.tensors.includes(tensor)));
        return;
      }
      known.set(key, edges.length);
      edges.push({ from, to, channel });
      ties.push({ ...tie, tensors: [...tie.tensors] });
    };
    for (const link of flow.entering) add(portOf(above, link.tensors[0]!), slot.get(link.to)!, link);
    for (const link of flow.inner) {
      const [from, to] = [slot.get(link.from)!, slot.get(link.to)!];
      const isBundle = link.tensors.length > MOST_PORTS || !(this.open.has(link.from) || this.open.has(link.to));
      if (isBundle) add(from, to, link);
      else link.tensors.forEach((tensor, i) => add(from, to, { ...link, tensors: [tensor] }, i));
    }
    const firstBelow = above.length + placed.length;
    for (const link of flow.leaving) add(slot.get(link.from)!, firstBelow + portOf(below, link.tensors[0]!), link);

    const result = layered({
      width: [...above.map(() => 8), ...placed.map((child) => this.width[child]!), ...below.map(() => 8)],
      height: [...above.map(() => 0), ...placed.map((child) => this.height[child]!), ...below.map(() => 0)],
      edges,
      top: above.length,
      bottom: below.length,
    });
    const title = this.lines(box)[0]!;
    const least = box === 0 ? 0 : this.measure(title.text, 13, true) + 90;
    const inner = Math.max(result.width, least - 2 * PAD);
    const left = PAD + (inner - result.width) / 2;
    const top = HEAD + (above.length ? 0 : PAD);
    placed.forEach((child, i) => {
      const number = above.length + i;
      this.x[child] = result.x[number]! - this.width[child]! / 2 + left;
      this.y[child] = result.y[number]! - this.height[child]! / 2 + top;
    });
    const own = (nodes: number[]) =>
      nodes.filter((n) => n >= above.length && n < firstBelow).map((n) => placed[n - above.length]!);
    const layers = result.layers.map((l) => ({ top: l.top + top, bottom: l.bottom + top, nodes: own(l.nodes) }));
    let width = inner + 2 * PAD;
    let height = top + result.height + (below.length ? 0 : PAD);
    if (alone.length) {
      if (!placed.length) height = top;
      const grid = this.grid(alone, height + (placed.length ? PAD : 0), Math.max(inner, 600));
      width = Math.max(width, grid.width + 2 * PAD);
      height = grid.height + PAD;
      layers.push(...grid.layers);
    }
    for (const piece of [...result.gaps.flat(), ...result.lanes]) {
      piece.x0 += left;
      piece.x1 += left;
      piece.y0 += top;
      piece.y1 += top;
      piece.y2 += top;
      piece.y3 += top;
      this.bend(piece, ties, below.length ? height : 0);
    }
    const places = (tensors: number[], start: number) =>
      new Map(tensors.map((tensor, i) => [tensor, result.x[start + i]! + left]));
    return {
      width,
      height,
      children,
      layers,
      gaps: result.gaps,
      lanes: result.lanes,
      ties,
      above: places(above, 0),
      below: places(below, firstBelow),
    };
  }

  /** Lets a piece end where its tensor passes the border of an open box, and begin there. */
  private bend(piece: Piece, ties: Tie[], floor: number): void {
    if (piece.turned) return;
    const tie = ties[piece.edges[0]!]!;
    const port = (node: number, isAbove: boolean): number | undefined => {
      if (node < 0 || !this.open.has(node)) return undefined;
      const layout = this.layouts.get(node)!;
      const map = isAbove ? layout.above : layout.below;
      const x = map.get(tie.tensors[0]!) ?? map.get(BORDER);
      return x === undefined ? undefined : x + this.x[node]!;
    };
    if (piece.ends) piece.x1 = port(tie.to, true) ?? piece.x1;
    const isFirst = tie.from >= 0 && Math.abs(piece.y0 - (this.y[tie.from]! + this.height[tie.from]!)) < 0.01;
    if (isFirst && !piece.starts) piece.x0 = port(tie.from, false) ?? piece.x0;
    if (tie.to === BORDER && piece.y3 === floor) piece.ends = false;
  }

  /** Nodes that nothing ties to others, in rows. */
  private grid(nodes: number[], top: number, most: number): { width: number; height: number; layers: Open["layers"] } {
    const layers: Open["layers"] = [];
    let [x, y, width] = [0, top, 0];
    let row = { top: y, bottom: y, nodes: [] as number[] };
    for (const node of nodes) {
      if (x > 0 && x + this.width[node]! > most) {
        layers.push(row);
        [x, y] = [0, row.bottom + PAD];
        row = { top: y, bottom: y, nodes: [] };
      }
      this.x[node] = x + PAD;
      this.y[node] = y;
      x += this.width[node]! + PAD;
      width = Math.max(width, x - PAD);
      row.bottom = Math.max(row.bottom, y + this.height[node]!);
      row.nodes.push(node);
    }
    layers.push(row);
    return { width, height: row.bottom, layers };
  }
}

/** The tensors that pass a border, or one place for all where they are many. */
function ports(links: { tensors: number[] }[]): number[] {
  const tensors = new Set(links.map((link) => link.tensors[0]!));
  return tensors.size > MOST_PORTS ? [BORDER] : [...tensors];
}

function portOf(ports: number[], tensor: number): number {
  return ports[0] === BORDER ? 0 : ports.indexOf(tensor);
}

function connected(flow: Flow): Set<number> {
  const found = new Set<number>();
  for (const link of [...flow.inner, ...flow.entering, ...flow.leaving]) found.add(link.from).add(link.to);
  return found;
}

function lastPart(name: string): string {
  return name.split(/[/.]/).pop() || name;
}
