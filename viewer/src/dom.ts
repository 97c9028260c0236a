// Elements are built one by one and hold names as text only: no name is ever read as HTML.

type Child = Node | string | null | undefined | false;

export interface Attributes {
  [name: string]: string | number | boolean | ((event: Event) => void) | undefined;
}

/** An element with attributes (functions are listeners) and children. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  for (const child of children) if (child) element.append(child);
  return element;
}
