// Prints what cytoscape.js reads from a GraphML file, and saves it: node cytoscape.mjs FILE SAVED
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { JSDOM } from "jsdom";

// The extension expects a page around it.
const { window } = new JSDOM("");
Object.assign(globalThis, { window, document: window.document, XMLSerializer: window.XMLSerializer });
const require = createRequire(import.meta.url);
const cytoscape = require("cytoscape");
require("cytoscape-graphml")(cytoscape, require("jquery"));

cytoscape.warnings(false);
const graph = cytoscape({ headless: true });
graph.graphml({ layoutBy: "null" });
graph.graphml(readFileSync(process.argv[2], "utf8"));
const values = (element) => element.data();
const nodes = Object.fromEntries(graph.nodes().map((node) => [node.id(), values(node)]));
const edges = graph.edges().map((edge) => [edge.source().id(), edge.target().id(), values(edge)]);
const parents = Object.fromEntries(graph.nodes().map((node) => [node.id(), node.parent().id() ?? null]));
console.log(JSON.stringify({ nodes, edges, parents }));
writeFileSync(process.argv[3], graph.graphml());
