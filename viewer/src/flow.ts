// What flows between the nodes that stand directly in one box, and through its border.

import type { Model } from "./model.ts";

/** A tensor on its way between two children of a box; a negative end is the border. */
export interface Link {
  from: number;
  to: number;
  tensors: number[];
}

export const BORDER = -1;

export interface Flow {
  children: number[];
  /** Between children, one for each pair. */
  inner: Link[];
  /** From the border to a child, one for each child and tensor. */
  entering: Link[];
  leaving: Link[];
}

export class Flows {
  private readonly stamp: Int32Array;
  private readonly known = new Map<number, Flow>();
  private readonly foldable: Uint8Array;
  private foldsConstants = true;

  constructor(private readonly model: Model) {
    this.stamp = new Int32Array(model.count).fill(-1);
    this.foldable = new Uint8Array(model.count);
    for (let node = 0; node < model.count; node++) if (model.isFoldable(node)) this.foldable[node] = 1;
  }

  get folds(): boolean {
    return this.foldsConstants;
  }

  set folds(value: boolean) {
    this.foldsConstants = value;
    this.known.clear();
  }

  isHidden(node: number): boolean {
    return this.foldsConstants && this.foldable[node] === 1;
  }

  /** The flow in a box: found when it is first opened, from all that is in it. */
  of(box: number): Flow {
    let flow = this.known.get(box);
    if (!flow) this.known.set(box, (flow = this.find(box)));
    return flow;
  }

  private find(box: number): Flow {
    const { model, stamp } = this;
    const children = [...model.children.of(box)].filter((child) => !this.isHidden(child));
    const inside: number[] = [];
    for (const child of children) {
      const todo = [child];
      while (todo.length) {
        const node = todo.pop()!;
        stamp[node] = child;
        inside.push(node);
        for (const inner of model.children.of(node)) if (!this.isHidden(inner)) todo.push(inner);
      }
    }
    const inner = new Map<number, Link>();
    const entering = new Map<string, Link>();
    const leaving = new Map<string, Link>();
    for (const node of inside) {
      const to = stamp[node]!;
      for (const tensor of model.inputs.of(node)) {
        const producer = tensor < 0 ? -1 : model.producer[tensor]!;
        if (producer < 0 || this.isHidden(producer)) continue;
        const from = stamp[producer]!;
        if (from === to) continue;
        if (from >= 0) add(inner, from * model.count + to, from, to, tensor);
        else if (producer !== box) add(entering, `${tensor} ${to}`, BORDER, to, tensor);
      }
      for (const tensor of model.outputs.of(node)) {
        if (tensor < 0 || model.producer[tensor] !== node) continue;
        if (model.consumers.of(tensor).some((taker) => stamp[taker]! < 0 && taker !== box)) {
          add(leaving, `${tensor}`, stamp[node]!, BORDER, tensor);
        }
      }
    }
    for (const node of inside) stamp[node] = -1;
    return { children, inner: [...inner.values()], entering: [...entering.values()], leaving: [...leaving.values()] };
  }

  /** All nodes that a node's outputs reach, or that reach its inputs; itself included. */
  reach(starts: Iterable<number>, forward: boolean): Uint8Array {
    const { model } = this;
    const found = new Uint8Array(model.count);
    const todo: number[] = [];
    const add = (node: number) => {
      if (!found[node]) {
        found[node] = 1;
        todo.push(node);
      }
    };
    for (const start of starts) this.withAll(start, add);
    while (todo.length) {
      const node = todo.pop()!;
      if (forward) {
        for (const tensor of model.outputs.of(node)) if (tensor >= 0) model.consumers.of(tensor).forEach(add);
      } else {
        for (const tensor of model.inputs.of(node))
          if (tensor >= 0 && model.producer[tensor]! >= 0) add(model.producer[tensor]!);
      }
    }
    return found;
  }

  private withAll(node: number, add: (node: number) => void): void {
    const todo = [node];
    while (todo.length) {
      const inner = todo.pop()!;
      add(inner);
      todo.push(...this.model.children.of(inner));
    }
  }
}

function add<Key>(links: Map<Key, Link>, key: Key, from: number, to: number, tensor: number): void {
  const link = links.get(key);
  if (!link) links.set(key, { from, to, tensors: [tensor] });
  else if (!link.tensors.includes(tensor)) link.tensors.push(tensor);
}
