// rich_text blocks: sections, lists, quotes and preformatted text.

import { h } from "./dom.js";
import { emoji, link, mention } from "./mrkdwn.js";

function piece(one, names) {
  let node;
  if (one.type === "text") node = one.text;
  else if (one.type === "link") node = link(one.url, one.text);
  else if (one.type === "user") node = mention(`@${names[one.user_id] || one.user_id}`);
  else if (one.type === "channel") node = mention(`#${names[one.channel_id] || one.channel_id}`);
  else if (one.type === "broadcast") node = mention(`@${one.range}`);
  else if (one.type === "emoji") node = emoji(one.name);
  else node = one.fallback || one.value || "";
  const style = one.style || {};
  for (const [key, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"]]) {
    if (style[key]) node = h(tag, {}, node);
  }
  return node;
}

const pieces = (part, names) => part.elements.map((one) => piece(one, names));

export function richText(block, names) {
  return h("div", { class: "rich" }, block.elements.map((part) => {
    if (part.type === "rich_text_list") {
      const tag = part.style === "ordered" ? "ol" : "ul";
      const props = { class: `indent-${part.indent || 0}` };
      if (part.offset) props.start = String(part.offset + 1);
      return h(tag, props, part.elements.map((one) => h("li", {}, pieces(one, names))));
    }
    if (part.type === "rich_text_quote") return h("blockquote", {}, pieces(part, names));
    if (part.type === "rich_text_preformatted") return h("pre", {}, pieces(part, names));
    return h("div", { class: "rich-section" }, pieces(part, names));
  }));
}
