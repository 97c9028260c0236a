// The model as a tree of text beside the picture, for the keyboard and for screen readers; it shows what is open there.

import { h } from "./dom.ts";
import { Kind } from "./model.ts";
import type { Scene } from "./scene.ts";
import { visible } from "./text.ts";

const ROW = 24; // pixels, as in style.css
const MARGIN = 8; // rows beyond what is seen

export interface TreeActions {
  select(node: number): void;
  toggle(node: number): void;
  focusCanvas(): void;
}

interface Row {
  node: number;
  level: number;
  size: number;
  position: number;
}

export class Tree {
  readonly element: HTMLElement;
  private readonly list: HTMLElement;
  private rows: Row[] = [];
  private index = new Map<number, number>();
  private selected = 0;

  constructor(
    private readonly scene: Scene,
    private readonly actions: TreeActions,
  ) {
    this.list = h("div", { class: "rows", role: "presentation" });
    this.element = h(
      "div",
      {
        class: "tree",
        role: "tree",
        "aria-label": "Modules",
        tabindex: 0,
        scroll: () => this.draw(),
        keydown: (event) => this.key(event as KeyboardEvent),
      },
      this.list,
    );
  }

  /** Reads anew what is open. */
  update(): void {
    const { model } = this.scene;
    this.rows = [];
    const walk = [{ node: 0, level: 1, size: 1, position: 1 }];
    while (walk.length) {
      const row = walk.pop()!;
      this.rows.push(row);
      if (!this.scene.isOpen(row.node)) continue;
      const children = [...model.children.of(row.node)].filter((child) => !this.scene.flows.isHidden(child));
      for (let i = children.length - 1; i >= 0; i--)
        walk.push({ node: children[i]!, level: row.level + 1, size: children.length, position: i + 1 });
    }
    this.index = new Map(this.rows.map((row, i) => [row.node, i]));
    this.list.style.height = `${this.rows.length * ROW}px`;
    this.draw();
  }

  select(node: number): void {
    this.selected = node;
    const at = this.index.get(node);
    if (at !== undefined) {
      const { scrollTop, clientHeight } = this.element;
      if (at * ROW < scrollTop || (at + 1) * ROW > scrollTop + clientHeight)
        this.element.scrollTop = Math.max(0, at * ROW - clientHeight / 2);
    }
    this.draw();
  }

  /** Only the rows that are seen are elements. */
  draw(): void {
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW) - MARGIN);
    const last = Math.min(
      this.rows.length,
      Math.ceil((this.element.scrollTop + this.element.clientHeight) / ROW) + MARGIN,
    );
    const shown = this.rows.slice(first, last).map((row, i) => this.row(row, first + i));
    this.list.replaceChildren(...shown);
    const active = `row-${this.selected}`;
    if (shown.some((element) => element.id === active)) this.element.setAttribute("aria-activedescendant", active);
    else this.element.removeAttribute("aria-activedescendant");
  }

  private row({ node, level, size, position }: Row, at: number): HTMLElement {
    const { model } = this.scene;
    const isBox = model.isContainer(node);
    const isOpen = this.scene.isOpen(node);
    const kind = model.kind[node]!;
    const type =
      kind === Kind.Operator || kind === Kind.Module || kind === Kind.Repeat
        ? model.typeOf(node)
        : Kind[kind]!.toLowerCase();
    const name = node === 0 ? model.facts.name || "model" : model.nameOf(node) ? model.shortOf(node) : "";
    const label = visible(name) || type;
    const element = h(
      "div",
      {
        class: "row",
        role: "treeitem",
        id: `row-${node}`,
        "aria-level": level,
        "aria-setsize": size,
        "aria-posinset": position,
        "aria-selected": node === this.selected ? "true" : "false",
        "aria-expanded": isBox ? String(isOpen) : undefined,
        title: visible(model.labelOf(node)),
        click: () => this.actions.select(node),
        dblclick: () => this.actions.toggle(node),
      },
      h(
        "span",
        {
          class: "twist",
          "aria-hidden": "true",
          click: (event) => {
            event.stopPropagation();
            this.actions.toggle(node);
          },
        },
        isBox ? (isOpen ? "▾" : "▸") : "",
      ),
      h("span", { class: "name" }, label),
      type && type !== label && h("span", { class: "type" }, visible(type)),
    );
    element.style.top = `${at * ROW}px`;
    element.style.paddingInlineStart = `${(level - 1) * 12 + 4}px`;
    return element;
  }

  private key(event: KeyboardEvent): void {
    const at = this.index.get(this.selected) ?? 0;
    const { model } = this.scene;
    const go = (row: number) => this.actions.select(this.rows[Math.max(0, Math.min(this.rows.length - 1, row))]!.node);
    switch (event.key) {
      case "ArrowDown":
        go(at + 1);
        break;
      case "ArrowUp":
        go(at - 1);
        break;
      case "Home":
        go(0);
        break;
      case "End":
        go(this.rows.length - 1);
        break;
      case "PageDown":
        go(at + 15);
        break;
      case "PageUp":
        go(at - 15);
        break;
      case "ArrowRight":
        if (model.isContainer(this.selected) && !this.scene.isOpen(this.selected)) this.actions.toggle(this.selected);
        else go(at + 1);
        break;
      case "ArrowLeft":
        if (this.selected !== 0 && this.scene.isOpen(this.selected)) this.actions.toggle(this.selected);
        else if (this.selected !== 0) this.actions.select(model.parent[this.selected]!);
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}
