// The picture as a file: SVG, or PNG.

import { h } from "./dom.ts";
import { type Look, paint } from "./paint.ts";
import { CanvasPainter, SvgPainter } from "./painters.ts";
import type { Area, Scene } from "./scene.ts";

export type PictureKind = "svg" | "png";

const MARGIN = 24;
const MOST = 8192; // pixels of a side
const KEPT = 10_000; // ms for which the browser may still read what it saves

export function wholeOf(scene: Scene): Area {
  return { x: -MARGIN, y: -MARGIN, width: scene.width[0]! + 2 * MARGIN, height: scene.height[0]! + 2 * MARGIN };
}

export function svgOf(scene: Scene, area: Area, look: Look): SVGSVGElement {
  const painter = new SvgPainter(area, look.colours("background"));
  paint(scene, painter, look);
  return painter.root;
}

export function textOf(svg: SVGSVGElement): string {
  return new XMLSerializer().serializeToString(svg);
}

/** The picture in twice its size, or as large as a browser draws. */
export function canvasOf(scene: Scene, area: Area, look: (scale: number) => Look): HTMLCanvasElement {
  const scale = Math.min(2, MOST / Math.max(area.width, area.height));
  const canvas = h("canvas", { width: Math.ceil(area.width * scale), height: Math.ceil(area.height * scale) });
  const context = canvas.getContext("2d")!;
  const still = look(scale);
  context.fillStyle = still.colours("background");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.setTransform(scale, 0, 0, scale, -area.x * scale, -area.y * scale);
  paint(scene, new CanvasPainter(context), still);
  return canvas;
}

export async function blobOf(
  scene: Scene,
  area: Area,
  look: (scale: number) => Look,
  kind: PictureKind,
): Promise<Blob> {
  if (kind === "svg") return new Blob([textOf(svgOf(scene, area, look(1)))], { type: "image/svg+xml" });
  const canvas = canvasOf(scene, area, look);
  return new Promise((done, fail) =>
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("the picture is too large"))), "image/png"),
  );
}

/** A name for a file, from that of a model. */
export function stemOf(name: string): string {
  return (name || "model").replace(/\.(onnx|graphml)$/, "").replace(/[^\w.-]+/g, "_");
}

export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT);
}
