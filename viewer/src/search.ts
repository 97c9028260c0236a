// Finds names, types, tensors, parameters and attributes: one search through one text that holds all strings.

import { Kind, Lists, type Model } from "./model.ts";

export interface Hit {
  node: number;
  what: string;
  text: string;
  rank: number;
}

export interface Found {
  hits: Hit[];
  total: number;
  /** Whether there are more, which nobody would read. */
  isCut: boolean;
}

const MOST = 200;
const MOST_STRINGS = 5000;

export class Search {
  private readonly all: string;
  private readonly starts: Int32Array;
  private readonly named: Lists;
  private readonly typed: Lists;
  private readonly tensors: Lists;
  private readonly attributeSets: Lists;
  private readonly attributed: Lists;

  constructor(private readonly model: Model) {
    const { strings } = model;
    this.starts = new Int32Array(strings.length + 1);
    const parts: string[] = [];
    let length = 0;
    strings.forEach((text, i) => {
      this.starts[i] = length;
      const lower = text.toLowerCase();
      parts.push(lower);
      length += lower.length + 1;
    });
    this.starts[strings.length] = length;
    this.all = `${parts.join("\n")}\n`;
    this.named = Lists.grouped(model.name, strings.length);
    this.typed = Lists.grouped(model.type, strings.length);
    this.tensors = Lists.grouped(model.tensorName, strings.length);
    const keys: number[] = [];
    const sets: number[] = [];
    model.columns.attributeSets.forEach((numbers, set) => {
      for (const number of numbers) {
        keys.push(number);
        sets.push(set);
      }
    });
    this.attributeSets = Lists.grouped(keys, strings.length, sets);
    this.attributed = Lists.grouped(model.columns.attributes, model.columns.attributeSets.length);
  }

  find(query: string): Found {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return { hits: [], total: 0, isCut: false };
    const longest = words.reduce((a, b) => (b.length > a.length ? b : a));
    const hits: Hit[] = [];
    let total = 0;
    let strings = 0;
    let at = this.all.indexOf(longest);
    while (at >= 0 && strings < MOST_STRINGS) {
      const number = this.numberAt(at);
      const text = this.all.slice(this.starts[number]!, this.starts[number + 1]! - 1);
      if (words.every((word) => text.includes(word))) {
        strings++;
        total += this.collect(number, rankOf(text, words), hits);
      }
      at = this.all.indexOf(longest, this.starts[number + 1]!);
    }
    hits.sort((a, b) => a.rank - b.rank);
    return { hits: hits.slice(0, MOST), total, isCut: at >= 0 };
  }

  private numberAt(position: number): number {
    let [low, high] = [0, this.starts.length - 1];
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle]! <= position) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Adds what a string names, and says how much that is; once there are many, only better ones join. */
  private collect(number: number, rank: number, hits: Hit[]): number {
    const { model } = this;
    let total = 0;
    const isFull = hits.length > 4 * MOST;
    const add = (node: number, what: string, text: string, extra: number) => {
      total++;
      if (!isFull || rank + extra < 1) hits.push({ node, what, text, rank: rank + extra });
    };
    for (const node of this.named.of(number)) {
      const kind = model.kind[node]!;
      const isModule = kind === Kind.Module;
      add(
        node,
        isModule ? "module" : Kind[kind]!.toLowerCase(),
        isModule ? model.pathOf(node) || model.nameOf(node) : model.nameOf(node),
        isModule ? -0.5 : 0,
      );
    }
    const typed = this.typed.of(number);
    for (const node of typed.subarray(0, MOST))
      add(node, model.typeOf(node), model.kind[node] === Kind.Module ? model.pathOf(node) : model.labelOf(node), 0.3);
    total += Math.max(0, typed.length - MOST);
    for (const tensor of this.tensors.of(number)) {
      const producer = model.producer[tensor]!;
      const parameter = model.parameter[tensor]!;
      if (producer >= 0 && model.kind[producer] === Kind.Input) continue; // found by its name already
      const node =
        parameter >= 0 ? (model.consumers.of(tensor)[0] ?? model.columns.parameterOwner[parameter]!) : producer;
      if (node >= 0)
        add(node, parameter >= 0 ? "parameter" : "tensor", model.tensorNameOf(tensor), parameter >= 0 ? 0.1 : 0.4);
    }
    for (const set of this.attributeSets.of(number)) {
      for (const node of this.attributed.of(set).subarray(0, MOST))
        add(node, "attribute", `${model.labelOf(node)}: ${model.text(number)}`, 0.6);
    }
    return total;
  }
}

function rankOf(text: string, words: string[]): number {
  const word = words[0]!;
  if (text === words.join(" ")) return 0;
  if (text.startsWith(word)) return 1;
  const at = text.indexOf(word);
  return /[\w]/.test(text[at - 1] ?? "") ? 3 : 2;
}
