// A layered layout in time that grows with nodes and edges: layers by longest path, order by barycenters,
// places as Brandes and Köpf give them ("Fast and simple horizontal coordinate assignment", 2001).
//
// An edge runs straight down through a layer, and sideways only in the gap between two layers, so that none
// crosses a node. An edge over several layers has a point in each; edges from one node share these points.

/** Edges between the same nodes run apart where their channels differ. */
export interface Edge {
  from: number;
  to: number;
  channel?: number;
}

const CHANNELS = 64;

export interface Graph {
  width: number[];
  height: number[];
  edges: Edge[];
  /** The numbers of nodes, first and last in the list, that are above and below all others: ends of edges through the border. */
  top: number;
  bottom: number;
}

/** A piece of edges between one layer and the next. */
export interface Piece {
  x0: number;
  /** Where it begins, leaves the upper layer, reaches the lower one, ends. */
  y0: number;
  y1: number;
  x1: number;
  y2: number;
  y3: number;
  /** Numbers of the edges that run through it. */
  edges: number[];
  /** Whether it ends at a node, at either side. */
  starts: boolean;
  ends: boolean;
  /** Whether its edges go up. */
  turned: boolean;
}

export interface Placed {
  /** Centres of the nodes. */
  x: Float64Array;
  y: Float64Array;
  width: number;
  height: number;
  /** Pieces by the number of the gap that they cross. */
  gaps: Piece[][];
  /** Straight pieces over many layers, at the right side. */
  lanes: Piece[];
  /** Where each layer begins and ends, from the top. */
  layers: { top: number; bottom: number; nodes: number[] }[];
}

const SPACE_X = 22;
const SPACE_POINT = 12;
const GAP = 34;
const GAP_MOST = 84;
const LONG = 40; // layers: where points would be too many, edges longer than this run in a lane of their own
const POINTS_FOR_NODE = 6;

export function layered(graph: Graph): Placed {
  const count = graph.width.length;
  const { edges, turned } = withoutCycles(graph, count);
  const rank = ranks(graph, edges, count);
  const net = withPoints(graph, edges, rank, count);
  const layers = ordered(net);
  const x = places(net, layers);
  return drawn(graph, net, layers, x, turned);
}

// Layers

function withoutCycles(graph: Graph, count: number): { edges: Edge[]; turned: Uint8Array } {
  const turned = new Uint8Array(graph.edges.length);
  if (topological(graph.edges, count).length === count) return { edges: graph.edges, turned };
  const last = count - graph.bottom;
  const place = (n: number) => (n < graph.top ? -1 : n >= last ? count : n);
  const edges = graph.edges.map((edge, i) => {
    if (place(edge.from) <= place(edge.to)) return edge;
    turned[i] = 1; // children stand in the order in which they run: these go back
    return { from: edge.to, to: edge.from, channel: CHANNELS / 2 + (channelOf(edge) % (CHANNELS / 2)) };
  });
  return { edges, turned };
}

class Adjacency {
  readonly start: Int32Array;
  readonly items: Int32Array;

  constructor(edges: Edge[], count: number, key: "from" | "to") {
    const other = key === "from" ? "to" : "from";
    this.start = new Int32Array(count + 1);
    for (const edge of edges) this.start[edge[key] + 1]!++;
    for (let i = 0; i < count; i++) this.start[i + 1]! += this.start[i]!;
    this.items = new Int32Array(edges.length);
    const next = this.start.slice();
    for (const edge of edges) this.items[next[edge[key]]!++] = edge[other];
  }

  of(node: number): Int32Array {
    return this.items.subarray(this.start[node]!, this.start[node + 1]!);
  }

  /** Orders the neighbours of each node by their places: by insertion, as the lists are short and mostly in order. */
  sort(place: Int32Array): void {
    const { start, items } = this;
    for (let node = 0; node + 1 < start.length; node++) {
      const first = start[node]!;
      for (let i = first + 1; i < start[node + 1]!; i++) {
        const item = items[i]!;
        let at = i;
        for (; at > first && place[items[at - 1]!]! > place[item]!; at--) items[at] = items[at - 1]!;
        items[at] = item;
      }
    }
  }
}

function topological(edges: Edge[], count: number): Int32Array {
  const out = new Adjacency(edges, count, "from");
  const waiting = new Int32Array(count);
  for (const edge of edges) waiting[edge.to]!++;
  const order = new Int32Array(count);
  let length = 0;
  for (let i = 0; i < count; i++) if (!waiting[i]) order[length++] = i;
  for (let i = 0; i < length; i++) {
    for (const next of out.of(order[i]!)) if (--waiting[next]! === 0) order[length++] = next;
  }
  return order.subarray(0, length);
}

