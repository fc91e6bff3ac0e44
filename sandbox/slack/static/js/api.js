// Talks to the server on behalf of the person that the page acts as.

import { toast } from "./dom.js";

export const session = { as: localStorage.getItem("as") || "", channel: "" };

async function json(response) {
  if (!response.ok && response.status >= 500 && response.status !== 502) throw new Error(`status ${response.status}`);
  return response.json();
}

export async function readState() {
  const query = new URLSearchParams({ as: session.as, channel: session.channel });
  return json(await fetch(`/_page/state?${query}`));
}

// Do something; what went wrong is told in a toast unless the caller wants it.
export async function act(what, body = {}, quiet = false) {
  const response = await fetch("/_page/act", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ as: session.as, do: what, ...body }),
  });
  const answer = await json(response);
  if (!quiet && answer.ok === false && answer.shown) toast(answer.shown);
  return answer;
}

export async function upload(file, target = {}) {
  const query = new URLSearchParams({ as: session.as, name: file.name, ...target });
  return json(await fetch(`/_page/upload?${query}`, { method: "POST", body: file }));
}

export const fileAddress = (id) => `/_page/files/${id}?as=${session.as}`;

export function listen(onChange, onLine) {
  const events = new EventSource("/_page/events");
  events.onmessage = onChange;
  events.onopen = () => onLine(true);
  events.onerror = () => onLine(false);
}

export async function sandbox(path, method = "GET", body = undefined) {
  const response = await fetch(`/_sandbox/${path}`, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  return response.json();
}
