// The page: joins the model, the picture, the tree, the details, and what the reader does.

import { Details } from "./details.ts";
import { h } from "./dom.ts";
import { BORDER } from "./flow.ts";
import { type Hit, hitAt } from "./hits.ts";
import type { Piece } from "./layout.ts";
import { Minimap } from "./minimap.ts";
import { Kind, type Measure, type Model, read } from "./model.ts";
import { type Look, paint, shortShape } from "./paint.ts";
import { CanvasPainter, ruler } from "./painters.ts";
import { blobOf, canvasOf, type PictureKind, save, stemOf, svgOf, textOf, wholeOf } from "./pictures.ts";
import { type Area, Scene } from "./scene.ts";
import { SearchBox } from "./searchbox.ts";
import { counted, visible } from "./text.ts";
import { Tree } from "./tree.ts";

const LEAST_SCALE = 0.004;
const MOST_SCALE = 4;
const READABLE = 0.6;
const LEAST_FIT = 0.2;
const LEAST_FILLED = 0.01; // of the screen
const MARGIN = 24;
const NEAR = 5; // pixels from an edge
const SYSTEM_IS_DARK = matchMedia("(prefers-color-scheme: dark)");
const THEMES = ["system", "light", "dark"] as const;

const KEYS: [string, string][] = [
  ["/", "search"],
  ["Enter, double click", "open or close the selection"],
  ["+  −", "open, close"],
  ["e  c", "open, close all below the selection"],
  ["↑ ↓", "to what it takes, to what takes it"],
  ["← →", "to its neighbours"],
  ["Esc", "to the box around it"],
  ["f", "fit the whole model"],
  ["z", "fit the selection"],
  ["[  ]", "zoom out, in"],
  ["u  d", "light what is upstream, downstream"],
  ["Shift + click, then p", "light the paths between two"],
  ["k", "show constants, or fold them"],
  ["h", "next heat colour"],
  ["m", "small map"],
  ["t", "light, dark"],
  ["n  b", "next, previous change (of a comparison)"],
  ["?", "this list"],
];

class Page {
  private readonly scene: Scene;
  private readonly canvas = h("canvas", {
    tabindex: 0,
    role: "application",
    "aria-label": "Picture of the model; the tree of modules beside it has the same content",
  });
  private readonly context = this.canvas.getContext("2d")!;
  private readonly minimap: Minimap;
  private readonly tip = h("div", { class: "tip", role: "tooltip", hidden: true });
  private readonly legend = h("div", { class: "legend", hidden: true });
  private readonly status = h("div", { class: "hidden-text", role: "status", "aria-live": "polite" });
  private readonly crumbs = h("nav", { class: "crumbs", "aria-label": "Path" });
  private readonly print = h("div", { class: "print" });
  private readonly help = h("dialog", { "aria-label": "Keys" });
  private readonly heatChoice = h("select", { "aria-label": "Heat colour" }, h("option", { value: "none" }, "no heat"));
  private readonly constants = h(
    "button",
    { "aria-pressed": "false", title: "Show constants as operators (k)" },
    "Constants",
  );
  private readonly tree: Tree;
  private readonly details: Details;
  private readonly search: SearchBox;
  private camera = { x: 0, y: 0, scale: 1 };
  private selected = 0;
  private second = -1;
  private hovered = -1;
  private hoveredPiece: Piece | null = null;
  private lit: Uint8Array | null = null;
  private heat: Measure | undefined;
  private theme: (typeof THEMES)[number] = "system";
  private colours = new Map<string, string>();
  private readonly changes = new Map<number, string>();
  private readonly changeRows: HTMLElement[] = [];
  private change = -1;
  private isDrawn = true;
  private moved = false;