function ranks(graph: Graph, edges: Edge[], count: number): Int32Array {
  const last = count - graph.bottom;
  const rank = new Int32Array(count);
  const order = topological(edges, count);
  const out = new Adjacency(edges, count, "from");
  const into = new Adjacency(edges, count, "to");
  if (graph.top) rank.fill(1, graph.top);
  for (const node of order) for (const next of out.of(node)) rank[next] = Math.max(rank[next]!, rank[node]! + 1);
  // What nothing comes into, or only the border, stands just above what takes it.
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i]!;
    if (node < graph.top || node >= last || !out.of(node).length) continue;
    if (into.of(node).some((before) => before >= graph.top)) continue;
    let least = Infinity;
    for (const next of out.of(node)) if (next < last) least = Math.min(least, rank[next]!);
    if (least < Infinity) rank[node] = Math.max(rank[node]!, least - 1);
  }
  if (graph.bottom) {
    let deepest = 0;
    for (let node = 0; node < last; node++) deepest = Math.max(deepest, rank[node]!);
    rank.fill(deepest + 1, last);
  }
  return rank;
}

/** Nodes and points with the edges between neighbouring layers. */
interface Net {
  count: number;
  nodes: number;
  rank: number[];
  width: number[];
  height: number[];
  links: { from: number; to: number; edges: number[] }[];
  /** Edges that run in a lane at the side. */
  lanes: number[];
}

function withPoints(graph: Graph, edges: Edge[], rank: Int32Array, count: number): Net {
  const net: Net = {
    count,
    nodes: count,
    rank: [...rank],
    width: [...graph.width],
    height: [...graph.height],
    links: [],
    lanes: [],
  };
  const farthest = new Int32Array(count);
  for (const edge of edges) farthest[edge.from] = Math.max(farthest[edge.from]!, rank[edge.to]!);
  let points = 0;
  for (let node = 0; node < count; node++) points += Math.max(0, farthest[node]! - rank[node]! - 1);
  const isTooMany = points > POINTS_FOR_NODE * count + 2000;
  const chains = new Map<number, number[]>();
  const links = new Map<number, { from: number; to: number; edges: number[] }>();
  const most = 2 * count + points + 1;
  const join = (from: number, to: number, edge: number) => {
    const key = (from * most + to) * CHANNELS + channelOf(edges[edge]!);
    const link = links.get(key);
    if (link) link.edges.push(edge);
    else links.set(key, { from, to, edges: [edge] });
  };
  edges.forEach((edge, number) => {
    const start = rank[edge.from]!;
    const length = rank[edge.to]! - start;
    if (length < 1 || (isTooMany && length > LONG)) {
      net.lanes.push(number);
      return;
    }
    const key = edge.from * CHANNELS + channelOf(edge);
    let chain = chains.get(key);
    if (!chain) chains.set(key, (chain = [edge.from]));
    while (chain.length < length) {
      chain.push(net.count++);
      net.rank.push(start + chain.length - 1);
      net.width.push(0);
      net.height.push(0);
    }
    for (let i = 1; i < length; i++) join(chain[i - 1]!, chain[i]!, number);
    join(chain[length - 1]!, edge.to, number);
  });
  net.links = [...links.values()];
  return net;
}

function channelOf(edge: Edge): number {
  return (edge.channel ?? 0) % CHANNELS;
}

// Order

function ordered(net: Net): number[][] {
  const layers: number[][] = [];
  for (let node = 0; node < net.count; node++) (layers[net.rank[node]!] ??= []).push(node);
  for (let i = 0; i < layers.length; i++) layers[i] ??= [];
  const up = new Adjacency(net.links, net.count, "to");
  const down = new Adjacency(net.links, net.count, "from");
  const place = new Int32Array(net.count);
  const number = (layer: number[]) => layer.forEach((node, i) => (place[node] = i));
  // A walk from the sources first, so that what belongs together begins together.
  const seen = new Uint8Array(net.count);
  const walked: number[][] = layers.map(() => []);
  for (const layer of layers) {
    for (const source of layer) {
      const todo = [source];
      while (todo.length) {
        const node = todo.pop()!;
        if (seen[node]) continue;
        seen[node] = 1;
        walked[net.rank[node]!]!.push(node);
        const next = down.of(node);
        for (let i = next.length - 1; i >= 0; i--) if (!seen[next[i]!]) todo.push(next[i]!);
      }
    }
  }
  let best = walked;
  layers.splice(0, layers.length, ...walked);
  layers.forEach(number);
  const sweeps = net.count < 600 ? 12 : net.count < 6000 ? 4 : 2;
  let fewest = crossings(layers, down, place);
  const weight = new Float64Array(net.count);
  for (let sweep = 0; sweep < sweeps && fewest > 0; sweep++) {
    const isDown = sweep % 2 === 0;
    const from = isDown ? up : down;
    for (let i = 1; i < layers.length; i++) {
      const layer = layers[isDown ? i : layers.length - 1 - i]!;
      for (const node of layer) {
        const begin = from.start[node]!;
        const end = from.start[node + 1]!;
        let sum = 0;
        for (let j = begin; j < end; j++) sum += place[from.items[j]!]!;
        weight[node] = begin === end ? place[node]! : sum / (end - begin);
      }
      layer.sort((a, b) => weight[a]! - weight[b]! || place[a]! - place[b]!);
      number(layer);
    }
    const count = crossings(layers, down, place);
    if (count < fewest) {
      fewest = count;
      best = layers.map((layer) => [...layer]);
    }
  }
  return best.map((layer) => [...layer]);
}

