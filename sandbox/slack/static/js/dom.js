// Small helpers to build and update the page's elements.

export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (key === "dataset") Object.assign(node.dataset, value);
    else if (key in node && typeof value !== "string") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  append(node, children);
  return node;
}

export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child);
  }
}

export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
}

// Keep a list of elements equal to items: only those whose signature changed are built anew.
export function keyed(parent, items, keyOf, signatureOf, build) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const focused = focusPath(parent);
  items.forEach((item, index) => {
    const key = keyOf(item);
    const signature = signatureOf(item);
    let node = old.get(key);
    old.delete(key);
    if (!node || node.signature !== signature) {
      const fresh = build(item);
      fresh.dataset.key = key;
      fresh.signature = signature;
      if (node) node.replaceWith(fresh);
      node = fresh;
    }
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] || null);
  });
  for (const node of old.values()) node.remove();
  restoreFocus(parent, focused);
}

export function focusPath(parent) {
  const active = document.activeElement;
  if (!active || !parent.contains(active)) return null;
  const caret = typeof active.selectionStart === "number" ? active.selectionStart : null;
  return { node: active, id: active.dataset.focus, key: active.closest("[data-key]")?.dataset.key, caret };
}

export function restoreFocus(parent, path) {
  if (!path || document.contains(path.node) || !path.id) return;
  const scope = path.key ? parent.querySelector(`[data-key="${CSS.escape(path.key)}"]`) : parent;
  const found = (scope || parent).querySelector(`[data-focus="${CSS.escape(path.id)}"]`);
  found?.focus();
  if (found && path.caret !== null) found.setSelectionRange?.(path.caret, path.caret);
}

const SHAPES = {
  hash: "M6.5 3 5 17M14 3l-1.5 14M3 7.5h14M2.5 12.5h14",
  lock: "M5 9h10v8H5zM7 9V6.5a3 3 0 0 1 6 0V9",
  home: "M3 9.5 10 3.5l7 6M5 8.5V17h10V8.5",
  chat: "M3 4h14v9.5H9L5 17v-3.5H3z",
  menu: "M3 5.5h14M3 10h14M3 14.5h14",
  close: "M5 5l10 10M15 5 5 15",
  reply: "M8 5 3.5 9.5 8 14M4 9.5h7a5 5 0 0 1 5 5V16",
  more: "M4 10h.01M10 10h.01M16 10h.01",
  clip: "M14.5 8.5 9 14a3.2 3.2 0 0 1-4.5-4.5l6-6a2.2 2.2 0 0 1 3 3l-6 6",
  send: "M3 10 17 4l-4.5 13-3-5.5z",
  bolt: "M11 2.5 4.5 11H9l-.5 6.5L15.5 9H11z",
  sliders: "M3 6h9M15.5 6H17M3 14h2M8.5 14H17M12 6a1.7 1.7 0 1 0 3.4 0 1.7 1.7 0 0 0-3.4 0M5 14a1.7 1.7 0 1 0 3.4 0A1.7 1.7 0 0 0 5 14",
  file: "M5 2.5h6.5L15 6v11.5H5zM11.5 2.5V6H15",
  eye: "M2 10s3-5.5 8-5.5S18 10 18 10s-3 5.5-8 5.5S2 10 2 10m5.7 0a2.3 2.3 0 1 0 4.6 0 2.3 2.3 0 0 0-4.6 0",
  back: "M12 4 6 10l6 6",
  down: "M5 7.5 10 13l5-5.5",
  check: "m4 10.5 4 4 8-9",
  alert: "M10 3 18 17H2zM10 8v4M10 14.5h.01",
  info: "M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15M10 9v5M10 6.2h.01",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

let ids = 0;
export const newId = (prefix) => `${prefix}-${++ids}`;

export function toast(text) {
  const note = h("div", { class: "toast" }, icon("info"), h("span", {}, text));
  const notes = document.getElementById("toasts");
  notes.append(note);
  if (notes.matches(":popover-open")) notes.hidePopover();
  notes.showPopover(); // above an open dialog too
  setTimeout(() => {
    note.remove();
    if (!notes.children.length) notes.hidePopover();
  }, 7000);
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