  constructor(private readonly model: Model) {
    const measure = ruler(this.context);
    this.scene = new Scene(model, measure);
    this.tree = new Tree(this.scene, {
      select: (node) => this.select(node, { isShown: true }),
      toggle: (node) => this.toggle(node),
      focusCanvas: () => this.canvas.focus(),
    });
    this.details = new Details(model, (node) => this.go(node));
    this.minimap = new Minimap(this.scene, {
      seen: () => this.seen(),
      look: (area, scale) => this.look(area, scale),
      moveTo: (x, y) => this.centre(x, y),
    });
    this.search = new SearchBox(
      model,
      (node) => this.go(node),
      () => this.canvas.focus(),
    );
    this.heatChoice.append(...model.measures.map(({ name }) => h("option", { value: name }, `heat: ${name}`)));
    for (const change of model.columns.changes ?? []) {
      if (change.node < 0) continue;
      if (!this.changes.has(change.node)) this.changes.set(change.node, change.kind);
      for (let at = model.parent[change.node]!; at > 0; at = model.parent[at]!)
        if (!this.changes.has(at)) this.changes.set(at, "changed");
    }
    this.build();
    this.listen();
    this.tree.update();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.resize();
    this.start();
  }

  // Elements

  private build(): void {
    const button = (text: string, title: string, click: () => void) => h("button", { title, click }, text);
    const bar = h(
      "header",
      { class: "bar" },
      this.crumbs,
      this.search.element,
      button("Fit", "Fit the whole model (f)", () => this.fit(0)),
      button("Open all", "Open all below the selection (e)", () => this.setAll(true)),
      button("Close all", "Close all below the selection (c)", () => this.setAll(false)),
      this.constants,
      this.heatChoice,
      button("SVG", "Save the picture as SVG", () => void this.save("svg")),
      button("PNG", "Save the picture as PNG", () => void this.save("png")),
      button("◐", "Light, dark or as the system (t)", () => this.nextTheme()),
      button("?", "Keys", () => this.help.showModal()),
    );
    const side = h("div", { class: "side" }, this.tree.element);
    const { changes } = this.model.columns;
    if (changes) {
      changes.forEach((change, i) =>
        this.changeRows.push(
          h(
            "div",
            { class: `change ${change.kind}`, role: "option", "aria-selected": "false", click: () => this.step(i) },
            h("div", {}, `${change.kind}: `, h("code", {}, visible(change.name))),
            h(
              "div",
              { class: "faint" },
              visible([change.op_type || change.subject, change.module].filter(Boolean).join(" in ")),
            ),
          ),
        ),
      );
      side.append(
        h(
          "div",
          { class: "changes", role: "listbox", "aria-label": "Changes", tabindex: 0 },
          h("h3", {}, `${counted(changes.length, "difference")} to ${visible(this.model.columns.other ?? "")}`),
          ...this.changeRows,
        ),
      );
    }
    const picture = h("main", { class: "picture" }, this.canvas, this.minimap.element, this.tip, this.legend);
    this.help.append(
      h("h2", {}, "Keys"),
      h("dl", {}, ...KEYS.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
      h("form", { method: "dialog" }, h("button", {}, "Close")),
    );
    this.help.querySelector("form")!.addEventListener("submit", (event) => {
      event.preventDefault();
      this.help.close();
    });
    document.body.append(bar, side, picture, this.details.element, this.status, this.print, this.help);
  }

  private listen(): void {
    const { canvas } = this;
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const unit = event.deltaMode === 1 ? 16 : 1;
        if (event.ctrlKey || event.metaKey)
          this.zoom(Math.exp(-event.deltaY * unit * 0.01), event.offsetX, event.offsetY);
        else this.pan(-event.deltaX * unit, -event.deltaY * unit);
      },
      { passive: false },
    );
    const pointers = new Map<number, PointerEvent>();
    canvas.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, event);
      canvas.setPointerCapture(event.pointerId);
      this.moved = false;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) {
        this.hover(event.offsetX, event.offsetY);
        return;
      }
      if (pointers.size === 2) {
        const other = [...pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId)!;
        const distance = (a: PointerEvent) => Math.hypot(a.offsetX - other.offsetX, a.offsetY - other.offsetY) || 1;
        this.zoom(
          distance(event) / distance(before),
          (event.offsetX + other.offsetX) / 2,
          (event.offsetY + other.offsetY) / 2,
        );
      } else if (this.moved || Math.hypot(event.offsetX - before.offsetX, event.offsetY - before.offsetY) > 3) {
        this.moved = true;
        this.pan(event.offsetX - before.offsetX, event.offsetY - before.offsetY);
      } else return;
      pointers.set(event.pointerId, event);
    });
    const release = (event: PointerEvent) => pointers.delete(event.pointerId);
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => this.unhover());
    canvas.addEventListener("click", (event) => {
      if (this.moved) return;
      const hit = this.hit(event.offsetX, event.offsetY);
      const isTwist = hit.node > 0 && this.isTwist(hit.node, event.offsetX, event.offsetY);
      if (event.shiftKey) this.pair(hit.node);
      else this.select(hit.node);
      if (isTwist && !event.shiftKey) this.toggle(hit.node);
    });
    canvas.addEventListener("dblclick", (event) => {
      const { node } = this.hit(event.offsetX, event.offsetY);
      if (node > 0 && !this.isTwist(node, event.offsetX, event.offsetY)) this.act(node);
    });
    document.addEventListener("keydown", (event) => this.key(event));
    this.constants.addEventListener("click", () => this.foldConstants());
    this.heatChoice.addEventListener("change", () => this.setHeat(this.heatNamed(this.heatChoice.value)));
    SYSTEM_IS_DARK.addEventListener("change", () => this.setTheme());
    addEventListener("hashchange", () => this.follow());
    addEventListener("beforeprint", () => this.print.replaceChildren(this.svgForPaper()));
    addEventListener("afterprint", () => {
      this.print.replaceChildren();
      this.setTheme();
    });
  }

  private start(): void {
    this.setTheme();
    const { start, depth, picture, measures } = this.model.columns;
    this.setHeat(this.heatNamed(measures?.[0]?.name));
    if (depth) this.scene.openTo(start, depth);
    if (location.hash.length > 2) this.follow();
    else if (start || depth) this.go(start, true);
    else {
      this.scene.openSingle();
      this.rearranged();
      this.select(0);
      this.fit(0);
    }
    if (picture) this.handOver(picture, start);
  }

  /** Leaves nothing but the picture, for the program that opened the page. */
  private handOver(kind: PictureKind, node: number): void {
    this.selected = 0;
    const { scene } = this;
    const { width, height } = scene;
    const area = node ? { ...scene.corner(node), width: width[node]!, height: height[node]! } : wholeOf(scene);
    const text =
      kind === "svg"
        ? textOf(this.svg(area))
        : canvasOf(scene, area, (scale) => this.still(area, scale))
            .toDataURL("image/png")
            .split(",")[1]!;
    document.body.replaceChildren(h("pre", { id: "picture" }, text));
  }

  private follow(): void {
    const node = this.model.followed(location.hash);
    if (node !== this.selected) this.go(node, true);
  }

  // Selection

  private select(node: number, { isShown = false } = {}): void {
    this.selected = node;
    this.second = -1;
    this.crumbs.replaceChildren(
      ...this.model
        .around(node)
        .flatMap((at) => {
          const label = at === 0 ? this.model.facts.name || this.model.facts.file || "model" : this.model.shortOf(at);
          return [
            at ? h("span", { "aria-hidden": "true" }, "›") : null,
            h("button", { click: () => this.go(at) }, visible(label)),
          ];
        })
        .filter((part) => part !== null),
    );
    this.details.show(node);
    this.tree.select(node);
    this.status.textContent = `${visible(this.model.labelOf(node))} ${visible(this.model.typeOf(node))}`;
    this.remember(node);
    if (isShown && this.scene.isShown(node)) this.bringIntoView(node);
    this.draw();
  }

  private remember(node: number): void {
    try {
      history.replaceState(null, "", this.model.linkOf(node));
    } catch {
      // A frame in a notebook has no address.
    }
  }

  /** Opens the boxes around a node (and the node, if asked), selects it, and shows it. */
  private go(node: number, isOpened = false): void {
    while (this.scene.flows.isHidden(node)) node = this.model.consumers.of(this.model.outputs.of(node)[0]!)[0]!;
    const wasShown = this.scene.isShown(node);
    this.scene.reveal(node);
    if (isOpened) this.scene.set(node, true);
    this.rearranged();
    this.select(node);
    if (!wasShown || isOpened || node === 0) this.fit(node);
    else this.bringIntoView(node);
  }

  /** What a double click does: opens or closes; goes to the function that an operator calls. */
  private act(node: number): void {
    const called = this.model.called.get(node);
    if (called !== undefined && !this.model.isContainer(node)) this.go(called, true);
    else this.toggle(node);
  }

  private toggle(node: number): void {
    if (!this.model.isContainer(node) || node === 0) return;
    const before = this.onScreen(node);
    this.scene.set(node, !this.scene.isOpen(node));
    this.rearranged();
    this.hold(node, before);
    this.select(this.scene.shownFor(this.selected));
    this.status.textContent = `${visible(this.model.labelOf(node))} ${this.scene.isOpen(node) ? "opened" : "closed"}`;
  }

  private setAll(isOpen: boolean): void {
    const node = this.model.isContainer(this.selected) ? this.selected : this.model.parent[this.selected]!;
    this.scene.setAll(node, isOpen);
    this.rearranged();
    this.select(node);
    this.fit(node);
  }

  /** Keeps the middle of the upper side of a node where it is on the screen. */
  private hold(node: number, before: { x: number; y: number }): void {
    const after = this.onScreen(node);
    this.pan(before.x - after.x, before.y - after.y);
  }

  private onScreen(node: number): { x: number; y: number } {
    const { x, y } = this.scene.corner(node);
    return {
      x: (x + this.scene.width[node]! / 2) * this.camera.scale + this.camera.x,
      y: y * this.camera.scale + this.camera.y,
    };
  }

  private rearranged(): void {
    this.scene.arrange();
    this.tree.update();
    this.minimap.forget();
    this.hovered = -1;
    this.hoveredPiece = null;
    this.draw();
  }

  private foldConstants(): void {
    const isFolded = !this.scene.flows.folds;
    this.scene.fold(isFolded);
    this.constants.setAttribute("aria-pressed", String(!isFolded));
    this.rearranged();
    this.select(
      isFolded && this.scene.flows.isHidden(this.selected) ? this.model.parent[this.selected]! : this.selected,
    );
  }

  private heatNamed(name: string | undefined): Measure | undefined {
    return this.model.measures.find((measure) => measure.name === name);
  }

  private setHeat(heat: Measure | undefined): void {
    this.heat = heat;
    this.heatChoice.value = heat?.name ?? "none";
    this.legend.hidden = !heat;
    this.legend.textContent = heat ? `blue to red: ${heat.legend}` : "";
    this.minimap.forget();
    this.draw();
  }

  private pair(node: number): void {
    this.second = node === this.selected ? -1 : node;
    this.status.textContent =
      this.second < 0 ? "" : `${visible(this.model.labelOf(node))} is the second; p lights the paths`;
    this.draw();
  }

  /** Lights what is reached from the selection, one way or the other; or what lies between two nodes. */
  private light(way: "up" | "down" | "between" | "none"): void {
    const { flows } = this.scene;
    const { model } = this;
    if (way === "none" || (way === "between" && this.second < 0)) this.lit = null;
    else if (way === "between") {
      const between = (from: number, to: number) => {
        const after = flows.reach([from], true);
        const before = flows.reach([to], false);
        return after.map((is, i) => (is && before[i] ? 1 : 0));
      };
      const [there, back] = [between(this.selected, this.second), between(this.second, this.selected)];
      this.lit = there.some(Boolean) ? there : back;
    } else this.lit = flows.reach([this.selected], way === "down");
    if (this.lit) {
      let count = 0;
      for (let i = model.count - 1; i > 0; i--) {
        if (!this.lit[i]) continue;
        if (model.kind[i] === Kind.Operator) count++;
        this.lit[model.parent[i]!] = 1;
      }
      this.status.textContent = `${counted(count, "operator")} lit`;
    }
    this.draw();
  }

  private step(index: number): void {
    const { changes } = this.model.columns;
    if (!changes?.length) return;
    this.change = (index + changes.length) % changes.length;
    this.changeRows.forEach((row, i) => row.setAttribute("aria-selected", String(i === this.change)));
    this.changeRows[this.change]!.scrollIntoView({ block: "nearest" });
    const { node } = changes[this.change]!;
    if (node >= 0) this.go(node);
  }

  // Keys

  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || this.help.open) return;
    if (target instanceof HTMLInputElement || target instanceof HTMLSelectElement) return;
    if (target instanceof HTMLButtonElement || target instanceof HTMLAnchorElement)
      if (event.key === "Enter" || event.key === " ") return;
    const node = this.selected;
    const actions: Record<string, () => void> = {
      "/": () => this.search.input.focus(),
      Enter: () => this.act(node),
      " ": () => this.act(node),
      "+": () => {
        if (!this.scene.isOpen(node)) this.toggle(node);
      },
      "=": () => {
        if (!this.scene.isOpen(node)) this.toggle(node);
      },
      "-": () => {
        if (this.scene.isOpen(node)) this.toggle(node);
      },
      e: () => this.setAll(true),
      c: () => this.setAll(false),
      f: () => this.fit(0),
      z: () => this.fit(node),
      "[": () => this.zoom(0.8),
      "]": () => this.zoom(1.25),
      u: () => this.light("up"),
      d: () => this.light("down"),
      p: () => this.light("between"),
      k: () => this.foldConstants(),
      m: () => {
        this.minimap.element.hidden = !this.minimap.element.hidden;
        this.draw();
      },
      t: () => this.nextTheme(),
      h: () => this.setHeat(this.model.measures[this.heat ? this.model.measures.indexOf(this.heat) + 1 : 0]),
      n: () => this.step(this.change + 1),
      b: () => this.step(this.change - 1),
      "?": () => this.help.showModal(),
      Escape: () => {
        if (this.lit) this.light("none");
        else this.select(Math.max(0, this.model.parent[node]!), { isShown: true });
      },
      ArrowDown: () => this.neighbour(true),
      ArrowUp: () => this.neighbour(false),
      ArrowRight: () => this.beside(1),
      ArrowLeft: () => this.beside(-1),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** Along an edge: to the nearest node that is drawn. */
  private neighbour(isDown: boolean): void {
    const layout = this.scene.layoutOf(this.model.parent[this.selected]!);
    if (this.selected === 0 || !layout) {
      const first = this.scene.layoutOf(0)?.layers[0]?.nodes[0];
      if (first !== undefined) this.select(first, { isShown: true });
      return;
    }
    const ends = layout.ties
      .filter((tie) => (isDown ? tie.from : tie.to) === this.selected)
      .map((tie) => (isDown ? tie.to : tie.from))
      .filter((end) => end !== BORDER);
    const { x } = this.scene.corner(this.selected);
    const nearest = ends.sort((a, b) => Math.abs(this.scene.corner(a).x - x) - Math.abs(this.scene.corner(b).x - x))[0];
    const beyond = layout.layers.findIndex((layer) => layer.nodes.includes(this.selected)) + (isDown ? 1 : -1);
    const next = nearest ?? layout.layers[beyond]?.nodes[0];
    if (next !== undefined) this.select(next, { isShown: true });
    else if (this.model.parent[this.selected]! >= 0) this.select(this.model.parent[this.selected]!, { isShown: true });
  }

  private beside(step: number): void {
    const layout = this.scene.layoutOf(this.model.parent[this.selected]!);
    if (!layout) return;
    const all = layout.layers.flatMap((layer) => [...layer.nodes].sort((a, b) => this.scene.x[a]! - this.scene.x[b]!));
    const next = all[all.indexOf(this.selected) + step];
    if (next !== undefined) this.select(next, { isShown: true });
  }

  // Camera

  private get size(): { width: number; height: number } {
    return { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
  }

  private resize(): void {
    const { width, height } = this.size;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.recolour();
    this.drawNow(); // at once: a canvas that has another size is empty
    this.tree.draw();
  }

  /** Shows all of a node; where it would be too small to be read, its upper end, unless hardly anything is there. */
  private fit(node: number): void {
    const { x, y } = this.scene.corner(node);
    const [w, tall] = [this.scene.width[node]!, this.scene.height[node]!];
    const { width, height } = this.size;
    const whole = Math.min((width - 2 * MARGIN) / w, (height - 2 * MARGIN) / tall);
    const scale = Math.min(1.4, Math.max(whole, Math.min(READABLE, Math.max(LEAST_FIT, (width - 2 * MARGIN) / w))));
    const isWhole = tall * scale <= height - MARGIN;
    this.camera = {
      scale,
      x: width / 2 - (w * scale > width ? this.beginning(node) : x + w / 2) * scale,
      y: isWhole ? height / 2 - (y + tall / 2) * scale : MARGIN - y * scale,
    };
    if (scale > whole && this.scene.filled(node, this.seen()) < LEAST_FILLED) {
      const small = Math.max(whole, LEAST_SCALE);
      this.camera = { scale: small, x: width / 2 - (x + w / 2) * small, y: height / 2 - (y + tall / 2) * small };
    }
    this.draw();
  }

  /** The middle of what stands uppermost in a box. */
  private beginning(node: number): number {
    const { x } = this.scene.corner(node);
    const first = this.scene.layoutOf(node)?.layers.find((layer) => layer.nodes.length)?.nodes ?? [];
    const middle = first[first.length >> 1];
    return x + (middle === undefined ? 0 : this.scene.x[middle]! + this.scene.width[middle]! / 2);
  }

  private bringIntoView(node: number): void {
    const { scale } = this.camera;
    const { x, y } = this.scene.corner(node);
    const { width, height } = this.size;
    const left = x * scale + this.camera.x;
    const top = y * scale + this.camera.y;
    const [w, tall] = [this.scene.width[node]! * scale, this.scene.height[node]! * scale];
    const isSeen =
      left >= 0 && top >= 0 && left + Math.min(w, width) <= width + 1 && top + Math.min(tall, height) <= height + 1;
    if (isSeen && scale > 0.2) return;
    if (scale < 0.2 || w > width || tall > height) this.fit(node);
    else this.pan(width / 2 - left - w / 2, height / 2 - top - tall / 2);
  }

  private pan(dx: number, dy: number): void {
    this.camera.x += dx;
    this.camera.y += dy;
    this.keepInSight();
    this.unhover();
    this.draw();
  }

  /** Some of the picture stays on the screen. */
  private keepInSight(): void {
    const { width, height } = this.size;
    const { scale } = this.camera;
    const least = 60;
    this.camera.x = Math.min(width - least, Math.max(least - this.scene.width[0]! * scale, this.camera.x));
    this.camera.y = Math.min(height - least, Math.max(least - this.scene.height[0]! * scale, this.camera.y));
  }

  private zoom(factor: number, x = this.size.width / 2, y = this.size.height / 2): void {
    const before = this.camera.scale;
    const scale = Math.min(MOST_SCALE, Math.max(LEAST_SCALE, before * factor));
    this.camera = {
      scale,
      x: x - ((x - this.camera.x) * scale) / before,
      y: y - ((y - this.camera.y) * scale) / before,
    };
    this.keepInSight();
    this.draw();
  }

  /** Brings a place of the picture to the middle of the screen. */
  private centre(x: number, y: number): void {
    const { scale } = this.camera;
    this.camera = { scale, x: this.size.width / 2 - x * scale, y: this.size.height / 2 - y * scale };
    this.keepInSight();
    this.draw();
  }

  private seen(): Area {
    const { x, y, scale } = this.camera;
    const { width, height } = this.size;
    return { x: -x / scale, y: -y / scale, width: width / scale, height: height / scale };
  }

  // Pointer

  /** The innermost node at a place of the screen, or the edge there. */
  private hit(screenX: number, screenY: number): Hit {
    const { x, y, scale } = this.camera;
    return hitAt(this.scene, (screenX - x) / scale, (screenY - y) / scale, NEAR / scale);
  }

  private isTwist(node: number, x: number, y: number): boolean {
    const corner = this.scene.corner(node);
    const [dx, dy] = [
      (x - this.camera.x) / this.camera.scale - corner.x,
      (y - this.camera.y) / this.camera.scale - corner.y,
    ];
    return this.model.isContainer(node) && dx >= 0 && dx < 22 && dy >= 0 && dy < 22;
  }

  private hover(x: number, y: number): void {
    const { node, piece } = this.hit(x, y);
    if (node === this.hovered && piece === this.hoveredPiece) return;
    this.hovered = node;
    this.hoveredPiece = piece;
    this.canvas.classList.toggle("on", node > 0 || piece !== null);
    const lines = piece
      ? this.describeEdge(node, piece)
      : node > 0
        ? [visible(this.model.labelOf(node)), visible(this.model.typeOf(node))]
        : [];
    this.tip.replaceChildren(...lines.filter(Boolean).map((line) => h("div", {}, line)));
    this.tip.hidden = lines.length === 0;
    const { width, height } = this.size;
    this.tip.style.left = `${Math.min(x + 14, Math.max(0, width - 300))}px`;
    this.tip.style.top = y > height - 140 ? "auto" : `${y + 16}px`;
    this.tip.style.bottom = y > height - 140 ? `${height - y + 10}px` : "auto";
    this.draw();
  }

  private describeEdge(box: number, piece: Piece): string[] {
    const { ties } = this.scene.layoutOf(box)!;
    const tensors = [...new Set(piece.edges.flatMap((edge) => ties[edge]!.tensors))];
    const lines = tensors
      .slice(0, 8)
      .map((tensor) =>
        visible(`${this.model.tensorNameOf(tensor)}: ${this.model.tensorTypeOf(tensor) || "type unknown"}`),
      );
    if (tensors.length > 8) lines.push(`and ${tensors.length - 8} more`);
    return tensors.length > 1 ? [counted(tensors.length, "tensor"), ...lines] : lines;
  }

  private unhover(): void {
    this.tip.hidden = true;
    if (this.hovered < 0 && !this.hoveredPiece) return;
    this.hovered = -1;
    this.hoveredPiece = null;
    this.draw();
  }

  // Picture

  private look(area: Area, scale: number): Look {
    return {
      colours: (name) => {
        let colour = this.colours.get(name);
        if (colour === undefined)
          this.colours.set(
            name,
            (colour = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()),
          );
        return colour;
      },
      heat: this.heat,
      selected: new Set(this.second >= 0 ? [this.selected, this.second] : this.selected ? [this.selected] : []),
      hovered: this.hovered,
      hoveredPiece: this.hoveredPiece,
      lit: this.lit,
      changes: this.changes,
      scale,
      seen: area,
      shapeOf: (tensor) => shortShape(this.model.tensorTypeOf(tensor)),
    };
  }

  private nextTheme(): void {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length]!;
    this.setTheme();
  }

  private setTheme(): void {
    const system = SYSTEM_IS_DARK.matches ? "dark" : "light";
    document.documentElement.dataset["theme"] = this.theme === "system" ? system : this.theme;
    this.recolour();
  }

  private recolour(): void {
    this.colours.clear();
    this.minimap.forget();
    this.draw();
  }

  private draw(): void {
    if (!this.isDrawn) return;
    this.isDrawn = false;
    requestAnimationFrame(() => {
      this.isDrawn = true;
      this.drawNow();
    });
  }

  private drawNow(): void {
    const { context, camera } = this;
    const ratio = devicePixelRatio || 1;
    const seen = this.seen();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.globalAlpha = 1;
    const look = this.look(seen, camera.scale);
    context.fillStyle = look.colours("background");
    context.fillRect(0, 0, this.size.width, this.size.height);
    context.setTransform(ratio * camera.scale, 0, 0, ratio * camera.scale, ratio * camera.x, ratio * camera.y);
    paint(this.scene, new CanvasPainter(context), look);
    this.minimap.draw();
    document.documentElement.dataset["drawn"] ??= String(Math.round(performance.now())); // ms, for measurements
  }

  /** How a picture looks while nobody points at it. */
  private still(area: Area, scale: number): Look {
    return { ...this.look(area, scale), hovered: -1, hoveredPiece: null };
  }

  private async save(kind: PictureKind): Promise<void> {
    const area = wholeOf(this.scene);
    const { facts } = this.model;
    const blob = await blobOf(this.scene, area, (scale) => this.still(area, scale), kind);
    save(blob, `${stemOf(facts.file || facts.name)}.${kind}`);
  }

  /** In light colours, as paper is white. */
  private svgForPaper(): SVGSVGElement {
    document.documentElement.dataset["theme"] = "light";
    this.colours.clear();
    return this.svg();
  }

  private svg(area = wholeOf(this.scene)): SVGSVGElement {
    return svgOf(this.scene, area, this.still(area, 1));
  }
}

function fail(error: unknown): void {
  document.body.append(
    h(
      "p",
      { class: "message", role: "alert" },
      `This page cannot show its model: ${error instanceof Error ? error.message : String(error)}`,
    ),
  );
}

read(document.getElementById("data")!)
  .then((model) => {
    (globalThis as { g2o?: Page }).g2o = new Page(model); // for tests, and for whoever opens the console
  })
  .catch(fail);
