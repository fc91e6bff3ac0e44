// The data_visualization block: bars, lines, areas and pies, drawn as SVG with a legend.

import { h } from "./dom.js";

const COLORS = ["#2f6f8f", "#d98324", "#4c8a3f", "#a0477c", "#7a6a3a", "#5a5fb0"];
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [560, 210, 52, 26, 10];

function svg(tag, props, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(props)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const short = (value) => (value >= 10000 ? `${Math.round(value / 1000)}k` : value.toLocaleString("en-US"));

// A round number that is at least as large as the value.
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function plot(block) {
  const { type, series, axis_config: axis } = block.chart;
  const values = series.flatMap((one) => one.data.map((point) => point.value));
  const most = ceiling(Math.max(...values, 1));
  const count = axis.categories.length;
  const step = (WIDTH - LEFT - 8) / count;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
  const x = (index) => LEFT + step * (index + 0.5);
  const marks = [0, 0.5, 1].flatMap((share) => [
    svg("line", { x1: LEFT, x2: WIDTH - 8, y1: y(most * share), y2: y(most * share), stroke: "#d9dfe1" }),
    svg("text", { x: LEFT - 6, y: y(most * share) + 4, "text-anchor": "end" }, short(most * share)),
  ]);
  const every = Math.ceil(count / 10);
  axis.categories.forEach((name, index) => {
    if (index % every === 0) marks.push(svg("text", { x: x(index), y: HEIGHT - 8, "text-anchor": "middle" }, name));
  });
  series.forEach((one, number) => {
    const color = COLORS[number];
    if (type === "bar") {
      const wide = (step * 0.72) / series.length;
      one.data.forEach((point, index) => marks.push(svg("rect", {
        x: x(index) - step * 0.36 + wide * number, y: y(point.value), width: Math.max(1, wide - 1), height: y(0) - y(point.value), fill: color,
      })));
      return;
    }
    const line = one.data.map((point, index) => `${x(index)},${y(point.value)}`).join(" ");
    if (type === "area") marks.push(svg("polygon", { points: `${x(0)},${y(0)} ${line} ${x(count - 1)},${y(0)}`, fill: color, opacity: 0.25 }));
    marks.push(svg("polyline", { points: line, fill: "none", stroke: color, "stroke-width": 2.2 }));
    one.data.forEach((point, index) => marks.push(svg("circle", { cx: x(index), cy: y(point.value), r: 2.6, fill: color })));
  });
  return marks;
}

function pie(block) {
  const total = block.chart.segments.reduce((sum, one) => sum + one.value, 0);
  const [cx, cy, r] = [WIDTH / 2, HEIGHT / 2, HEIGHT / 2 - 8];
  let angle = -Math.PI / 2;
  const at = () => `${cx + r * Math.cos(angle)} ${cy + r * Math.sin(angle)}`;
  return block.chart.segments.map((one, number) => {
    const start = at();
    const turn = (one.value / total) * 2 * Math.PI;
    angle += Math.min(turn, 2 * Math.PI - 0.001);
    return svg("path", { d: `M${cx} ${cy} L${start} A${r} ${r} 0 ${turn > Math.PI ? 1 : 0} 1 ${at()} Z`, fill: COLORS[number] });
  });
}

function spoken(block) {
  const parts = block.chart.series || [{ name: block.title, data: block.chart.segments }];
  return parts.map((one) => `${one.name}: ${one.data.map((point) => `${point.label} ${point.value}`).join(", ")}`).join(". ");
}

export function chart(block) {
  const isPie = block.chart.type === "pie";
  const names = isPie ? block.chart.segments.map((one) => `${one.label} (${short(one.value)})`) : block.chart.series.map((one) => one.name);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": `${block.title}. ${spoken(block)}` },
    ...(isPie ? pie(block) : plot(block)));
  const legend = names.map((name, number) => {
    const mark = h("span", { class: "legend-mark" });
    mark.style.background = COLORS[number];
    return h("span", { class: "legend" }, mark, name);
  });
  return h("figure", {}, h("figcaption", { class: "chart-title" }, block.title), drawing, h("div", { class: "legends" }, legend));
}
