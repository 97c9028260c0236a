// The small map: the whole model, and where in it the screen is.

import { h } from "./dom.ts";
import { type Look, paint } from "./paint.ts";
import { CanvasPainter } from "./painters.ts";
import type { Area, Scene } from "./scene.ts";

const WIDTH = 180;
const HEIGHT = 130;
const LEAST = 12;
const PAUSE = 120; // ms between two drawings while the picture moves

export interface MapActions {
  seen(): Area;
  look(area: Area, scale: number): Look;
  /** Brings a place of the picture to the middle of the screen. */
  moveTo(x: number, y: number): void;
}

export class Minimap {
  readonly element = h("canvas", {
    class: "minimap",
    "aria-hidden": "true",
    width: WIDTH,
    height: HEIGHT,
    pointerdown: (event) => this.move(event as PointerEvent),
    pointermove: (event) => {
      if ((event as PointerEvent).buttons) this.move(event as PointerEvent);
    },
  });
  /** The map without the screen in it, which is drawn anew only when the picture changes. */
  private readonly whole = h("canvas");
  private scale = 1;
  private isOld = true;
  private timer = 0;

  constructor(
    private readonly scene: Scene,
    private readonly actions: MapActions,
  ) {}

  /** The picture has changed. */
  forget(): void {
    this.isOld = true;
  }

  draw(): void {
    if (this.element.hidden || this.timer) return;
    if (this.isOld) this.drawNow();
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      this.drawNow();
    }, PAUSE);
  }

  private drawNow(): void {
    const { element, whole } = this;
    const area = { x: 0, y: 0, width: this.scene.width[0]!, height: this.scene.height[0]! };
    if (this.isOld) {
      this.isOld = false;
      this.scale = Math.min(WIDTH / area.width, HEIGHT / area.height);
      whole.width = element.width = Math.max(LEAST, Math.round(area.width * this.scale));
      whole.height = element.height = Math.max(LEAST, Math.round(area.height * this.scale));
      const context = whole.getContext("2d")!;
      context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
      const look = {
        ...this.actions.look(area, this.scale),
        selected: new Set<number>(),
        hovered: -1,
        hoveredPiece: null,
      };
      paint(this.scene, new CanvasPainter(context), look);
    }
    const seen = this.actions.seen();
    const isAllSeen =
      seen.x <= 0 && seen.y <= 0 && seen.x + seen.width >= area.width && seen.y + seen.height >= area.height;
    element.style.visibility = isAllSeen ? "hidden" : "visible"; // it would only cover the picture
    const context = element.getContext("2d")!;
    context.clearRect(0, 0, element.width, element.height);
    context.drawImage(whole, 0, 0);
    context.strokeStyle = this.actions.look(seen, 1).colours("accent");
    context.lineWidth = 1.5;
    context.strokeRect(seen.x * this.scale, seen.y * this.scale, seen.width * this.scale, seen.height * this.scale);
  }

  private move(event: PointerEvent): void {
    this.actions.moveTo(event.offsetX / this.scale, event.offsetY / this.scale);
  }
}
