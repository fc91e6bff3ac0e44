// A conversation: its messages, its threads, what a message's menu offers.

import { act, session } from "./api.js";
import { renderBlocks } from "./blocks.js";
import { composer } from "./composer.js";
import { fill, h, icon, keyed } from "./dom.js";
import { attachMenu } from "./elements.js";
import { droppable, fileCard } from "./files.js";
import { mrkdwn } from "./mrkdwn.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const when = (ts) => new Date(Number(ts) * 1000);

const COLORS = 6;
const colorOf = (id) => [...id].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % COLORS;
const initials = (name) => name.split(" ").map((word) => word[0]).slice(0, 2).join("");

export function avatar(id, name, isApp) {
  return h("span", { class: isApp ? "avatar app" : `avatar tint-${colorOf(id)}`, "aria-hidden": "true" }, isApp ? icon("bolt") : initials(name));
}

export function messageContext(state, message) {
  const place = { channel: session.channel, ts: message.ts };
  return {
    state,
    place,
    names: state.names,
    values: message.values,
    act: (block, one, value) => act("click", { ...place, block_id: block.block_id, action_id: one.action_id, value }),
    change: () => {},
  };
}

export function messageNode(state, message, open, inThread) {
  const context = messageContext(state, message);
  const time = when(message.ts);
  const isApp = message.by_app || message.user === "USLACKBOT";
  const body = message.blocks ? renderBlocks(message.blocks, context) : message.text && h("div", { class: "message-text" }, mrkdwn(message.text, state.names));
  return h("article", { class: `message ${message.only_for_me ? "private" : ""}`, "aria-label": `${message.author}, ${clock.format(time)}`, dataset: { ts: message.ts } },
    avatar(message.user, message.author, isApp),
    h("div", { class: "message-main" },
      message.only_for_me && h("p", { class: "only-you" }, icon("eye"), "Only visible to you"),
      h("div", { class: "message-head" },
        h("strong", {}, message.author),
        isApp && h("span", { class: "tag" }, "App"),
        h("time", { datetime: time.toISOString(), title: time.toLocaleString() }, clock.format(time)),
        message.edited && h("span", { class: "muted small" }, "(edited)")),
      h("div", { class: "message-body" }, body, (message.files || []).map(fileCard)),
      !inThread && message.replies > 0 && h("button", { type: "button", class: "replies", dataset: { focus: "replies" }, onclick: () => open(message.ts) },
        `${message.replies} ${message.replies === 1 ? "reply" : "replies"}`, h("span", { class: "muted" }, `latest at ${clock.format(when(message.last_reply))}`))),
    tools(state, message, open, inThread));
}

function tools(state, message, open, inThread) {
  const shortcuts = state.app.shortcuts.filter((each) => each.kind === "message");
  const bar = h("div", { class: "message-tools" });
  if (!inThread && !message.only_for_me) {
    bar.append(h("button", { type: "button", class: "button small square quiet", "aria-label": "Reply in thread", title: "Reply in thread", dataset: { focus: "reply" }, onclick: () => open(message.thread_ts || message.ts) }, icon("reply")));
  }
  if (shortcuts.length && !message.only_for_me) {
    const menu = h("div", { class: "menu", role: "menu", hidden: true });
    const opener = h("button", { type: "button", class: "button small square quiet", "aria-label": "More message actions", title: "More actions", "aria-haspopup": "menu", "aria-expanded": "false", dataset: { focus: "more" } }, icon("more"));
    attachMenu(opener, menu, shortcuts.map((each) => ({ label: each.name, run: () => act("shortcut", { channel: session.channel, ts: message.ts, callback_id: each.callback_id }) })));
    bar.append(h("span", { class: "menu-anchor" }, opener, menu));
  }
  return bar;
}

const signature = (state, message, inThread) => JSON.stringify([message, inThread, state.app.shortcuts, state.me.id]);

function entries(messages) {
  const listed = [];
  let last = "";
  for (const message of messages) {
    const date = day.format(when(message.ts));
    if (date !== last) listed.push({ key: `day ${date}`, date });
    last = date;
    listed.push({ key: message.ts, message });
  }
  return listed;
}

// Why nothing can be written in a conversation, or "".
function closed(state, channel) {
  if (channel.is_archived) return "This channel is archived.";
  return channel.is_im && state.app.messages_read_only ? "Sending messages to this app has been turned off. Use its commands in a channel." : "";
}

