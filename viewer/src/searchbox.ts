// The field of the search and the list of what it found.

import { h } from "./dom.ts";
import type { Model } from "./model.ts";
import { type Hit, Search } from "./search.ts";
import { grouped, visible } from "./text.ts";

const MOST_ROWS = 60;
const LEAVING = 150; // ms for which the list stays when the field is left, so that a click reaches it

export class SearchBox {
  readonly input = h("input", {
    type: "search",
    placeholder: "Search ( / )",
    "aria-label": "Search names, types, tensors, parameters, attributes",
    role: "combobox",
    "aria-expanded": "false",
    "aria-controls": "hits",
    spellcheck: "false",
    input: () => this.find(),
    focus: () => this.find(),
    blur: () =>
      setTimeout(() => {
        if (document.activeElement !== this.input) this.show([], "");
      }, LEAVING),
    keydown: (event) => this.key(event as KeyboardEvent),
  });
  private readonly list = h("div", { class: "hits", id: "hits", role: "listbox", "aria-label": "Results" });
  readonly element = h("div", { class: "find" }, this.input, this.list);
  private search?: Search;
  private hits: Hit[] = [];
  private chosen = 0;

  /**
   * @param go is told which node was chosen.
   * @param leave is called when the field is left by key.
   */
  constructor(
    private readonly model: Model,
    private readonly go: (node: number) => void,
    private readonly leave: () => void,
  ) {}

  find(): void {
    const query = this.input.value;
    if (!query.trim()) {
      this.show([], "");
      return;
    }
    this.search ??= new Search(this.model);
    const { hits, total, isCut } = this.search.find(query);
    this.show(hits, total ? `${isCut ? "more than " : ""}${grouped(total)} found` : "nothing found");
  }

  private show(hits: Hit[], summary: string): void {
    this.hits = hits.slice(0, MOST_ROWS);
    this.chosen = 0;
    const rows = this.hits.map((hit, i) =>
      h(
        "div",
        {
          class: "hit",
          id: `hit-${i}`,
          role: "option",
          "aria-selected": String(i === 0),
          mousedown: (event) => {
            event.preventDefault();
            this.choose(i);
          },
        },
        h("span", {}, visible(hit.text)),
        h("span", {}, visible(hit.what)),
      ),
    );
    if (summary) rows.push(h("div", { class: "hit faint" }, h("span", {}, summary)));
    this.list.replaceChildren(...rows);
    this.input.setAttribute("aria-expanded", String(hits.length > 0));
  }

  private choose(index: number): void {
    const hit = this.hits[index];
    if (!hit) return;
    this.input.blur();
    this.show([], "");
    this.leave();
    this.go(hit.node);
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Enter") this.choose(this.chosen);
    else if (event.key === "Escape") {
      this.input.value = "";
      this.input.blur();
      this.leave();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.chosen = Math.max(0, Math.min(this.hits.length - 1, this.chosen + step));
      [...this.list.children].forEach((row, i) => {
        if (row.id) row.setAttribute("aria-selected", String(i === this.chosen));
      });
      this.list.children[this.chosen]?.scrollIntoView({ block: "nearest" });
      this.input.setAttribute("aria-activedescendant", `hit-${this.chosen}`);
    } else return;
    event.preventDefault();
  }
}
