// Slack's mrkdwn as elements: mentions, links, bold, italic, strike, code, quotes, lists, escaped characters.

import { h } from "./dom.js";

const EMOJI = {
  white_check_mark: "✅", heavy_check_mark: "✔️", x: "❌", warning: "⚠️", hourglass: "⌛", rocket: "🚀",
  hourglass_flowing_sand: "⏳", tada: "🎉", bell: "🔔", no_bell: "🔕", wave: "👋", eyes: "👀", lock: "🔒",
  key: "🔑", bulb: "💡", rotating_light: "🚨", information_source: "ℹ️", arrow_right: "➡️", pause_button: "⏸️",
  double_vertical_bar: "⏸️", loudspeaker: "📢",
  arrow_forward: "▶️", repeat: "🔁", memo: "📝", mag: "🔍", busts_in_silhouette: "👥", link: "🔗", clock3: "🕒",
  large_green_circle: "🟢", large_yellow_circle: "🟡", red_circle: "🔴", white_circle: "⚪", inbox_tray: "📥",
  outbox_tray: "📤", bar_chart: "📊", calendar: "📅", gear: "⚙️", thumbsup: "👍", "+1": "👍", raised_hand: "✋",
  no_entry_sign: "🚫", arrows_counterclockwise: "🔄",
};

export const emoji = (name) => EMOJI[name] || `:${name}:`;

export const unescape = (text) =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

const safe = (url) => (/^(https?:|mailto:|\/)/i.test(url) ? url : undefined);

export function link(url, label) {
  return h("a", { href: safe(unescape(url)), target: "_blank", rel: "noopener noreferrer" }, label || unescape(url));
}

// A moment in the reader's own time, as its format asks: {date_short_pretty} is "today" where it is.
function date(target, fallback) {
  const [, seconds, format] = target.split("^");
  const at = new Date(Number(seconds) * 1000);
  if (!format || Number.isNaN(at.getTime())) return fallback;
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86400000);
  const pretty = { 0: "today", 1: "yesterday", [-1]: "tomorrow" }[days];
  const written = format.replace(/\{(\w+)\}/g, (all, name) => {
    if (name.startsWith("time")) return at.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit", second: name.endsWith("secs") ? "2-digit" : undefined });
    if (name.endsWith("_pretty") && pretty) return pretty;
    if (name === "date_num") return at.toLocaleDateString();
    const month = name.startsWith("date_short") ? "short" : "long";
    return at.toLocaleDateString(undefined, { year: "numeric", month, day: "numeric", weekday: name.startsWith("date_long") ? "long" : undefined });
  });
  return h("time", { datetime: at.toISOString(), title: at.toLocaleString() }, written);
}

export const mention = (text) => h("span", { class: "mention" }, text);

function reference(body, names) {
  const [target, label] = body.split("|");
  const id = target.slice(1);
  if (target[0] === "@") return mention(`@${unescape(label || names[id] || id)}`);
  if (target[0] === "#") return mention(`#${unescape(label || names[id] || id)}`);
  if (target.startsWith("!date^")) return date(target, unescape(label || ""));
  if (id.startsWith("subteam^")) return mention(`@${unescape(label || names[id.slice(8)] || id.slice(8))}`);
  if (target[0] === "!") return mention(unescape(label || `@${id.split("^")[0]}`));
  return link(target, label && unescape(label));
}

const INLINE =
  /<([^<>\n]+)>|`([^`\n]+)`|(?<![\w*])\*(?!\s)([^*\n]+?)(?<!\s)\*(?![\w*])|(?<!\w)_(?!\s)([^_\n]+?)(?<!\s)_(?!\w)|(?<![\w~])~(?!\s)([^~\n]+?)(?<!\s)~(?![\w~])|:([a-z0-9_+-]+):/g;

export function inline(text, names = {}) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    nodes.push(unescape(text.slice(end, found.index)));
    const [all, angle, code, bold, italic, strike, name] = found;
    if (angle) nodes.push(reference(angle, names));
    else if (code) nodes.push(h("code", {}, unescape(code)));
    else if (bold) nodes.push(h("strong", {}, inline(bold, names)));
    else if (italic) nodes.push(h("em", {}, inline(italic, names)));
    else if (strike) nodes.push(h("s", {}, inline(strike, names)));
    else nodes.push(EMOJI[name] ? h("span", { role: "img", "aria-label": name.replaceAll("_", " ") }, EMOJI[name]) : all);
    end = found.index + all.length;
  }
  nodes.push(unescape(text.slice(end)));
  return nodes;
}

export function mrkdwn(text, names = {}) {
  const parts = text.split("```");
  return parts.map((part, number) =>
    number % 2 ? h("pre", {}, unescape(part.replace(/^\n|\n$/g, ""))) : lines(part, names),
  );
}

function lines(text, names) {
  const nodes = [];
  let quote = null;
  text.split("\n").forEach((line, number, all) => {
    const quoted = /^(?:&gt;|>) ?(.*)$/.exec(line);
    if (quoted) {
      if (!quote) nodes.push((quote = h("blockquote", {})));
      else quote.append(h("br"));
      quote.append(...inline(quoted[1], names).flat());
      return;
    }
    quote = null;
    nodes.push(...inline(line, names));
    if (number < all.length - 1) nodes.push(h("br"));
  });
  return nodes;
}

export function text(object, names = {}) {
  if (!object) return [];
  if (typeof object === "string") return [object];
  if (object.type === "mrkdwn") return mrkdwn(object.text, names);
  return [object.text.replace(/:([a-z0-9_+-]+):/g, (all, name) => (object.emoji === false ? all : EMOJI[name] || all))];
}
