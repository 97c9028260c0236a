// Draws a scene with whatever can draw boxes, curves and text: a canvas, or an SVG document.

import { BORDER } from "./flow.ts";
import type { Piece } from "./layout.ts";
import { Kind, type Measure } from "./model.ts";
import { type Area, HEAD, type Open, type Scene } from "./scene.ts";
import { shapeOf, shortened, visible } from "./text.ts";

export interface Style {
  fill?: string;
  stroke?: string;
  width?: number;
  dash?: number[];
  alpha?: number;
}

export interface TextStyle {
  size: number;
  color: string;
  bold?: boolean;
  /** Whether x is its middle, and not its start. */
  centred?: boolean;
  alpha?: number;
  /** Colour around the letters, so that they can be read over a line. */
  around?: string;
}

export interface Painter {
  box(area: Area, radius: number, style: Style): void;
  curve(piece: Piece, style: Style): void;
  /** Many at once, as straight lines: for where the picture is too small for more. */
  lines(pieces: Piece[], style: Style): void;
  arrow(x: number, y: number, isUp: boolean, size: number, color: string, alpha: number): void;
  text(text: string, x: number, y: number, style: TextStyle): void;
  clip<T>(dx: number, dy: number, inner: () => T): T;
}

/** Colours by name, as the style sheet gives them. */
export type Colours = (name: string) => string;

export interface Look {
  colours: Colours;
  heat: Measure | undefined;
  selected: Set<number>;
  hovered: number;
  /** The pieces of one edge, where the pointer is on it. */
  hoveredPiece: Piece | null;
  /** What is not 1 here is drawn faint. */
  lit: Uint8Array | null;
  changes: Map<number, string>;
  /** Pixels for each unit of the picture: what is too small to be read is left out. */
  scale: number;
  /** The part of the picture that is seen. */
  seen: Area;
}

const SMALL = 0.2;
const AT_ONCE = 500;

const CATEGORIES: [string, RegExp][] = [
  ["product", /^(Mat|Gemm|Conv|.*MatMul|.*Conv$|Einsum|LSTM|GRU|RNN|.*Attention)/],
  [
    "activation",
    /^(Relu|.*Relu|Gelu|.*Gelu|Sigmoid|.*Sigmoid|Tanh|Softmax|LogSoftmax|Elu|Selu|Celu|.*Swish|Mish|Softplus|Softsign|Erf|Clip)$/,
  ],
  ["norm", /Norm|LRN/],
  ["pool", /Pool|^Reduce|ArgM|TopK|Resize|Upsample/],
  [
    "shape",
    /^(Reshape|Transpose|Concat|Split|Slice|Gather.*|Scatter.*|Squeeze|Unsqueeze|Expand|Flatten|Shape|Pad|Tile|Cast|Identity|Range|ConstantOfShape|Constant|DepthToSpace|SpaceToDepth)$/,
  ],
  ["control", /^(If|Loop|Scan|SequenceMap|Where)$/],
  ["quantize", /Quant/],
];

const categories = new Map<string, string>();

export function categoryOf(type: string): string {
  let found = categories.get(type);
  if (!found) {
    const name = type.split("::").pop()!;
    found = CATEGORIES.find(([, pattern]) => pattern.test(name))?.[0] ?? "other";
    categories.set(type, found);
  }
  return found;
}

export function paint(scene: Scene, painter: Painter, look: Look): void {
  inside(scene, painter, look, 0, look.seen, 0);
}

function overlaps(a: Area, b: Area): boolean {
  return a.x < b.x + b.width && a.x + a.width > b.x && a.y < b.y + b.height && a.y + a.height > b.y;
}

function areaOf(scene: Scene, node: number): Area {
  return { x: scene.x[node]!, y: scene.y[node]!, width: scene.width[node]!, height: scene.height[node]! };
}