/** How often links cross (Barth, Mutzel and Jünger). */
function crossings(layers: number[][], down: Adjacency, place: Int32Array): number {
  let total = 0;
  down.sort(place);
  for (let i = 0; i + 1 < layers.length; i++) {
    const size = layers[i + 1]!.length;
    if (size < 2 || layers[i]!.length < 2) continue;
    let first = 1;
    while (first < size) first *= 2;
    const tree = new Int32Array(2 * first - 1);
    first -= 1;
    for (const node of layers[i]!) {
      for (let j = down.start[node]!; j < down.start[node + 1]!; j++) {
        let at = place[down.items[j]!]! + first;
        tree[at]!++;
        while (at > 0) {
          if (at % 2) total += tree[at + 1]!;
          at = (at - 1) >> 1;
          tree[at]!++;
        }
      }
    }
  }
  return total;
}

// Places

function places(net: Net, layers: number[][]): Float64Array {
  const up = new Adjacency(net.links, net.count, "to");
  const down = new Adjacency(net.links, net.count, "from");
  const place = new Int32Array(net.count);
  for (const layer of layers) layer.forEach((node, i) => (place[node] = i));
  up.sort(place);
  down.sort(place);
  const conflicts = crossedPoints(net, layers, up, place);
  const found: Float64Array[] = [];
  for (const isUp of [true, false]) {
    const rows = isUp ? layers : [...layers].reverse();
    for (const isLeft of [true, false]) {
      const x = aligned(net, rows, isUp ? up : down, place, conflicts, isLeft);
      if (!isLeft) for (let i = 0; i < x.length; i++) x[i] = -x[i]!;
      found.push(x);
    }
  }
  return balanced(net, found);
}

/** Links that cross one between two points: that one is to be straight. */
function crossedPoints(net: Net, layers: number[][], up: Adjacency, place: Int32Array): Set<number> {
  const found = new Set<number>();
  const isPoint = (node: number) => node >= net.nodes;
  for (let i = 1; i < layers.length; i++) {
    const layer = layers[i]!;
    let begin = 0;
    let done = 0;
    layer.forEach((node, at) => {
      const above = isPoint(node) ? up.of(node)[0] : undefined;
      const isInner = above !== undefined && isPoint(above);
      if (!isInner && at !== layer.length - 1) return;
      const end = isInner ? place[above]! : layers[i - 1]!.length;
      for (; done <= at; done++) {
        const other = layer[done]!;
        for (const upper of up.of(other)) {
          const where = place[upper]!;
          if ((where < begin || where > end) && !(isPoint(upper) && isPoint(other)))
            found.add(upper * net.count + other);
        }
      }
      begin = end;
    });
  }
  return found;
}

