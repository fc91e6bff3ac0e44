// Interactive elements: in messages and home tabs they act at once, in modals they hold a value.

import { confirmed } from "./confirm.js";
import { fileInput } from "./files.js";
import { h, icon, newId } from "./dom.js";
import { text } from "./mrkdwn.js";
import { picker } from "./picker.js";

const NEEDS_PICKER = /external_select|^multi_|users_select|conversations_select|channels_select/;
const STATE = { selected_option: 1, selected_options: 1, selected_user: 1, selected_users: 1, selected_conversation: 1, selected_conversations: 1, selected_channel: 1, selected_channels: 1, selected_date: 1, selected_time: 1, selected_date_time: 1, value: 1, files: 1 };

// The value of an input: what was typed since, else what the server knows.
export function valueOf(one, block, context) {
  const key = `${block.block_id}/${one.action_id}`;
  if (context.drafts?.has(key)) return context.drafts.get(key);
  const state = context.values?.[block.block_id]?.[one.action_id];
  const name = state && Object.keys(state).find((each) => STATE[each]);
  return name ? state[name] : undefined;
}

const optionValue = (value) => (value && typeof value === "object" ? value.value : value);

// An element outside input blocks: a change is an action.
export function element(one, block, context) {
  const fire = async (value) => {
    if (one.confirm && !(await confirmed(one.confirm, context.names))) return false;
    await context.act(block, one, value);
    return true;
  };
  const label = one.accessibility_label || one.placeholder?.text || one.action_id;
  if (one.type === "image") return h("img", { src: one.image_url, alt: one.alt_text || "", class: "thumbnail", loading: "lazy" });
  if (one.type === "button") return button(one, block, fire);
  if (one.type === "overflow") return overflow(one, fire);
  return control(one, block, context, { id: newId("control"), label }, fire);
}

// An element in an input block: a change is kept, and told to the app only where it asked for that.
export function inputElement(one, block, context, props) {
  const keep = (value, done = true) => context.change(block, one, value, done);
  return control(one, block, context, props, keep);
}

function button(one, block, fire) {
  const focus = `${block.block_id}/${one.action_id}`;
  const node = h(one.url ? "a" : "button", {
    class: `button ${one.style || ""}`,
    "aria-label": one.accessibility_label,
    dataset: { focus, action: one.action_id },
    href: one.url,
    target: one.url && "_blank",
    rel: one.url && "noopener",
    type: one.url ? undefined : "button",
    onclick: async () => {
      if (node.getAttribute("aria-busy")) return;
      node.setAttribute("aria-busy", "true");
      try {
        await fire(one.value);
      } finally {
        node.removeAttribute("aria-busy");
      }
    },
  }, text(one.text));
  return node;
}

function overflow(one, fire) {
  const menu = h("div", { class: "menu", role: "menu", hidden: true });
  const opener = h("button", { type: "button", class: "button small square", "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": "More actions", dataset: { focus: one.action_id, action: one.action_id } }, icon("more"));
  attachMenu(opener, menu, one.options.map((option) => ({ label: option.text.text, run: () => fire(option.value) })));
  return h("span", { class: "menu-anchor" }, opener, menu);
}

export function attachMenu(opener, menu, items) {
  const show = (open) => {
    menu.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) menu.firstElementChild?.focus();
  };
  menu.replaceChildren(...items.map((item) => h("button", { type: "button", role: "menuitem", tabindex: "-1", onclick: () => { show(false); opener.focus(); item.run(); } }, item.label)));
  opener.addEventListener("click", () => show(menu.hidden));
  menu.addEventListener("keydown", (event) => {
    const all = [...menu.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
    else if (event.key === "Escape") { show(false); opener.focus(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  menu.addEventListener("focusout", (event) => { if (!menu.contains(event.relatedTarget) && event.relatedTarget !== opener) show(false); });
}

function control(one, block, context, props, keep) {
  const value = valueOf(one, block, context);
  const focus = `${block.block_id}/${one.action_id}`;
  const shared = {
    id: props.id,
    "aria-label": props.label,
    "aria-describedby": props.described || undefined,
    "aria-invalid": props.invalid ? "true" : undefined,
    "aria-required": props.required ? "true" : undefined,
    dataset: { focus, action: one.action_id },
    autofocus: one.focus_on_load || undefined,
  };
  if (one.type === "file_input") return fileInput(one, block, context, shared, value, keep);
  if (NEEDS_PICKER.test(one.type)) return picker(one, block, context, shared, value, keep);
  if (one.type === "static_select") return select(one, shared, value, keep);
  if (one.type === "radio_buttons" || one.type === "checkboxes") return choices(one, shared, value, keep);
  return typed(one, shared, value, keep);
}

function typed(one, shared, value, keep) {
  const kinds = { number_input: "text", email_text_input: "email", url_text_input: "url", datepicker: "date", timepicker: "time", datetimepicker: "datetime-local" };
  const moment = one.type === "datetimepicker";
  const tag = one.multiline || one.type === "rich_text_input" ? "textarea" : "input";
  const read = () => {
    if (!node.value) return null;
    return moment ? Math.floor(new Date(node.value).getTime() / 1000) : node.value;
  };
  const node = h(tag, {
    ...shared,
    class: "field-control",
    type: tag === "input" ? kinds[one.type] || "text" : undefined,
    inputmode: one.type === "number_input" ? (one.is_decimal_allowed ? "decimal" : "numeric") : undefined,
    rows: tag === "textarea" ? "4" : undefined,
    maxlength: one.max_length ? String(one.max_length) : undefined,
    placeholder: one.placeholder?.text,
    autocomplete: "off",
    oninput: () => keep(read(), false),
    onchange: () => keep(read(), true),
  });
  if (value !== undefined && value !== null) {
    node.value = moment && typeof value === "number" ? new Date(value * 1000).toISOString().slice(0, 16) : value;
  }
  return node;
}

function select(one, shared, value, keep) {
  const item = (option) => h("option", { value: option.value, selected: option.value === optionValue(value) }, option.text.text);
  const groups = (one.option_groups || []).map((group) => h("optgroup", { label: group.label.text }, group.options.map(item)));
  const node = h("select", { ...shared, class: "field-control", onchange: () => keep(node.value || null) },
    h("option", { value: "" }, one.placeholder?.text || "Choose an option"), (one.options || []).map(item), groups);
  return node;
}

function choices(one, shared, value, keep) {
  const many = one.type === "checkboxes";
  const picked = new Set((many ? value || [] : value ? [value] : []).map(optionValue));
  const name = newId("choice");
  const read = () => {
    const on = [...box.querySelectorAll("input:checked")].map((each) => each.value);
    return many ? on : on[0] || null;
  };
  const box = h("div", { class: "choices", role: many ? "group" : "radiogroup", "aria-label": shared["aria-label"], "aria-describedby": shared["aria-describedby"] }, one.options.map((option) =>
    h("label", { class: "choice" },
      h("input", { type: many ? "checkbox" : "radio", name, value: option.value, checked: picked.has(option.value), onchange: () => keep(read()), dataset: { focus: `${shared.dataset.focus}/${option.value}`, action: one.action_id } }),
      h("span", {}, h("span", { class: "choice-text" }, text(option.text)), option.description && h("span", { class: "choice-description" }, text(option.description))))));
  return box;
}
