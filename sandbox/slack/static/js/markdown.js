// The markdown block: headings, lists, quotes, code, tables, links, emphasis.

import { h } from "./dom.js";
import { link } from "./mrkdwn.js";

const INLINE = /`([^`]+)`|\*\*(.+?)\*\*|__(.+?)__|\*([^*\s][^*]*)\*|_([^_\s][^_]*)_|~~(.+?)~~|\[([^\]]+)\]\(([^)\s]+)\)/g;

function inline(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    nodes.push(text.slice(end, found.index));
    const [all, code, bold, bold2, italic, italic2, strike, label, url] = found;
    if (code) nodes.push(h("code", {}, code));
    else if (bold || bold2) nodes.push(h("strong", {}, inline(bold || bold2)));
    else if (italic || italic2) nodes.push(h("em", {}, inline(italic || italic2)));
    else if (strike) nodes.push(h("s", {}, inline(strike)));
    else nodes.push(link(url, label));
    end = found.index + all.length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

const cells = (row) => row.replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

export function markdown(source) {
  const rows = source.split("\n");
  const nodes = [];
  while (rows.length) {
    const row = rows.shift();
    const take = (pattern) => {
      const taken = [row];
      while (rows.length && pattern.test(rows[0])) taken.push(rows.shift());
      return taken;
    };
    if (/^```/.test(row)) {
      const code = [];
      while (rows.length && !/^```/.test(rows[0])) code.push(rows.shift());
      rows.shift();
      nodes.push(h("pre", {}, code.join("\n")));
    } else if (/^#{1,6} /.test(row)) {
      nodes.push(h("h4", { class: "md-heading" }, inline(row.replace(/^#+ /, ""))));
    } else if (/^\s*[-*] /.test(row)) {
      nodes.push(h("ul", {}, take(/^\s*[-*] /).map((one) => h("li", {}, inline(one.replace(/^\s*[-*] /, ""))))));
    } else if (/^\s*\d+\. /.test(row)) {
      nodes.push(h("ol", {}, take(/^\s*\d+\. /).map((one) => h("li", {}, inline(one.replace(/^\s*\d+\. /, ""))))));
    } else if (/^> ?/.test(row)) {
      nodes.push(h("blockquote", {}, take(/^> ?/).map((one) => h("div", {}, inline(one.replace(/^> ?/, ""))))));
    } else if (/^\|/.test(row) && /^\|[\s:|-]+\|?$/.test(rows[0] || "")) {
      const [head, , ...body] = take(/^\|/);
      nodes.push(
        h("div", { class: "table-scroll" }, h("table", { class: "grid" },
          h("thead", {}, h("tr", {}, cells(head).map((one) => h("th", { scope: "col" }, inline(one))))),
          h("tbody", {}, body.map((one) => h("tr", {}, cells(one).map((cell) => h("td", {}, inline(cell)))))),
        )),
      );
    } else if (/^(---+|\*\*\*+)$/.test(row)) {
      nodes.push(h("hr"));
    } else if (row.trim()) {
      nodes.push(h("p", {}, inline(row)));
    }
  }
  return nodes;
}
