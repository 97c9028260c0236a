// The two things that a scene is drawn with.

import type { Piece } from "./layout.ts";
import type { Painter, Style, TextStyle } from "./paint.ts";
import type { Area } from "./scene.ts";

const AROUND = 3; // pixels
const FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";

export function font(size: number, bold: boolean): string {
  return `${bold ? "600 " : ""}${size}px ${FONT}`;
}

/** Measures text character by character: there are few of them, and many names. Kerning is a pixel or two. */
export function ruler(context: CanvasRenderingContext2D): (text: string, size: number, bold: boolean) => number {
  const fonts = new Map<string, Map<string, number>>();
  return (text, size, bold) => {
    const key = font(size, bold);
    let widths = fonts.get(key);
    if (!widths) fonts.set(key, (widths = new Map()));
    let total = 0;
    for (const character of text) {
      let width = widths.get(character);
      if (width === undefined) {
        context.font = key;
        widths.set(character, (width = context.measureText(character).width));
      }
      total += width;
    }
    return total;
  };
}

export class CanvasPainter implements Painter {
  constructor(private readonly context: CanvasRenderingContext2D) {}

  box({ x, y, width, height }: Area, radius: number, style: Style): void {
    const { context } = this;
    this.use(style);
    if (!radius && style.fill && !style.stroke) {
      context.fillRect(x, y, width, height);
      return;
    }
    context.beginPath();
    context.roundRect(x, y, width, height, radius);
    this.finish(style);
  }

  curve({ x0, y0, y1, x1, y2, y3 }: Piece, style: Style): void {
    const { context } = this;
    this.use(style);
    const bend = (y2 - y1) / 2;
    context.beginPath();
    context.moveTo(x0, y0);
    if (y1 !== y0) context.lineTo(x0, y1);
    if (x0 === x1) context.lineTo(x1, y2);
    else context.bezierCurveTo(x0, y1 + bend, x1, y2 - bend, x1, y2);
    if (y3 !== y2) context.lineTo(x1, y3);
    context.stroke();
  }

  lines(pieces: Piece[], style: Style): void {
    const { context } = this;
    this.use(style);
    context.beginPath();
    for (const { x0, y0, y1, x1, y2, y3 } of pieces) {
      context.moveTo(x0, y0);
      if (x0 !== x1) {
        context.lineTo(x0, y1);
        context.lineTo(x1, y2);
      }
      context.lineTo(x1, y3);
    }
    context.stroke();
  }

  arrow(x: number, y: number, isUp: boolean, size: number, color: string, alpha: number): void {
    const { context } = this;
    this.use({ fill: color, alpha });
    const back = isUp ? size * 1.6 : -size * 1.6;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x - size, y + back);
    context.lineTo(x + size, y + back);
    context.fill();
  }

  text(text: string, x: number, y: number, { size, color, bold, centred, alpha, around }: TextStyle): void {
    const { context } = this;
    this.use({ fill: color, stroke: around, width: AROUND, alpha });
    context.font = font(size, bold ?? false);
    context.textAlign = centred ? "center" : "start";
    context.direction = "ltr";
    context.lineJoin = "round";
    if (around) context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }

  clip<T>(dx: number, dy: number, inner: () => T): T {
    this.context.translate(dx, dy);
    const result = inner();
    this.context.translate(-dx, -dy);
    return result;
  }

  private use({ fill, stroke, width, alpha }: Style): void {
    const { context } = this;
    context.globalAlpha = alpha ?? 1;
    if (fill) context.fillStyle = fill;
    if (stroke) context.strokeStyle = stroke;
    if (width) context.lineWidth = width;
  }

  private finish({ fill, stroke }: Style): void {
    if (fill) this.context.fill();
    if (stroke) this.context.stroke();
  }
}

const SVG = "http://www.w3.org/2000/svg";
const NOT_XML =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Builds an SVG document element by element, so that every name stays text. */
export class SvgPainter implements Painter {
  readonly root: SVGSVGElement;
  private group: Element;

  constructor(area: Area, background: string) {
    this.root = document.createElementNS(SVG, "svg");
    this.root.setAttribute("xmlns", SVG);
    this.root.setAttribute("viewBox", `${area.x} ${area.y} ${area.width} ${area.height}`);
    this.root.setAttribute("width", String(Math.ceil(area.width)));
    this.root.setAttribute("height", String(Math.ceil(area.height)));
    this.root.setAttribute("font-family", FONT);
    this.group = this.root;
    this.box(area, 0, { fill: background });
  }

  box({ x, y, width, height }: Area, radius: number, style: Style): void {
    this.add("rect", {
      x: short(x),
      y: short(y),
      width: short(width),
      height: short(height),
      ...(radius ? { rx: short(radius) } : {}),
      ...look(style),
    });
  }

  curve({ x0, y0, y1, x1, y2, y3 }: Piece, style: Style): void {
    const bend = (y2 - y1) / 2;
    const points = [x0, y0, y1, x0, y1 + bend, x1, y2 - bend, x1, y2, y3].map(short);
    const [a, b, c, d, e, f, g, h, i, j] = points;
    this.add("path", { d: `M${a} ${b}V${c}C${d} ${e} ${f} ${g} ${h} ${i}V${j}`, ...look(style) });
  }

  lines(pieces: Piece[], style: Style): void {
    for (const piece of pieces) this.curve(piece, style);
  }

  arrow(x: number, y: number, isUp: boolean, size: number, color: string, alpha: number): void {
    const back = isUp ? size * 1.6 : -size * 1.6;
    this.add("path", {
      d: `M${short(x)} ${short(y)}l${short(-size)} ${short(back)}h${short(2 * size)}z`,
      ...look({ fill: color, alpha }),
    });
  }

  text(text: string, x: number, y: number, { size, color, bold, centred, alpha, around }: TextStyle): void {
    const attributes = {
      x: short(x),
      y: short(y),
      "font-size": String(size),
      "text-anchor": centred ? "middle" : "start",
      ...(bold ? { "font-weight": "600" } : {}),
      ...(around ? { "paint-order": "stroke", "stroke-linejoin": "round" } : {}),
    };
    const style = { fill: color, stroke: around, width: AROUND, alpha };
    this.add("text", { ...attributes, ...look(style) }).textContent = text.replace(NOT_XML, "\ufffd");
  }

  clip<T>(dx: number, dy: number, inner: () => T): T {
    const outer = this.group;
    this.group = this.add("g", { transform: `translate(${short(dx)} ${short(dy)})` });
    const result = inner();
    this.group = outer;
    return result;
  }

  private add(name: string, attributes: Record<string, string>): Element {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    this.group.append(element);
    return element;
  }
}

function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function look({ fill, stroke, width, alpha }: Style): Record<string, string> {
  return {
    fill: fill ?? "none",
    ...(stroke ? { stroke, "stroke-width": String(width ?? 1) } : {}),
    ...(alpha !== undefined && alpha < 1 ? { opacity: String(alpha) } : {}),
  };
}