function aligned(
  net: Net,
  rows: number[][],
  near: Adjacency,
  place: Int32Array,
  conflicts: Set<number>,
  isLeft: boolean,
): Float64Array {
  const total = net.count;
  const root = Int32Array.from({ length: total }, (_, i) => i);
  const next = root.slice();
  const sign = isLeft ? 1 : -1;
  const inOrder = (row: number[]) => (isLeft ? row : [...row].reverse());
  for (let i = 1; i < rows.length; i++) {
    let taken = -Infinity;
    for (const node of inOrder(rows[i]!)) {
      const begin = near.start[node]!;
      const count = near.start[node + 1]! - begin;
      if (!count) continue;
      const middle = (count - 1) / 2;
      for (let m = Math.floor(middle); m <= Math.ceil(middle); m++) {
        const other = near.items[begin + (isLeft ? m : count - 1 - m)]!;
        const where = sign * place[other]!;
        if (next[node] !== node || where <= taken) continue;
        if (conflicts.has(other * net.count + node) || conflicts.has(node * net.count + other)) continue;
        next[other] = node;
        root[node] = root[other]!;
        next[node] = root[node]!;
        taken = where;
      }
    }
  }
  // Blocks one beside the other: each as far left as those before it allow, then as far right as those after it.
  const most = rows.reduce((sum, row) => sum + Math.max(0, row.length - 1), 0);
  const [from, to, apart] = [new Int32Array(most), new Int32Array(most), new Float64Array(most)];
  const waiting = new Int32Array(total);
  const starts = new Int32Array(total + 1);
  let pairs = 0;
  for (const row of rows) {
    for (let i = 1; i < row.length; i++) {
      const [one, other] = isLeft ? [row[i - 1]!, row[i]!] : [row[i]!, row[i - 1]!];
      from[pairs] = root[one]!;
      to[pairs] = root[other]!;
      apart[pairs++] = distance(net, one, other);
      waiting[root[other]!]!++;
      starts[root[one]! + 1]!++;
    }
  }
  for (let i = 0; i < total; i++) starts[i + 1]! += starts[i]!;
  const after = new Int32Array(pairs);
  const slot = starts.slice();
  for (let i = 0; i < pairs; i++) after[slot[from[i]!]!++] = i;
  const x = new Float64Array(total);
  const order: number[] = [];
  for (let i = 0; i < total; i++) if (root[i] === i && !waiting[i]) order.push(i);
  for (let i = 0; i < order.length; i++) {
    const block = order[i]!;
    for (let j = starts[block]!; j < starts[block + 1]!; j++) {
      const next = to[after[j]!]!;
      x[next] = Math.max(x[next]!, x[block]! + apart[after[j]!]!);
      if (--waiting[next]! === 0) order.push(next);
    }
  }
  for (let i = order.length - 1; i >= 0; i--) {
    const block = order[i]!;
    let limit = Infinity;
    for (let j = starts[block]!; j < starts[block + 1]!; j++)
      limit = Math.min(limit, x[to[after[j]!]!]! - apart[after[j]!]!);
    if (limit < Infinity) x[block] = Math.max(x[block]!, limit);
  }
  for (let i = 0; i < total; i++) x[i] = x[root[i]!]!;
  return x;
}

function distance(net: Net, a: number, b: number): number {
  const arePoints = a >= net.nodes && b >= net.nodes;
  return (net.width[a]! + net.width[b]!) / 2 + (arePoints ? SPACE_POINT : SPACE_X);
}

/** The mean of the two middle ones of four assignments, moved so that they fit the narrowest. */
function balanced(net: Net, found: Float64Array[]): Float64Array {
  const extents = found.map((x) => {
    let [least, most] = [Infinity, -Infinity];
    for (let i = 0; i < net.count; i++) {
      least = Math.min(least, x[i]! - net.width[i]! / 2);
      most = Math.max(most, x[i]! + net.width[i]! / 2);
    }
    return { least, most };
  });
  const narrowest = extents.reduce((a, b) => (b.most - b.least < a.most - a.least ? b : a));
  found.forEach((x, i) => {
    const isLeft = i % 2 === 0;
    const shift = isLeft ? narrowest.least - extents[i]!.least : narrowest.most - extents[i]!.most;
    for (let node = 0; node < net.count; node++) x[node]! += shift;
  });
  const result = new Float64Array(net.count);
  const four = new Float64Array(4);
  for (let node = 0; node < net.count; node++) {
    for (let i = 0; i < 4; i++) four[i] = found[i]![node]!;
    four.sort();
    result[node] = (four[1]! + four[2]!) / 2;
  }
  return result;
}

// The picture