/** An open box with all in it; `seen` is relative to its corner. */
function inside(scene: Scene, painter: Painter, look: Look, box: number, seen: Area, depth: number): void {
  const layout = scene.layoutOf(box);
  if (!layout) return;
  const { colours } = look;
  const whole = { x: 0, y: 0, width: layout.width, height: layout.height };
  const alpha = box === 0 || isLit(look, box) ? 1 : 0.45;
  if (box !== 0) {
    painter.box(whole, 8, { fill: colours(`level-${Math.min(depth, 6)}`), alpha });
  }
  const ground = colours(box === 0 ? "background" : `level-${Math.min(depth, 6)}`);
  edges(scene, painter, look, layout, seen, ground);
  for (const layer of layersIn(layout, seen)) {
    for (const child of layer.nodes) {
      const area = areaOf(scene, child);
      if (!overlaps(area, seen)) continue;
      if (scene.isOpen(child)) {
        const moved = { ...seen, x: seen.x - area.x, y: seen.y - area.y };
        painter.clip(area.x, area.y, () => inside(scene, painter, look, child, moved, depth + 1));
      } else closed(scene, painter, look, child, area, depth);
    }
  }
  if (box !== 0) {
    const mark = look.changes.get(box);
    painter.box({ ...whole, height: HEAD }, 8, { fill: heatColour(look, box) ?? colours("head"), alpha });
    painter.box(whole, 8, outline(look, box, mark ? colours(mark) : colours("line"), alpha));
    if (look.scale * 13 > 4) {
      const [title, ...rest] = scene.lines(box);
      const text = `− ${title!.text}`;
      const wide = scene.measure(text, 13, true);
      const x = Math.max(10, Math.min(seen.x + 10, layout.width - wide - 10)); // stays in sight where the box begins outside
      painter.text(text, x, 17.5, { size: 13, color: colours("text"), bold: true, alpha });
      const after = x + wide + 10;
      const kind = rest.find((line) => !line.faint);
      if (kind && after + scene.measure(kind.text, 11, false) < layout.width - 8)
        painter.text(kind.text, after, 17, { size: 11, color: colours("faint"), alpha });
    }
  }
}

function* layersIn(layout: Open, seen: Area): Generator<Open["layers"][number]> {
  const { layers } = layout;
  let [low, high] = [0, layers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (layers[middle]!.bottom < seen.y) low = middle + 1;
    else high = middle;
  }
  for (let i = low; i < layers.length && layers[i]!.top <= seen.y + seen.height; i++) yield layers[i]!;
}

/** The pieces of edges that may be seen. */
export function* piecesIn(layout: Open, seen: Area): Generator<Piece> {
  const { layers, gaps, lanes } = layout;
  let [low, high] = [0, gaps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((layers[middle + 1] ?? layers[middle]!).bottom < seen.y) low = middle + 1;
    else high = middle;
  }
  for (let i = low; i < gaps.length && layers[i]!.top <= seen.y + seen.height; i++) yield* gaps[i]!;
  for (const lane of lanes) if (lane.y0 <= seen.y + seen.height && lane.y3 >= seen.y) yield lane;
}

function edges(scene: Scene, painter: Painter, look: Look, layout: Open, seen: Area, ground: string): void {
  const { colours, lit } = look;
  const labels: Piece[] = [];
  const isSmall = look.scale < SMALL;
  const small: Piece[] = [];
  for (const piece of piecesIn(layout, seen)) {
    const isHovered =
      look.hoveredPiece !== null &&
      piece.edges.some((edge) => look.hoveredPiece!.edges.includes(edge)) &&
      sameBox(look.hoveredPiece, layout, piece);
    let count = 0;
    let isBright = false;
    let isNear = false;
    for (const edge of piece.edges) {
      const tie = layout.ties[edge]!;
      count = Math.max(count, tie.tensors.length);
      isBright ||= !lit || ((tie.from === BORDER || lit[tie.from] === 1) && (tie.to === BORDER || lit[tie.to] === 1));
      isNear ||= look.selected.has(tie.from) || look.selected.has(tie.to);
    }
    const alpha = isBright ? 1 : 0.18;
    const color = isHovered || isNear ? colours("accent") : lit && isBright ? colours("accent") : colours("edge");
    const width = (isHovered ? 2.4 : 1.2) + Math.min(2, Math.log2(count) * 0.7);
    if (isSmall && alpha === 1 && color === colours("edge")) {
      small.push(piece);
      continue;
    }
    painter.curve(piece, { stroke: color, width, alpha });
    if (piece.ends && look.scale > 0.25) painter.arrow(piece.x1, piece.y3, false, 4.5, color, alpha);
    if (piece.starts && look.scale > 0.25) painter.arrow(piece.x0, piece.y0, true, 4.5, color, alpha);
    if (look.scale > 0.75 && isBright && piece.ends) labels.push(piece);
  }
  for (let i = 0; i < small.length; i += AT_ONCE)
    painter.lines(small.slice(i, i + AT_ONCE), { stroke: colours("edge"), width: 1.5, alpha: 1 });
  if (labels.length) writeLabels(scene, painter, look, layout, labels, ground);
}

