// Files: shown in messages, chosen or dropped into a file input.

import { fileAddress, upload } from "./api.js";
import { h, icon, size, toast } from "./dom.js";

export function fileCard(file) {
  return h("a", { class: "file", href: fileAddress(file.id), download: file.name },
    h("span", { class: "file-icon" }, icon("file")),
    h("span", { class: "file-words" }, h("strong", {}, file.title || file.name), h("span", { class: "muted" }, `${file.pretty_type} · ${size(file.size)}`)));
}

// The items of a list of files that are not sent yet, each with a button that takes it away.
export function fileList(files, remove) {
  return files.map((file) => h("li", {}, icon("file"), h("span", {}, file.name), h("span", { class: "muted" }, size(file.size)),
    h("button", { type: "button", class: "button small square quiet", "aria-label": `Remove ${file.name}`, onclick: () => remove(file) }, icon("close"))));
}

// Call `take` with files dropped on a part of the page.
export function droppable(node, take) {
  let depth = 0;
  const mark = (on) => node.classList.toggle("dropping", on);
  node.addEventListener("dragenter", (event) => { event.preventDefault(); depth += 1; mark(true); });
  node.addEventListener("dragover", (event) => event.preventDefault());
  node.addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) mark(false); });
  node.addEventListener("drop", (event) => { event.preventDefault(); depth = 0; mark(false); take([...event.dataTransfer.files]); });
}

export function fileInput(one, block, context, shared, value, keep) {
  const most = one.max_files || 10;
  let files = Array.isArray(value) ? value : value?.shown || [];
  const listed = h("ul", { class: "file-list" });
  const chooser = h("input", { ...shared, type: "file", multiple: most > 1, class: "visually-hidden", accept: (one.filetypes || []).map((each) => `.${each}`).join(",") || undefined, onchange: () => add([...chooser.files]) });
  const zone = h("label", { class: "drop-zone" }, icon("file"),
    h("span", {}, h("strong", {}, "Choose a file"), " or drop it here"),
    h("span", { class: "muted" }, [one.filetypes?.length ? one.filetypes.join(", ").toUpperCase() : "Any kind", "up to 10 MB", most > 1 ? `at most ${most}` : ""].filter(Boolean).join(" · ")), chooser);

  function show() {
    listed.replaceChildren(...fileList(files, (file) => { files = files.filter((other) => other !== file); changed(); }));
    zone.hidden = files.length >= most;
  }

  function changed() {
    show();
    keep({ files: files.map((file) => file.id), shown: files });
  }

  async function add(chosen) {
    for (const file of chosen.slice(0, most - files.length)) {
      const extension = file.name.split(".").pop().toLowerCase();
      if (one.filetypes?.length && !one.filetypes.includes(extension)) toast(`${file.name} is not one of: ${one.filetypes.join(", ")}`);
      else if (file.size > 10 * 1024 * 1024) toast(`${file.name} is larger than 10 MB`);
      else files = [...files, await upload(file)];
    }
    chooser.value = "";
    changed();
  }

  const box = h("div", { class: "file-input" }, zone, listed);
  droppable(zone, add);
  show();
  return box;
}
