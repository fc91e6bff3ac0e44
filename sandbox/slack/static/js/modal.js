// Modals: the one on top of the person's stack, in a native dialog that keeps the focus inside.

import { act } from "./api.js";
import { renderBlocks } from "./blocks.js";
import { fill, focusPath, h, icon, restoreFocus } from "./dom.js";
import { text } from "./mrkdwn.js";

export function modals() {
  const drafts = new Map(); // view id -> what was typed since the server last knew
  const heading = h("h2", { id: "modal-title", class: "dialog-title" });
  const back = h("button", { type: "button", class: "button square quiet", "aria-label": "Back", onclick: () => close(false) }, icon("back"));
  const x = h("button", { type: "button", class: "button square quiet", "aria-label": "Close", onclick: () => close(true) }, icon("close"));
  const body = h("div", { class: "dialog-body", tabindex: "-1" });
  const foot = h("footer", { class: "dialog-buttons" });
  const form = h("form", { class: "dialog-form", novalidate: true, onsubmit: (event) => { event.preventDefault(); submit(); } }, h("header", { class: "dialog-head" }, back, heading, x), body, foot);
  const dialog = h("dialog", { class: "dialog", id: "modal", "aria-labelledby": "modal-title", oncancel: (event) => { event.preventDefault(); close(false); } }, form);
  document.body.append(dialog);
  let view = null;
  let seen = "";
  let busy = false;
  let opener = null;
  let toError = false; // a submission was refused, and the first wrong field has not got the focus yet

  // An update of the modal may have taken inputs away: Slack forgets what was entered there.
  const values = () => {
    const there = new Set(view.blocks.map((block) => block.block_id));
    return Object.fromEntries([...(drafts.get(view.id) || [])].filter(([key]) => there.has(key.slice(0, key.lastIndexOf("/")))));
  };

  function context(state) {
    const mine = drafts.get(view.id) || new Map();
    drafts.set(view.id, mine);
    const place = { view: view.id };
    return {
      state, place, drafts: mine, names: state.names, values: view.state.values, errors: view.errors,
      act: (block, one, value) => {
        if (value !== undefined && one.type !== "button" && one.type !== "overflow") mine.set(`${block.block_id}/${one.action_id}`, value);
        return act("click", { ...place, values: values(), block_id: block.block_id, action_id: one.action_id, value });
      },
      change: (block, one, value, done) => {
        mine.set(`${block.block_id}/${one.action_id}`, value);
        if (done && block.dispatch_action) act("tell", { ...place, values: values(), block_id: block.block_id, action_id: one.action_id, value });
      },
    };
  }

  async function submit() {
    if (busy || !view.submit) return;
    setBusy(true);
    const answer = await act("submit", { view: view.id, values: values() }, true);
    setBusy(false);
    if (answer.errors && Object.keys(answer.errors).length) { toError = true; focusError(); }
  }

  // The errors may be shown before or after the answer to the submission arrives.
  function focusError() {
    const field = body.querySelector(".has-error input, .has-error textarea, .has-error select");
    if (!toError || !field) return;
    toError = false;
    field.focus();
    field.closest(".has-error").scrollIntoView({ block: "nearest" });
  }

  function setBusy(on) {
    busy = on;
    dialog.setAttribute("aria-busy", String(on));
    foot.querySelector("[type=submit]")?.toggleAttribute("disabled", on);
  }

  const close = (everything) => act("close", { view: view.id, everything });

  function update(state) {
    const top = state.views.at(-1);
    if (!top) {
      if (dialog.open) dialog.close();
      if (view) { opener?.isConnected ? opener.focus() : document.getElementById("composer")?.focus(); }
      view = null;
      seen = "";
      drafts.clear();
      return;
    }
    const signature = JSON.stringify([top.id, top.hash, top.errors, top.problem, state.views.length]);
    const other = view?.id !== top.id;
    view = top;
    if (signature === seen) return;
    seen = signature;
    for (const id of drafts.keys()) if (!state.views.some((each) => each.id === id)) drafts.delete(id);
    const focused = focusPath(body);
    const scroll = body.scrollTop;
    fill(heading, text(top.title));
    back.hidden = state.views.length < 2;
    fill(body, top.problem && h("div", { class: "alert alert-error", role: "alert" }, icon("alert"), top.problem), renderBlocks(top.blocks, context(state)));
    fill(foot, h("button", { type: "button", class: "button", onclick: () => close(false) }, top.close ? text(top.close) : top.submit ? "Cancel" : "Close"),
      top.submit && h("button", { type: "submit", class: "button primary" }, text(top.submit)));
    setBusy(false);
    if (!dialog.open) {
      opener = document.activeElement;
      dialog.showModal();
    }
    if (other) (body.querySelector("[autofocus]") || body.querySelector("input:not([type=file]), textarea, select, button") || x).focus({ preventScroll: true });
    else { body.scrollTop = scroll; restoreFocus(body, focused); }
    focusError();
  }
  return { update };
}
