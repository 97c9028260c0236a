// What is at a place of the picture.

import type { Piece } from "./layout.ts";
import { piecesIn } from "./paint.ts";
import type { Scene } from "./scene.ts";

/** The innermost node, and the piece of an edge where there is one. */
export interface Hit {
  node: number;
  piece: Piece | null;
}

const STEPS = 24; // straight lines that stand for a curve

/**
 * @param x and y are a place of the picture.
 * @param near is how far from an edge a place still counts as on it.
 */
export function hitAt(scene: Scene, x: number, y: number, near: number): Hit {
  let box = 0;
  for (;;) {
    const layout = scene.layoutOf(box);
    if (!layout) return { node: box, piece: null };
    const layer = layout.layers.find((l) => y >= l.top && y <= l.bottom && l.nodes.some(isAt));
    const child = layer?.nodes.find(isAt);
    if (child === undefined) return { node: box, piece: pieceAt(scene, box, x, y, near) };
    if (!scene.isOpen(child)) return { node: child, piece: null };
    x -= scene.x[child]!;
    y -= scene.y[child]!;
    box = child;
  }

  function isAt(node: number): boolean {
    const [left, top] = [scene.x[node]!, scene.y[node]!];
    return x >= left && x <= left + scene.width[node]! && y >= top && y <= top + scene.height[node]!;
  }
}

function pieceAt(scene: Scene, box: number, x: number, y: number, near: number): Piece | null {
  const around = { x: x - near, y: y - near, width: 2 * near, height: 2 * near };
  let best: Piece | null = null;
  let least = near;
  for (const piece of piecesIn(scene.layoutOf(box)!, around)) {
    if (y < piece.y0 - near || y > piece.y3 + near) continue;
    const distance = distanceTo(piece, x, y);
    if (distance < least) [best, least] = [piece, distance];
  }
  return best;
}

/** How far a place is from a piece of an edge. */
function distanceTo({ x0, y0, y1, x1, y2, y3 }: Piece, x: number, y: number): number {
  if (y <= y1 && y >= y0) return Math.abs(x - x0);
  if (y >= y2 && y <= y3) return Math.abs(x - x1);
  let least = Infinity;
  let [px, py] = [x0, y1];
  for (let i = 1; i <= STEPS; i++) {
    const t = i / STEPS;
    const nx = x0 + (x1 - x0) * (3 * t * t - 2 * t * t * t);
    const ny = y1 + (y2 - y1) * (1.5 * t * (1 - t) + t * t * t);
    const [dx, dy] = [nx - px, ny - py];
    const along = Math.max(0, Math.min(1, ((x - px) * dx + (y - py) * dy) / (dx * dx + dy * dy || 1)));
    least = Math.min(least, Math.hypot(px + along * dx - x, py + along * dy - y));
    [px, py] = [nx, ny];
  }
  return least;
}
