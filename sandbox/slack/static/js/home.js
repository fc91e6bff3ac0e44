// The app's home tab.

import { act } from "./api.js";
import { renderBlocks } from "./blocks.js";
import { fill, focusPath, h, icon, restoreFocus } from "./dom.js";
import { avatar } from "./conversation.js";

export function home(openMessages) {
  const heading = h("header", { class: "bar" });
  const body = h("div", { class: "home-body", tabindex: "0", role: "region", "aria-label": "Home" });
  const node = h("section", { class: "conversation" }, heading, body);
  const drafts = new Map();
  let seen = "";

  function update(state, buttons) {
    fill(heading, buttons.menu,
      h("div", { class: "bar-title" }, h("h1", {}, avatar("app", state.app.title, true), state.app.title),
        h("div", { class: "tabs" }, h("span", { class: "tab on", "aria-current": "page" }, "Home"), h("button", { type: "button", class: "tab", onclick: openMessages }, "Messages"))),
      buttons.panel);
    const view = state.home;
    const signature = JSON.stringify([state.me.id, view?.hash]);
    if (signature === seen) return;
    seen = signature;
    if (!view) {
      fill(body, h("div", { class: "empty" }, icon("home"), h("strong", {}, "Nothing here yet"), h("p", {}, "The app hasn’t published its home tab for you.")));
      return;
    }
    const focused = focusPath(body);
    const place = { view: view.id };
    const context = {
      state, place, drafts, names: state.names, values: view.state.values,
      act: (block, one, value) => act("click", { ...place, block_id: block.block_id, action_id: one.action_id, value }),
      change: (block, one, value, done) => {
        drafts.set(`${block.block_id}/${one.action_id}`, value);
        if (done && block.dispatch_action) act("tell", { ...place, block_id: block.block_id, action_id: one.action_id, value });
      },
    };
    fill(body, h("div", { class: "home-page" }, renderBlocks(view.blocks, context)));
    restoreFocus(body, focused);
  }
  return { node, update };
}
