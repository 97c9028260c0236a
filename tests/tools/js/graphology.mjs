// Prints what graphology reads from a GraphML file: node graphology.mjs FILE
import { readFileSync } from "node:fs";
import { MultiDirectedGraph } from "graphology";
import graphml from "graphology-graphml";

const graph = graphml.parse(MultiDirectedGraph, readFileSync(process.argv[2], "utf8"));
const nodes = Object.fromEntries(graph.mapNodes((id, values) => [id, values]));
const edges = graph.mapEdges((_, values, source, target) => [source, target, values]);
console.log(JSON.stringify({ nodes, edges }));
