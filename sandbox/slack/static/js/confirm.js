// The confirmation dialog of an element.

import { h, newId } from "./dom.js";
import { text } from "./mrkdwn.js";

export function confirmed(confirm, names) {
  return new Promise((resolve) => {
    const id = newId("confirm");
    const dialog = h("dialog", { class: "dialog small-dialog", "aria-labelledby": id, onclose: () => { dialog.remove(); resolve(dialog.returnValue === "yes"); } },
      h("form", { method: "dialog" },
        h("h2", { id, class: "dialog-title" }, confirm.title ? text(confirm.title) : "Are you sure?"),
        confirm.text && h("p", {}, text(confirm.text, names)),
        h("div", { class: "dialog-buttons" },
          h("button", { class: "button", value: "no" }, confirm.deny ? text(confirm.deny) : "Cancel"),
          h("button", { class: `button ${confirm.style === "danger" ? "danger" : "primary"}`, value: "yes" }, confirm.confirm ? text(confirm.confirm) : "Yes"))));
    document.body.append(dialog);
    dialog.showModal();
  });
}
