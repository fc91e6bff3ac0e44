// Every block of Block Kit that the bot may use, as elements.

import { chart } from "./charts.js";
import { h, icon, newId } from "./dom.js";
import { element, inputElement } from "./elements.js";
import { markdown } from "./markdown.js";
import { text } from "./mrkdwn.js";
import { richText } from "./rich.js";

export function renderBlocks(blocks, context) {
  return blocks.map((block) => renderBlock(block, context));
}

export function renderBlock(block, context) {
  const render = BLOCKS[block.type];
  const node = render ? render(block, context) : h("p", { class: "muted" }, `This page can't show a ${block.type} block.`);
  node.classList.add("block", `block-${block.type}`);
  if (block.block_id) node.dataset.block = block.block_id;
  return node;
}

const image = (one, name) => h("img", { src: one.image_url, alt: one.alt_text || "", class: name, loading: "lazy" });

function section(block, context) {
  const words = [];
  if (block.text) words.push(h("div", { class: "section-text" }, text(block.text, context.names)));
  if (block.fields) {
    words.push(h("div", { class: "fields" }, block.fields.map((one) => h("div", { class: "field" }, text(one, context.names)))));
  }
  const side = block.accessory && h("div", { class: "accessory" }, element(block.accessory, block, context));
  return h("div", { class: side ? "with-accessory" : "" }, h("div", { class: "section-body" }, words), side);
}

function input(block, context) {
  const id = newId("input");
  const error = context.errors?.[block.block_id];
  const described = [block.hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const field = inputElement(block.element, block, context, { id, described, invalid: Boolean(error), required: !block.optional });
  const group = ["radio_buttons", "checkboxes", "file_input"].includes(block.element.type);
  const label = [text(block.label), block.optional ? h("span", { class: "optional" }, "(optional)") : ""];
  return h(group ? "fieldset" : "div", { class: error ? "has-error" : "" },
    group ? h("legend", { class: "label" }, label) : h("label", { class: "label", for: id, id: `${id}-label` }, label),
    field,
    block.hint && h("p", { class: "hint", id: `${id}-hint` }, text(block.hint)),
    error && h("p", { class: "error", id: `${id}-error` }, icon("alert"), error),
  );
}

function cell(one, context, heading, align) {
  const props = { class: align ? `align-${align}` : "" };
  if (heading) props.scope = heading;
  const content = one.type === "rich_text" ? richText(one, context.names) : String(one.text ?? one.value);
  if (one.type === "raw_number" && !align) props.class = "align-right";
  return h(heading ? "th" : "td", props, content);
}

function table(block, context) {
  const [head, ...rows] = block.rows;
  const settings = block.column_settings || [];
  const side = block.row_header_column_index;
  const grid = h("table", { class: "grid" },
    block.caption && h("caption", {}, block.caption),
    h("thead", {}, h("tr", {}, head.map((one, n) => cell(one, context, "col", settings[n]?.align)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((one, n) => cell(one, context, n === side && "row", settings[n]?.align))))),
  );
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": block.caption || "Table" }, grid);
}

function dataTable(block, context) {
  const pageSize = block.page_size || 5;
  const [head, ...rows] = block.rows;
  const pages = Math.max(1, Math.ceil(rows.length / pageSize));
  const box = h("div", {});
  const show = (page) => {
    const part = { ...block, rows: [head, ...rows.slice(page * pageSize, (page + 1) * pageSize)] };
    const pager = pages > 1 && h("div", { class: "pager" },
      h("button", { type: "button", class: "button small", disabled: page === 0, onclick: () => show(page - 1) }, "Previous"),
      h("span", {}, `Page ${page + 1} of ${pages}`),
      h("button", { type: "button", class: "button small", disabled: page === pages - 1, onclick: () => show(page + 1) }, "Next"));
    box.replaceChildren(table(part, context), ...(pager ? [pager] : []));
  };
  show(0);
  return box;
}

function card(block, context) {
  return h("article", { class: "card" },
    block.hero_image && image(block.hero_image, "hero"),
    h("div", { class: "card-body" },
      block.icon && image(block.icon, "card-icon"),
      block.title && h("h4", { class: "card-title" }, text(block.title, context.names)),
      block.subtitle && h("p", { class: "card-subtitle" }, text(block.subtitle, context.names)),
      block.body && h("div", {}, text(block.body, context.names)),
      block.actions?.length && h("div", { class: "actions" }, block.actions.map((one) => element(one, block, context))),
    ));
}

function container(block, context) {
  const heading = h("div", { class: "container-heading" },
    h("strong", {}, block.rich_text_title ? richText(block.rich_text_title, context.names) : text(block.title)),
    block.subtitle && h("span", { class: "card-subtitle" }, text(block.subtitle, context.names)));
  const children = h("div", { class: "container-children" }, renderBlocks(block.child_blocks, context));
  const name = `container width-${block.width || "standard"} ${block.has_header_divider ? "divided" : ""}`;
  if (block.is_collapsible) {
    return h("details", { class: name, open: !block.default_collapsed }, h("summary", {}, icon("down"), heading), children);
  }
  return h("section", { class: name }, heading, children);
}

const TASK = { pending: ["Waiting", "more"], in_progress: ["In progress", "bolt"], complete: ["Done", "check"], error: ["Failed", "alert"] };

function task(block, context) {
  const [word, shape] = TASK[block.status];
  return h("div", { class: `task task-${block.status}` },
    h("span", { class: "task-mark" }, icon(shape)),
    h("div", { class: "task-body" },
      h("div", { class: "task-title" }, block.title, h("span", { class: "task-status" }, word)),
      block.details && richText(block.details, context.names),
      block.output && richText(block.output, context.names),
      block.sources?.length && h("div", { class: "card-subtitle" }, block.sources.map((one) => h("a", { href: one.url, target: "_blank", rel: "noopener" }, one.text || one.url))),
    ));
}

const LEVELS = { default: "Note", info: "Note", warning: "Warning", error: "Error", success: "Success" };

const BLOCKS = {
  section,
  input,
  table,
  card,
  container,
  data_table: dataTable,
  data_visualization: chart,
  task_card: task,
  header: (block) => h("h3", { class: "header" }, text(block.text)),
  divider: () => h("hr"),
  context: (block, context) => h("div", { class: "context" }, block.elements.map((one) =>
    one.type === "image" ? image(one, "context-image") : h("span", {}, text(one, context.names)))),
  actions: (block, context) => h("div", { class: "actions" }, block.elements.map((one) => element(one, block, context))),
  image: (block) => h("figure", {}, block.title && h("figcaption", {}, text(block.title)), image(block, "picture")),
  rich_text: (block, context) => richText(block, context.names),
  markdown: (block) => h("div", { class: "markdown" }, markdown(block.text)),
  carousel: (block, context) => h("div", { class: "carousel", tabindex: "0", role: "region", "aria-label": "Cards" }, block.elements.map((one) => renderBlock(one, context))),
  plan: (block, context) => h("section", { class: "plan" }, h("h4", {}, block.title), (block.tasks || []).map((one) => task(one, context))),
  alert: (block, context) => h("div", { class: `alert alert-${block.level || "default"}`, role: "note" },
    icon(["warning", "error"].includes(block.level) ? "alert" : block.level === "success" ? "check" : "info"),
    h("div", {}, h("span", { class: "visually-hidden" }, `${LEVELS[block.level || "default"]}: `), text(block.text, context.names))),
};
