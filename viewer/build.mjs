// Builds the viewer into the Python package: `make viewer`. The bundle is committed, so that Python alone can use it.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(here, "..", "graphml_onnx", "viewing");
const common = { bundle: true, minify: !process.env.PLAIN, charset: "ascii", target: ["chrome109", "firefox115", "safari16.4"], legalComments: "eof", write: false };

const [script, style] = await Promise.all([
  build({ ...common, entryPoints: [join(here, "src", "main.ts")], format: "iife" }),
  build({ ...common, entryPoints: [join(here, "src", "style.css")] }),
]);
// A page holds both as they are: nothing in them may end its element.
const safe = (text) => text.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
writeFileSync(join(target, "viewer.js"), safe(script.outputFiles[0].text));
writeFileSync(join(target, "viewer.css"), style.outputFiles[0].text);

const sources = ["build.mjs", "package-lock.json", "tsconfig.json", ...readdirSync(join(here, "src")).sort().map((name) => `src/${name}`)];
const digest = createHash("sha256");
for (const name of sources) digest.update(`${name}\n`).update(readFileSync(join(here, name)));
writeFileSync(join(target, "viewer.sha256"), `${digest.digest("hex")}\n`);
