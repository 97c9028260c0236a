// Text as it is shown: names come from files that nobody has checked.

const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** The text, with escapes for characters that hide, reverse or break the text beside them. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The text cut to a number of characters; the middle is left out, since names differ at their ends. */
export function shortened(text: string, length: number): string {
  if (text.length <= length) return text;
  const head = Math.ceil((length - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (length - 1 - head))}`;
}

/** A number with commas: 1,234,567. The browser's own way takes thirty times as long. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A number with its unit: 1.2 M. */
export function amount(value: number): string {
  for (const [size, unit] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`;
  }
  return String(value);
}

export function bytes(value: number): string {
  return value < 1000 ? counted(value, "byte") : `${amount(value)}B`;
}

/** A type such as FLOAT[1, 128, 312] as its shape alone: 1×128×312. */
export function shapeOf(type: string): string {
  const start = type.indexOf("[");
  return start < 0 ? "" : type.slice(start + 1, -1).replaceAll(", ", "×") || "scalar";
}
