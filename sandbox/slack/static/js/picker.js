// A field with suggestions: options typed for, people, conversations; one or several.

import { act } from "./api.js";
import { h, icon, newId } from "./dom.js";

const wrap = (value, label) => ({ value, label });

function everyone(one, context) {
  if (one.type.includes("users_select")) {
    return context.state.people.filter((each) => each.team_id === context.state.me.team_id).map((each) => wrap(each.id, each.real_name));
  }
  if (one.type.includes("conversations_select") || one.type.includes("channels_select")) {
    return context.state.channels.filter((each) => !each.is_im && !each.is_archived).map((each) => wrap(each.id, `#${each.name}`));
  }
  const groups = (one.option_groups || []).flatMap((group) => group.options);
  return [...(one.options || []), ...groups].map((option) => wrap(option, option.text.text));
}

const labelOf = (value, context) => {
  if (typeof value === "object") return value.text.text;
  const name = context.names[value] || value;
  return /^[CG]/.test(value) ? `#${name}` : name;
};
const keyOf = (value) => (typeof value === "object" ? value.value : value);

export function picker(one, block, context, shared, value, keep) {
  const many = one.type.startsWith("multi_");
  const external = one.type.includes("external");
  const listId = newId("list");
  let chosen = many ? [...(value || [])] : value ? [value] : [];
  let found = [];
  let active = -1;
  let asked = 0;
  let typing = null;

  const chips = h("span", { class: "chips" });
  const list = h("ul", { class: "suggestions", role: "listbox", id: listId, hidden: true, "aria-label": "Suggestions" });
  const note = h("span", { class: "visually-hidden", role: "status" });
  const field = h("input", {
    ...shared, type: "text", class: "picker-field", role: "combobox", autocomplete: "off",
    "aria-expanded": "false", "aria-controls": listId, "aria-autocomplete": "list",
    placeholder: one.placeholder?.text || (external ? "Type to search" : "Choose"),
    oninput: () => { open(); search(); },
    onclick: () => { open(); search(); },
    onkeydown: key,
    onblur: () => setTimeout(() => { close(); if (!many) showChosen(); }, 150),
  });
  const box = h("div", { class: "picker" }, h("div", { class: "picker-line field-control" }, chips, field, icon("down")), list, note);

  function showChosen() {
    if (!many) {
      field.value = chosen.length ? labelOf(chosen[0], context) : "";
      return;
    }
    chips.replaceChildren(...chosen.map((each) => h("span", { class: "chip" }, labelOf(each, context),
      h("button", { type: "button", "aria-label": `Remove ${labelOf(each, context)}`, onclick: () => { chosen = chosen.filter((other) => other !== each); changed(); } }, icon("close")))));
  }

  function changed() {
    showChosen();
    keep(many ? chosen : chosen[0] ?? null);
  }

  function open() { list.hidden = false; field.setAttribute("aria-expanded", "true"); }
  function close() { list.hidden = true; field.setAttribute("aria-expanded", "false"); active = -1; }

  async function search() {
    const chosenText = !many && chosen.length ? labelOf(chosen[0], context) : null;
    const typed = field.value === chosenText ? "" : field.value.trim();
    if (!external) return show(everyone(one, context).filter((each) => each.label.toLowerCase().includes(typed.toLowerCase())));
    const least = one.min_query_length ?? 3;
    if (typed.length < least) return tell(`Type ${least - typed.length} more ${least - typed.length === 1 ? "letter" : "letters"}`);
    clearTimeout(typing);
    const turn = ++asked;
    tell("Searching…");
    typing = setTimeout(async () => {
      const answer = await act("suggest", { ...context.place, block_id: block.block_id, action_id: one.action_id, typed }, true);
      if (turn !== asked) return;
      if (!answer.ok) return tell("The options could not be loaded");
      show(answer.options.map((option) => wrap(option, option.text.text)));
    }, 120);
  }

  function tell(words) {
    found = [];
    list.replaceChildren(h("li", { class: "suggestion-note", role: "presentation" }, words));
    note.textContent = words;
  }

  function show(options) {
    if (!options.length) return tell("Nothing found");
    found = options;
    active = -1;
    note.textContent = `${options.length} suggestions`;
    list.replaceChildren(...options.map((each, number) => {
      const on = chosen.some((other) => keyOf(other) === keyOf(each.value));
      return h("li", { role: "option", id: `${listId}-${number}`, "aria-selected": String(on), class: "suggestion", onmousedown: (event) => { event.preventDefault(); pick(number); } },
        each.label, each.value.description && h("span", { class: "choice-description" }, each.value.description.text));
    }));
    list.scrollIntoView({ block: "nearest" });
  }

  function pick(number) {
    const { value: picked } = found[number];
    if (many) {
      const on = chosen.find((other) => keyOf(other) === keyOf(picked));
      if (on) chosen = chosen.filter((other) => other !== on);
      else if (!one.max_selected_items || chosen.length < one.max_selected_items) chosen.push(picked);
      field.value = "";
    } else {
      chosen = [picked];
    }
    close();
    changed();
  }

  function key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      if (list.hidden) { open(); search(); }
      if (found.length) {
        active = (active + step + found.length) % found.length;
        [...list.children].forEach((child, n) => child.classList.toggle("active", n === active));
        list.children[active].scrollIntoView({ block: "nearest" });
        field.setAttribute("aria-activedescendant", `${listId}-${active}`);
      }
    } else if (event.key === "Enter" && !list.hidden && active >= 0) pick(active);
    else if (event.key === "Escape" && !list.hidden) { close(); event.stopPropagation(); }
    else if (event.key === "Backspace" && !field.value && many && chosen.length) { chosen.pop(); changed(); return; }
    else return;
    event.preventDefault();
  }

  showChosen();
  return box;
}
