// Draws a nested graph with cytoscape.js, laid out by ELK, in a headless Chromium:
//   g2o encode MODEL -o graph.graphml && node docs/images/render.mjs graph.graphml picture.png
// The packages are those of tests/tools/js; the browser is named by CHROMIUM, or is Debian's chromium-headless-shell.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const packages = new URL("../../tests/tools/js/node_modules/", import.meta.url);
const library = (path) => `<script>${readFileSync(new URL(path, packages), "utf8")}</script>`;
const [graph, picture] = process.argv.slice(2);

// Runs in the page. Labels, colours and shapes are those that the file has for yEd.
function draw(text) {
  cytoscape.warnings(false);
  const cy = cytoscape({ container: document.getElementById("graph") });
  cy.graphml({ layoutBy: "null" });
  cy.graphml(text);
  const file = new DOMParser().parseFromString(text, "text/xml");
  for (const node of file.getElementsByTagName("node")) {
    const first = (name) => node.getElementsByTagName(`y:${name}`)[0];
    const label = first("NodeLabel").textContent;
    cy.getElementById(node.id).data({
      label,
      colour: first("Fill").getAttribute("color"),
      shape: first("Shape").getAttribute("type").replace("roundr", "round-r"),
    });
  }
  // A node that is alone in its group is as wide as the group's label.
  cy.nodes().forEach((node) => {
    const labels = [node, ...(node.siblings().empty() ? node.parent() : [])].map((each) => each.data("label").length);
    node.data("width", 20 + 7 * Math.max(...labels));
  });
  const ruler = document.createElement("canvas").getContext("2d");
  ruler.font = "12px DejaVu Sans";
  cy.style([
    { selector: "node", style: { label: "data(label)", shape: "data(shape)", "background-color": "data(colour)",
      "border-width": 1, "border-color": "#8a94a6", "font-size": 12, "font-family": "DejaVu Sans" } },
    { selector: ":childless", style: { width: "data(width)", height: 28, "text-valign": "center" } },
    { selector: ":parent", style: { label: "", padding: 20 } },
    { selector: ".label", style: { width: 1, height: 1, "border-width": 0, "background-opacity": 0, "text-valign": "center",
      "text-background-color": "data(colour)", "text-background-opacity": 1 } },
    { selector: "edge", style: { width: 1.5, "line-color": "#56627a", "curve-style": "bezier",
      "target-arrow-shape": "triangle", "target-arrow-color": "#56627a" } },
  ]);
  // Labels of groups are nodes of their own, in the corner: those of cytoscape.js lie below the edges that come in there.
  cy.one("layoutstop", () => cy.nodes(":parent").forEach((group) => {
    const { x1, y1 } = group.boundingBox();
    const { label, colour } = group.data();
    const x = x1 + 8 + ruler.measureText(label).width / 2;
    cy.add({ classes: "label", data: { label, colour, shape: "rectangle" }, position: { x, y: y1 + 9 } });
  }));
  const options = { algorithm: "layered", "elk.direction": "DOWN", "elk.hierarchyHandling": "INCLUDE_CHILDREN",
    "elk.layered.spacing.nodeNodeBetweenLayers": 10, "elk.layered.spacing.edgeNodeBetweenLayers": 5 };
  const inGroup = { "elk.padding": "[top=20,left=20,bottom=20,right=20]", ...options };
  cy.layout({ name: "elk", elk: options, nodeLayoutOptions: () => inGroup, padding: 12 }).run();
}

const folder = mkdtempSync(join(tmpdir(), "render-"));
try {
  const page = join(folder, "page.html");
  writeFileSync(page, `<!doctype html><meta charset="utf-8"><body style="margin:0">
    <div id="graph" style="width:100vw;height:100vh"></div>
    ${library("jquery/dist/jquery.min.js")}
    ${library("cytoscape/dist/cytoscape.min.js")}
    ${library("cytoscape-graphml/cytoscape-graphml.js")}
    ${library("elkjs/lib/elk.bundled.js")}
    ${library("cytoscape-elk/dist/cytoscape-elk.js")}
    <script>cytoscape.use(cytoscapeElk); (${draw})(${JSON.stringify(readFileSync(graph, "utf8")).replaceAll("<", "\\u003c")});</script>`);
  execFileSync(process.env.CHROMIUM ?? "chromium-headless-shell", ["--headless", "--no-sandbox", "--hide-scrollbars",
    "--window-size=900,1900", "--force-device-scale-factor=1.5", "--virtual-time-budget=30000", `--screenshot=${resolve(picture)}`, `file://${page}`]);
} finally {
  rmSync(folder, { recursive: true });
}
