// The field to write in: Enter sends, "/" offers the app's commands, files can be attached.

import { act, session } from "./api.js";
import { h, icon, newId } from "./dom.js";
import { attachMenu } from "./elements.js";
import { fileList } from "./files.js";

export function composer({ id, label, thread_ts, upload }) {
  const listId = newId("commands");
  let commands = [];
  let shortcuts = [];
  let active = -1;
  let files = [];
  const list = h("ul", { class: "suggestions above", role: "listbox", id: listId, hidden: true, "aria-label": "Commands" });
  const field = h("textarea", {
    id, rows: "1", placeholder: label, "aria-label": label, role: "combobox", "aria-expanded": "false", "aria-controls": listId,
    oninput: () => { grow(); offer(); }, onkeydown: key, onblur: () => setTimeout(hide, 150),
  });
  const chooser = h("input", { type: "file", multiple: true, class: "visually-hidden", tabindex: "-1", "aria-label": "Attach files", onchange: () => { add([...chooser.files]); chooser.value = ""; } });
  const attach = h("button", { type: "button", class: "button square quiet", "aria-label": "Attach files", title: "Attach files", onclick: () => chooser.click() }, icon("clip"));
  const send = h("button", { type: "submit", class: "button square primary", "aria-label": "Send" }, icon("send"));
  const menu = h("div", { class: "menu above", role: "menu", hidden: true });
  const opener = h("button", { type: "button", class: "button square quiet", "aria-label": "Shortcuts", title: "Shortcuts", "aria-haspopup": "menu", "aria-expanded": "false" }, icon("bolt"));
  const anchor = h("span", { class: "menu-anchor", hidden: true }, opener, menu);
  const drafts = h("ul", { class: "file-list", "aria-label": "Files to send", hidden: true });
  const node = h("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); submit(); } }, list, field, drafts,
    h("div", { class: "composer-tools" }, attach, chooser, anchor, h("span", { class: "muted small composer-hint" }, "Enter sends, Shift + Enter starts a new line"), send));

  // Files are posted with the message, not when they are chosen.
  function add(chosen) {
    files = [...files, ...chosen];
    drafts.hidden = !files.length;
    drafts.replaceChildren(...fileList(files, (file) => { files = files.filter((other) => other !== file); add([]); field.focus(); }));
    field.focus();
  }

  function grow() {
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight, 180)}px`;
  }

  function hide() { list.hidden = true; active = -1; field.setAttribute("aria-expanded", "false"); }

  function offer() {
    const typed = field.value;
    const fitting = /^\/\S*$/.test(typed) ? commands.filter((each) => each.command.startsWith(typed)) : [];
    if (!fitting.length) return hide();
    list.replaceChildren(...fitting.map((each, number) => h("li", { role: "option", id: `${listId}-${number}`, "aria-selected": "false", class: "suggestion", dataset: { command: each.command }, onmousedown: (event) => { event.preventDefault(); take(each.command); } },
      h("strong", {}, each.command), " ", h("span", { class: "muted" }, each.usage_hint), h("span", { class: "choice-description" }, each.description))));
    list.hidden = false;
    field.setAttribute("aria-expanded", "true");
  }

  function take(command) { field.value = `${command} `; hide(); grow(); field.focus(); }

  function key(event) {
    const items = [...list.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!list.hidden && step) {
      active = (active + step + items.length) % items.length;
      items.forEach((item, n) => { item.classList.toggle("active", n === active); item.setAttribute("aria-selected", String(n === active)); });
      field.setAttribute("aria-activedescendant", items[active].id);
    } else if (!list.hidden && (event.key === "Tab" || (event.key === "Enter" && active >= 0))) take(items[Math.max(active, 0)].dataset.command);
    else if (!list.hidden && event.key === "Escape") { hide(); event.stopPropagation(); }
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit();
    else return;
    event.preventDefault();
  }

  async function submit() {
    const text = field.value.trim();
    const sent = files;
    if (!text && !sent.length) return;
    field.value = "";
    add((files = []));
    hide();
    grow();
    send.setAttribute("aria-busy", "true");
    if (sent.length) await upload(sent, thread_ts, text);
    else await act("write", { channel: session.channel, thread_ts, text });
    send.removeAttribute("aria-busy");
  }

  function update(state) {
    commands = thread_ts ? [] : [...state.app.commands, { command: "/invite", usage_hint: `@${state.app.name}`, description: "Add the app to this channel" }];
    const global = state.app.shortcuts.filter((each) => each.kind === "global");
    if (JSON.stringify(global) === JSON.stringify(shortcuts)) return;
    shortcuts = global;
    anchor.hidden = !global.length;
    menu.replaceChildren();
    attachMenu(opener, menu, global.map((each) => ({ label: each.name, run: () => act("shortcut", { callback_id: each.callback_id }) })));
  }
  return { node, update, focus: () => field.focus(), attach: add };
}