function drawn(graph: Graph, net: Net, layers: number[][], x: Float64Array, turned: Uint8Array): Placed {
  let [least, most] = [Infinity, -Infinity];
  for (let node = 0; node < net.count; node++) {
    least = Math.min(least, x[node]! - net.width[node]! / 2);
    most = Math.max(most, x[node]! + net.width[node]! / 2);
  }
  if (!net.count) [least, most] = [0, 0];
  for (let node = 0; node < net.count; node++) x[node]! -= least;
  const wide = new Float64Array(layers.length);
  for (const link of net.links) {
    const rank = net.rank[link.from]!;
    wide[rank] = Math.max(wide[rank]!, Math.abs(x[link.from]! - x[link.to]!));
  }
  const y = new Float64Array(net.count);
  const boxes: Placed["layers"] = [];
  let top = 0;
  layers.forEach((layer, rank) => {
    const height = layer.reduce((most, node) => Math.max(most, net.height[node]!), 0);
    for (const node of layer) y[node] = top + height / 2;
    boxes.push({ top, bottom: top + height, nodes: layer.filter((node) => node < net.nodes) });
    top += height + (rank + 1 < layers.length ? Math.min(GAP + wide[rank]! * 0.06, GAP_MOST) : 0);
  });
  const gaps: Piece[][] = layers.map(() => []);
  const ends = spread(net, x);
  net.links.forEach((link, i) => {
    const { from, to, edges } = link;
    const rank = net.rank[from]!;
    const isBack = edges.every((edge) => turned[edge]);
    gaps[rank]!.push({
      x0: ends.from[i]!,
      y0: from < net.nodes ? y[from]! + net.height[from]! / 2 : boxes[rank]!.bottom,
      y1: boxes[rank]!.bottom,
      x1: ends.to[i]!,
      y2: boxes[rank + 1]!.top,
      y3: to < net.nodes ? y[to]! - net.height[to]! / 2 : boxes[rank + 1]!.bottom,
      edges,
      starts: isBack && from < net.nodes,
      ends: !isBack && to < net.nodes,
      turned: isBack,
    });
  });
  const lanes: Piece[] = [];
  const width = addLanes(graph, net, x, y, boxes, gaps, lanes, most - least);
  return { x, y, width, height: top, gaps, lanes, layers: boxes };
}

/** Several links at a wide box end side by side, in the order of where they come from. */
function spread(net: Net, x: Float64Array): { from: Float64Array; to: Float64Array } {
  const from = Float64Array.from(net.links, (link) => x[link.from]!);
  const to = Float64Array.from(net.links, (link) => x[link.to]!);
  const at = (key: "from" | "to", ends: Float64Array) => {
    const other = key === "from" ? "to" : "from";
    const byNode = new Map<number, number[]>();
    net.links.forEach((link, i) => {
      if (link[key] < net.nodes && net.width[link[key]]! > 60) {
        const list = byNode.get(link[key]);
        if (list) list.push(i);
        else byNode.set(link[key], [i]);
      }
    });
    for (const [node, list] of byNode) {
      if (list.length < 2) continue;
      list.sort((a, b) => x[net.links[a]![other]]! - x[net.links[b]![other]]!);
      const room = Math.min(net.width[node]! * 0.7, (list.length - 1) * 16);
      list.forEach((i, n) => (ends[i] = x[node]! + room * (n / (list.length - 1) - 0.5)));
    }
  };
  at("to", to);
  return { from, to };
}

/** Long edges of a large graph run at its right side, each in the first lane that is free. */
function addLanes(
  graph: Graph,
  net: Net,
  x: Float64Array,
  y: Float64Array,
  boxes: Placed["layers"],
  gaps: Piece[][],
  lanes: Piece[],
  width: number,
): number {
  const edges = net.lanes.map((number) => ({ number, ...graph.edges[number]! })).filter((e) => e.from !== e.to);
  edges.sort((a, b) => y[a.from]! - y[b.from]!);
  const free: number[] = [];
  for (const { number, from, to } of edges) {
    const [a, b] = y[from]! <= y[to]! ? [from, to] : [to, from];
    let lane = free.findIndex((until) => until < y[a]!);
    if (lane < 0) lane = free.length < 64 ? free.length : free.length - 1;
    free[lane] = y[b]!;
    const side = width + 16 + lane * 8;
    const [upper, lower] = [net.rank[a]!, net.rank[b]!];
    const common = { edges: [number], starts: false, ends: false, turned: false };
    if (upper + 1 >= boxes.length) continue;
    const first = boxes[upper + 1]!;
    const last = boxes[Math.max(lower - 1, upper)]!;
    gaps[upper]!.push({
      ...common,
      x0: x[a]!,
      y0: y[a]! + net.height[a]! / 2,
      y1: boxes[upper]!.bottom,
      x1: side,
      y2: first.top,
      y3: first.top,
    });
    lanes.push({ ...common, x0: side, y0: first.top, y1: first.top, x1: side, y2: last.top, y3: last.top });
    gaps[Math.max(lower - 1, 0)]!.push({
      ...common,
      x0: side,
      y0: last.top,
      y1: last.bottom,
      x1: x[b]!,
      y2: boxes[lower]!.top,
      y3: y[b]! - net.height[b]! / 2,
      ends: true,
    });
  }
  return width + (free.length ? 24 + free.length * 8 : 0);
}
