// Starts the page: keeps the state up to date and shows the right part of it.

import { act, listen, readState, session, upload } from "./api.js";
import { conversation, thread } from "./conversation.js";
import { fill, h, icon, toast } from "./dom.js";
import { home } from "./home.js";
import { modals } from "./modal.js";
import { panel } from "./panel.js";
import { markRead, sidebar } from "./sidebar.js";

const part = (id) => document.getElementById(id);
const main = part("main");
const side = part("sidebar");
const aside = part("thread");
const drawer = part("panel");

let state = null;
let place = "";
let threadTs = null;
let wanted = "";
let online = true;
let reading = null;
let again = false;

// The text is posted with the first file.
async function send(files, thread_ts, text) {
  for (const [place, file] of files.entries()) {
    await upload(file, { channel: session.channel, ...(thread_ts ? { thread_ts } : {}), ...(text && place === 0 ? { comment: text } : {}) });
  }
}

const room = conversation(openThread, send);
const replies = thread(() => openThread(null), (files, ts, text) => send(files, ts || threadTs, text));
const homeTab = home(() => choose(state.channels.find((each) => each.is_im).id));
const modal = modals();
const sandbox = panel(drawer, () => showPanel(false));
const column = sidebar(side, { choose, goHome: openHome, actAs, hide: () => showMenu(false) });
fill(aside, replies.node);

function buttons() {
  const open = !drawer.hidden;
  return {
    menu: h("button", { type: "button", class: "button square quiet only-narrow", "aria-label": "Conversations", onclick: () => showMenu(true) }, icon("menu")),
    panel: h("button", { type: "button", class: "button quiet panel-button", "aria-label": "Sandbox", title: "Sandbox: lists, requests, faults", "aria-pressed": String(open), onclick: () => showPanel(!open) }, icon("sliders"), h("span", { class: "only-wide" }, "Sandbox")),
  };
}

function draw() {
  if (!state) return;
  const channel = state.channels.find((each) => each.id === place);
  if (place !== "home" && !channel) return choose(state.channels.find((each) => !each.is_archived)?.id || "");
  const shown = place === "home" ? homeTab : room;
  if (main.firstElementChild !== shown.node) fill(main, shown.node);
  if (place === "home") homeTab.update(state, buttons());
  else {
    room.update(state, channel, buttons());
    markRead(state, channel);
  }
  aside.hidden = !threadTs || place === "home";
  if (!aside.hidden) replies.update(state, threadTs);
  column.update(state, place, online);
  modal.update(state);
  document.title = `${place === "home" ? state.app.title : channel.is_im ? state.app.title : `#${channel.name}`} · ${state.me.team}`;
  if (wanted) {
    const found = room.find(wanted);
    wanted = "";
    found?.scrollIntoView({ block: "center" });
    found?.classList.add("found");
  }
}

// Whoever calls this while it is being read gets what is read after that.
function refresh() {
  again = true;
  reading ||= read().finally(() => {
    reading = null;
    sandbox.later();
    if (again) refresh();
  });
  return reading;
}

async function read() {
  try {
    while (again) {
      again = false;
      const [as, channel] = [session.as, session.channel];
      const found = await readState();
      if (session.as !== as || session.channel !== channel) { again = true; continue; } // it is not what is wanted any more
      state = found;
      session.as = state.me.id;
      draw();
    }
  } catch (error) {
    console.warn("the workspace could not be read", error);
  }
}

function choose(id) {
  place = id;
  session.channel = id;
  threadTs = null;
  replies.forget();
  showMenu(false);
  history.replaceState(null, "", `#${id}`);
  if (id) refresh();
  if (state?.channels.find((each) => each.id === id)?.is_im) act("home", { tab: "messages" }, true);
}

async function openHome() {
  place = "home";
  threadTs = null;
  showMenu(false);
  history.replaceState(null, "", "#home");
  draw();
  await act("home");
}

function openThread(ts) {
  threadTs = ts;
  if (!ts) { replies.forget(); part("composer")?.focus(); }
  draw();
}

function actAs(id) {
  session.as = id;
  localStorage.setItem("as", id);
  threadTs = null;
  replies.forget();
  const before = state.me.team_id;
  refresh().then(() => {
    if (state.me.team_id !== before || place === "home") choose(state.channels.find((each) => !each.is_archived)?.id || "");
    else if (state.channels.find((each) => each.id === place) === undefined) choose(state.channels[0].id);
  });
}

function showMenu(on) {
  document.body.classList.toggle("menu-open", on);
  if (on) side.querySelector("[aria-current]")?.focus();
}

function showPanel(on) {
  drawer.hidden = !on;
  localStorage.setItem("panel", on ? "open" : "closed");
  if (on) sandbox.refresh().catch(() => toast("The sandbox can’t be reached."));
  draw();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("menu-open")) showMenu(false);
});
side.addEventListener("click", (event) => { if (event.target === side) showMenu(false); });

const [start, ts] = decodeURIComponent(location.hash.slice(1)).split("/");
wanted = ts || "";
place = start === "home" ? "home" : start;
session.channel = start === "home" ? "" : start;
const remembered = localStorage.getItem("panel");
drawer.hidden = remembered !== "open";
if (!drawer.hidden) sandbox.refresh().catch(() => {});
listen(refresh, (now) => { online = now; if (now) refresh(); else draw(); });
if (place === "home") refresh().then(() => act("home"));
else refresh();
