// The column of conversations, and who the page acts as.

import { avatar } from "./conversation.js";
import { fill, focusPath, h, icon, restoreFocus } from "./dom.js";

const read = JSON.parse(localStorage.getItem("read") || "{}");

export function markRead(state, channel) {
  if (channel.last > (read[state.me.id + channel.id] || "")) {
    read[state.me.id + channel.id] = channel.last;
    localStorage.setItem("read", JSON.stringify(read));
  }
}

const unread = (state, channel) => channel.last && channel.last_by !== state.me.id && channel.last > (read[state.me.id + channel.id] || "");

export function sidebar(node, { choose, goHome, actAs, hide }) {
  let seen = "";

  function item(state, channel, current) {
    const fresh = channel.id !== current && unread(state, channel);
    return h("button", { type: "button", class: `place ${fresh ? "unread" : ""}`, "aria-current": channel.id === current ? "page" : undefined, dataset: { focus: channel.id }, onclick: () => choose(channel.id) },
      icon(channel.is_im ? "chat" : channel.is_private ? "lock" : "hash"), h("span", {}, channel.is_im ? "Messages" : channel.name), fresh && h("span", { class: "dot" }, h("span", { class: "visually-hidden" }, "unread")));
  }

  function update(state, current, online) {
    const signature = JSON.stringify([state.channels, state.me, current, online, state.app.connections, state.app.installed, state.people.length]);
    if (signature === seen) return;
    seen = signature;
    const focused = focusPath(node);
    const rooms = state.channels.filter((each) => !each.is_im && !each.is_archived);
    const old = state.channels.filter((each) => each.is_archived);
    const direct = state.channels.filter((each) => each.is_im);
    const connected = state.app.connections > 0;
    fill(node,
      h("div", { class: "workspace" }, h("span", { class: "workspace-mark", "aria-hidden": "true" }, state.me.team[0]), h("div", {}, h("strong", {}, state.me.team), h("span", {}, online ? "Local workspace" : "Reconnecting…")),
        h("button", { type: "button", class: "button square quiet only-narrow", "aria-label": "Close the menu", onclick: hide }, icon("close"))),
      h("label", { class: "act-as" }, h("span", {}, "Acting as"),
        h("select", { dataset: { focus: "act-as" }, onchange: (event) => actAs(event.target.value) }, teams(state).map(([name, people]) =>
          h("optgroup", { label: name }, people.map((each) => h("option", { value: each.id, selected: each.id === state.me.id }, each.real_name)))))),
      h("p", { class: "role" }, state.me.title),
      h("h2", {}, "Channels"),
      rooms.map((each) => item(state, each, current)),
      old.length ? [h("h2", {}, "Archived"), old.map((each) => item(state, each, current))] : [],
      h("h2", {}, "Apps"),
      state.app.installed
        ? h("div", { class: "app-box" },
            h("div", { class: "app-name" }, avatar("app", state.app.title, true), h("div", {}, h("strong", {}, state.app.title), h("span", { class: connected ? "line on" : "line" }, connected ? "Running" : "Not running"))),
            state.app.home_enabled && h("button", { type: "button", class: "place", "aria-current": current === "home" ? "page" : undefined, dataset: { focus: "home" }, onclick: goHome }, icon("home"), h("span", {}, "Home")),
            direct.map((each) => item(state, each, current)))
        : h("p", { class: "role" }, `${state.app.title} isn’t installed here.`));
    restoreFocus(node, focused);
  }
  return { update };
}

function teams(state) {
  const groups = new Map();
  for (const each of state.people) groups.set(each.team, [...(groups.get(each.team) || []), each]);
  return [...groups];
}