function sameBox(hovered: Piece, layout: Open, piece: Piece): boolean {
  return piece === hovered || layout.gaps.some((gap) => gap.includes(hovered));
}

/** Beside each edge its shape, or how many tensors it stands for: once for each tensor, where there is room. */
function writeLabels(scene: Scene, painter: Painter, look: Look, layout: Open, pieces: Piece[], ground: string): void {
  const done = new Set<string>();
  const taken: Area[] = [];
  for (const piece of pieces) {
    const tie = layout.ties[piece.edges[0]!]!;
    const text = tie.tensors.length > 1 ? `${tie.tensors.length} tensors` : look.shapeOf(tie.tensors[0]!);
    const key = `${tie.from} ${tie.tensors.length > 1 ? tie.to : tie.tensors[0]}`;
    if (!text || piece.y2 - piece.y1 < 20 || done.has(key)) continue;
    const width = scene.measure(text, 9.5, false);
    for (const t of piece.x0 === piece.x1 ? [0.5] : [0.9, 0.1, 0.5]) {
      const x = piece.x0 + (piece.x1 - piece.x0) * (3 * t * t - 2 * t * t * t) + 5;
      const y =
        piece.y1 + (piece.y2 - piece.y1) * (1.5 * t * (1 - t) + t * t * t) + (t === 0.9 ? -2 : t === 0.1 ? 8 : 3);
      const area = { x: x - 2, y: y - 9, width: width + 4, height: 12 };
      if (taken.some((other) => overlaps(other, area))) continue;
      taken.push(area);
      done.add(key);
      painter.text(text, x, y, { size: 9.5, color: look.colours("faint"), around: ground });
      break;
    }
  }
}

export interface Look {
  shapeOf(tensor: number): string;
}

export function shortShape(type: string): string {
  return shortened(visible(shapeOf(type)), 28);
}

function isLit(look: Look, node: number): boolean {
  return !look.lit || look.lit[node] === 1;
}

function outline(look: Look, node: number, stroke: string, alpha: number): Style {
  if (look.selected.has(node)) return { stroke: look.colours("accent"), width: 2.5, alpha };
  if (look.hovered === node) return { stroke: look.colours("accent"), width: 1.5, alpha };
  return { stroke, width: 1, alpha };
}

function heatColour(look: Look, node: number): string | undefined {
  const share = look.heat?.share(node);
  if (share === undefined) return undefined;
  return `hsl(${Math.round(215 - 205 * share)} ${Math.round(35 + 45 * share)}% ${look.colours("heat-light")})`;
}

function closed(scene: Scene, painter: Painter, look: Look, node: number, area: Area, depth: number): void {
  const { colours } = look;
  const { model } = scene;
  const alpha = isLit(look, node) ? 1 : 0.3;
  const kind = model.kind[node]!;
  const isBox = model.isContainer(node);
  const isEnd = kind === Kind.Input || kind === Kind.Output;
  const category = kind === Kind.Operator ? categoryOf(model.typeOf(node)) : isEnd ? "end" : "module";
  const mark = look.changes.get(node);
  const fill =
    heatColour(look, node) ??
    (isBox && kind !== Kind.Operator ? colours(`level-${Math.min(depth + 1, 6)}`) : colours(`${category}-fill`));
  const stroke = mark ? colours(mark) : colours(`${category}-line`);
  if (area.height * look.scale < 3) {
    painter.box(area, 0, { fill: mark ? stroke : colours(`${category}-line`), alpha: alpha * 0.6 });
    return;
  }
  const radius = isEnd ? area.height / 2 : isBox ? 8 : 5;
  if (isBox)
    painter.box({ ...area, x: area.x + 3, y: area.y + 3 }, radius, { fill, stroke, width: 1, alpha: alpha * 0.6 });
  painter.box(area, radius, { fill, alpha });
  painter.box(
    area,
    radius,
    mark && !look.selected.has(node) ? { stroke, width: 2.5, alpha } : outline(look, node, stroke, alpha),
  );
  const lines = scene.lines(node);
  if (look.scale * 12 < 4) return;
  let y = area.y + (area.height - lines.length * 15) / 2 + 11.5;
  for (const line of lines) {
    const color = colours(line.faint ? "faint" : "text");
    const style = { size: line.strong ? 13 : 11, color, bold: line.strong, centred: true, alpha };
    painter.text(line.text, area.x + area.width / 2, y, style);
    y += 15;
  }
  if (isBox) painter.text("+", area.x + 8, area.y + 15, { size: 13, color: colours("faint"), bold: true, alpha });
}