export function conversation(open, upload) {
  const heading = h("header", { class: "bar" });
  const list = h("div", { class: "messages", role: "log", "aria-live": "polite", "aria-label": "Messages", tabindex: "0" });
  const foot = h("div", { class: "foot" });
  const node = h("section", { class: "conversation" }, heading, list, foot);
  let shown = null;
  let writer = null;
  droppable(node, (files) => writer?.attach(files));

  function update(state, channel, buttons) {
    fill(heading, buttons.menu,
      h("div", { class: "bar-title" },
        h("h1", {}, channel.is_im ? avatar("app", state.app.title, true) : icon(channel.is_private ? "lock" : "hash"), channel.is_im ? state.app.title : channel.name),
        h("p", { class: "muted" }, channel.is_im ? "Direct messages with the app" : `${channel.topic} · ${channel.members} members`)),
      !channel.is_im && !channel.has_bot && !channel.is_archived && state.app.installed && h("button", { type: "button", class: "button small", onclick: () => act("invite", { channel: channel.id }) }, `Add ${state.app.title}`),
      buttons.panel);
    const near = list.scrollHeight - list.scrollTop - list.clientHeight < 120;
    const fresh = shown !== channel.id + state.me.id;
    const lastSeen = list.querySelector(".message:last-of-type")?.dataset.ts || "";
    const top = state.messages.filter((message) => !message.thread_ts || message.thread_ts === message.ts || message.broadcast);
    if (fresh) list.replaceChildren();
    keyed(list, entries(top), (one) => one.key, (one) => (one.date ? one.date : signature(state, one.message)),
      (one) => (one.date ? h("div", { class: "day", role: "separator" }, h("span", {}, one.date)) : messageNode(state, one.message, open)));
    if (!top.length) list.append(h("div", { class: "empty", dataset: { key: "empty" } }, h("strong", {}, "Nothing here yet"), h("p", {}, "Write something, or type / for the app’s commands.")));
    if (fresh) {
      writer = composer({ id: "composer", label: channel.is_im ? `Message ${state.app.title}` : `Message #${channel.name}`, upload });
      fill(foot, closed(state, channel) ? h("p", { class: "archived" }, closed(state, channel)) : writer.node);
    }
    writer.update(state);
    const newest = top[top.length - 1];
    const answered = newest && newest.ts > lastSeen && (newest.by_app || newest.only_for_me || newest.user === state.me.id);
    if (fresh || near || answered) list.scrollTop = list.scrollHeight;
    shown = channel.id + state.me.id;
  }
  return { node, update, find: (ts) => list.querySelector(`[data-ts="${ts}"]`) };
}

export function thread(close, upload) {
  const list = h("div", { class: "messages", role: "log", "aria-live": "polite", "aria-label": "Replies", tabindex: "0" });
  const foot = h("div", { class: "foot" });
  const closer = h("button", { type: "button", class: "button square quiet", "aria-label": "Close thread", onclick: close }, icon("close"));
  const node = h("section", { class: "conversation" }, h("header", { class: "bar" }, h("div", { class: "bar-title" }, h("h2", {}, icon("reply"), "Thread")), closer), list, foot);
  let shown = null;
  let writer = null;
  node.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  droppable(node, (files) => writer?.attach(files));

  function update(state, ts) {
    const messages = state.messages.filter((message) => message.ts === ts || message.thread_ts === ts);
    const near = list.scrollHeight - list.scrollTop - list.clientHeight < 120;
    const lastSeen = list.querySelector(".message:last-of-type")?.dataset.ts || "";
    keyed(list, messages, (one) => one.ts, (one) => signature(state, one, true), (one) => messageNode(state, one, () => {}, true));
    if (shown !== ts) {
      writer = composer({ id: "thread-composer", label: "Reply in thread", thread_ts: ts, upload });
      fill(foot, writer.node);
      writer.focus();
    }
    writer.update(state);
    const newest = messages[messages.length - 1];
    const answered = newest && newest.ts > lastSeen && (newest.by_app || newest.user === state.me.id);
    if (shown !== ts || near || answered) list.scrollTop = list.scrollHeight;
    shown = ts;
  }
  return { node, update, forget: () => { shown = null; } };
}
