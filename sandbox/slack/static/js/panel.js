// The panel beside the workspace: the local Iterable's lists and requests, switches to break things, and mParticle.

import { sandbox } from "./api.js";
import { fill, focusPath, h, icon, restoreFocus, toast } from "./dom.js";

const SLACK_FAULTS = [
  ["Too many requests", "429, wait 2 s", { kind: "ratelimited", retry_after: 2 }],
  ["Server errors", "500", { kind: "server_error" }],
  ["No answer", "requests hang", { kind: "no_answer", method: "chat.*" }],
  ["Lost answers", "done, but never told", { kind: "lost_answer", method: "chat.*" }],
  ["Channel not found", "chat.*", { kind: "channel_not_found", method: "chat.*" }],
  ["Not in channel", "chat.*", { kind: "not_in_channel", method: "chat.*" }],
  ["Invalid blocks", "chat.*", { kind: "invalid_blocks", method: "chat.*" }],
];
const ITERABLE_FAULTS = [
  ["Server errors", "500 for all", { action: "error", status: 500 }],
  ["Gateway down", "502 page", { action: "html", status: 502 }],
  ["Every third fails", "500, by chance", { action: "error", status: 500, probability: 0.34 }],
  ["Too many requests", "429, wait 2 s", { action: "throttle", retry_after: 2 }],
  ["Slow", "answers take 3 s", { action: "slow", delay: 3 }],
  ["No answer", "requests hang", { action: "hang" }],
];
// Settings of the local Iterable that are switched on and off: name, explanation, setting, value.
const ITERABLE_SETTINGS = [
  ["New lists are unknown", "for 30 s", "list_ready_after", 30.0],
  ["Members show late", "after 30 s", "membership_after", 30.0],
  ["Single-user calls come late", "after 60 s: bulk calls overtake them", "single_calls_after", 60.0],
  ["A merge keeps the lists", "of both profiles", "merge_keeps_lists", true],
];
const PROJECT_TYPES = [["email", "email-based"], ["userId", "userID-based"], ["hybrid", "hybrid"]];
const MARK = "Switched on in the panel: ";

// One change after the other: to switch a fault off, the answer to switching it on has to be there.
let changes = Promise.resolve();
function inTurn(change) {
  changes = changes.catch(() => {}).then(change);
  return changes;
}

function toggle(name, detail, on, change, id) {
  return h("label", { class: "switch" },
    h("input", { type: "checkbox", role: "switch", checked: on, dataset: { focus: id }, onchange: ({ target: { checked } }) => inTurn(() => change(checked)) }),
    h("span", { class: "track", "aria-hidden": "true" }), h("span", { class: "switch-words" }, name, h("span", { class: "muted" }, detail)));
}

export function panel(node, close) {
  let slack = null;
  let iterable = null;
  let timer = null;
  let address = "";
  const opened = new Map();

  async function refresh() {
    slack = await sandbox("slack");
    iterable = slack.iterable ? await sandbox("iterable") : null;
    if (iterable && !iterable.error) iterable.settings = await sandbox("iterable/settings");
    draw();
  }

  // Changes come in bursts; the panel follows a little behind.
  function later() {
    if (node.hidden || timer) return;
    timer = setTimeout(async () => {
      timer = null;
      await refresh().catch(() => {});
    }, 400);
  }

  const sameFault = (fault, preset) => Object.entries(preset).every(([key, value]) => fault[key] === value) && (preset.method || fault.method === "*");

  async function setSlack(preset, on) {
    const active = slack.faults.filter((each) => sameFault(each, preset));
    if (on) slack = await sandbox("slack/faults", "POST", preset);
    else for (const each of active) slack = await sandbox(`slack/faults/${each.id}`, "DELETE");
    draw();
  }

  async function setIterable(name, preset, on) {
    const others = iterable.faults.filter((each) => each.msg !== MARK + name);
    const faults = on ? [...others, { ...preset, msg: MARK + name }] : others;
    const answer = await sandbox("iterable/faults", "PUT", { faults });
    if (answer.error) toast(answer.error);
    await refresh();
  }

  async function setKeys(on) {
    for (const project of iterable.projects) {
      for (const key of Object.keys(project.keys)) await sandbox("iterable/keys", "POST", { key, status: on ? "revoked" : "active", project: project.name });
    }
    await refresh();
  }

  async function schedule(list) {
    const answer = await sandbox("iterable/campaigns", "POST", { name: `${list.name} launch`, listIds: [list.id], inMinutes: 60 });
    toast(answer.error || `${answer.name} goes to list ${list.id} in an hour.`);
    await refresh();
  }

  async function finish(campaign) {
    await sandbox(`iterable/campaigns/${campaign.id}`, "PATCH", { state: "Finished" });
    await refresh();
  }

  function campaigns(project) {
    const due = project.campaigns.filter((each) => ["Scheduled", "Running"].includes(each.campaignState));
    return due.length > 0 && h("ul", { class: "requests" }, due.map((each) => h("li", {}, h("span", { class: "path" }, each.name), h("span", { class: "muted" }, ` ${each.campaignState} ${new Date(each.startAt).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })} `), h("button", { type: "button", class: "button small", "aria-label": `Finish ${each.name}`, onclick: () => finish(each) }, "Finish"))));
  }

  async function setSetting(name, value, on) {
    const answer = await sandbox("iterable/settings", "PATCH", { [name]: on ? value : typeof value === "boolean" ? false : 0.0 });
    if (answer.error) toast(answer.error);
    await refresh();
  }

  async function forget(email) {
    const answer = await sandbox("iterable/forget", "POST", { email });
    toast(answer.error || (answer.known ? "Forgotten for good." : "Forgotten for good. Iterable did not know the address."));
  }

  const oneFails = (email) => [`500 for ${email}`, { action: "error", status: 500, path: "/api/lists/", contains: email }];

  // What is done to a single person: the address is kept while the panel is drawn again.
  async function concern(event) {
    event.preventDefault();
    const email = address.trim().toLowerCase();
    if (!email) return;
    address = "";
    if (event.submitter?.value === "fail") await setIterable(...oneFails(email), true);
    else await forget(email);
    await refresh();
  }

  // What Iterable may do in other ways, and what it can't change itself: the type of the first project.
  function behavior() {
    const [project] = iterable.projects;
    const failing = iterable.faults.map((each) => each.msg).filter((msg) => msg.startsWith(`${MARK}500 for `)).map((msg) => msg.slice(`${MARK}500 for `.length));
    return h("fieldset", { class: "panel-block" }, h("legend", {}, "How it behaves"),
      h("label", { class: "panel-form" }, h("span", {}, `Type of ${project.name}`),
        h("select", { dataset: { focus: "iterable type" }, onchange: async (event) => { await sandbox("iterable/projects/type", "POST", { type: event.target.value }); await refresh(); } },
          PROJECT_TYPES.map(([value, words]) => h("option", { value, selected: value === project.type }, words)))),
      ITERABLE_SETTINGS.map(([name, detail, setting, value]) => toggle(name, detail, Boolean(iterable.settings[setting]), (on) => setSetting(setting, value, on), `iterable ${setting}`)),
      failing.map((email) => toggle(email, "500 for requests with it", true, () => setIterable(...oneFails(email), false), `iterable fails ${email}`)),
      h("form", { class: "panel-form", onsubmit: concern },
        h("label", {}, h("span", {}, `A person (${project.forgotten.toLocaleString()} forgotten so far)`),
          h("input", { type: "email", value: address, placeholder: "email", dataset: { focus: "iterable person" }, oninput: (event) => { address = event.target.value; } })),
        h("div", { class: "actions" },
          h("button", { type: "submit", value: "forget", class: "button small" }, "Forget"),
          h("button", { type: "submit", value: "fail", class: "button small" }, "Answer 500"))));
  }

  // The first project's lists are in view, and those of any other that somebody is in.
  function lists(project, number) {
    return h("details", { class: "panel-block project", open: opened.get(project.name) ?? (number === 0 || project.people > 0), ontoggle: (event) => opened.set(project.name, event.target.open) },
      h("summary", {}, icon("down"), h("h4", {}, project.name, h("span", { class: "muted" }, `${project.people.toLocaleString()} people`))),
      h("table", { class: "figures" }, h("thead", { class: "visually-hidden" }, h("tr", {}, h("th", {}, "List"), h("th", {}, "Subscribers"), h("th", {}, "Campaign"))),
        h("tbody", {}, project.lists.map((each) => h("tr", {}, h("td", {}, each.name, h("span", { class: "muted" }, ` ${each.type === "Standard" ? "" : each.type} #${each.id}`)), h("td", {}, each.size.toLocaleString()), h("td", {}, each.type === "Standard" && h("button", { type: "button", class: "button small", "aria-label": `Schedule a campaign to ${each.name}`, onclick: () => schedule(each) }, "Schedule")))))), campaigns(project), dataFields(project));
  }

  // What syncs have sent besides email and user id, and whom Iterable knows it of, the latest few.
  function dataFields(project) {
    if (!project.fields.length) return null;
    return h("div", { class: "data-fields" }, h("h4", {}, "Data fields"),
      h("table", { class: "figures" }, h("thead", { class: "visually-hidden" }, h("tr", {}, h("th", {}, "Field"), h("th", {}, "People"))),
        h("tbody", {}, project.fields.map((each) => h("tr", {}, h("td", {}, each.name, h("span", { class: "muted" }, ` ${each.type}`)), h("td", {}, each.people.toLocaleString()))))),
      h("ul", { class: "requests" }, project.profiles.map((each) => h("li", {}, h("span", { class: "path" }, each.email || each.userId), h("span", { class: "muted" }, JSON.stringify(each.dataFields))))));
  }

  function requests(rows) {
    if (!rows.length) return h("p", { class: "muted" }, "None yet.");
    return h("ol", { class: "requests" }, rows.map((each) => h("li", {}, h("span", { class: each.good ? "status good" : "status bad" }, each.status), h("span", { class: "path" }, each.what), each.more && h("span", { class: "muted" }, each.more))));
  }

  function iterableParts() {
    if (!slack.iterable) return h("p", { class: "muted" }, "No local Iterable was named when this workspace was started.");
    if (!iterable || iterable.error) return h("p", { class: "alert alert-error" }, icon("alert"), iterable?.error || "The local Iterable doesn’t answer.");
    const keys = iterable.projects.flatMap((each) => Object.values(each.keys));
    const rows = [...iterable.requests].sort((one, two) => two.seq - one.seq).slice(0, 12).map((each) => ({ status: each.status || "none", good: each.status >= 200 && each.status < 400, what: `${each.method} ${each.path.replace("/api/", "")}`, more: each.subscribers ? `${each.subscribers.toLocaleString()} people` : "" }));
    return [iterable.projects.map(lists),
      h("fieldset", { class: "panel-block" }, h("legend", {}, "Break it"),
        ITERABLE_FAULTS.map(([name, detail, preset]) => toggle(name, detail, iterable.faults.some((each) => each.msg === MARK + name), (on) => setIterable(name, preset, on), `iterable ${name}`)),
        keys.length > 0 && toggle("Keys revoked", "401 for every key", keys.every((each) => each !== "active"), setKeys, "iterable keys")),
      behavior(),
      h("div", { class: "panel-block" }, h("h4", {}, "Latest requests"), requests(rows))];
  }

  function slackParts() {
    const rows = slack.calls.slice(0, 10).map((each) => ({ status: each.status, good: each.status < 400 && !each.error, what: each.method, more: each.error }));
    return [
      h("fieldset", { class: "panel-block" }, h("legend", {}, "Break it"),
        SLACK_FAULTS.map(([name, detail, preset]) => toggle(name, detail, slack.faults.some((each) => sameFault(each, preset)), (on) => setSlack(preset, on), `slack ${name}`)),
        toggle("Rate limits", "as Slack enforces them", slack.rates, async (on) => { slack = await sandbox("slack/rates", "POST", { enforced: on }); draw(); }, "slack rates"),
        h("div", { class: "actions" },
          h("button", { type: "button", class: "button small", onclick: async () => { slack = await sandbox("slack/sockets/drop", "POST"); draw(); } }, "Drop the connection"),
          h("button", { type: "button", class: "button small", onclick: async () => { slack = await sandbox("slack/sockets/refresh", "POST"); draw(); } }, "Ask to reconnect"))),
      h("div", { class: "panel-block" }, h("h4", {}, "Latest requests of the app"), requests(rows))];
  }

  // What mParticle has to say is said while it plays; the audience is connected only once, however often it is played.
  function mparticleParts() {
    const press = (what) => async () => { slack.mparticle = (await sandbox(`mparticle/${what}`, "POST")).mparticle; draw(); };
    const { audience, playing, lines } = slack.mparticle;
    return [
      h("div", { class: "panel-block" },
        h("p", { class: "muted" }, `Connects the audience ${audience} and streams who joins and leaves it.`),
        h("div", { class: "actions" },
          h("button", { type: "button", class: "button small", disabled: playing, dataset: { focus: "mparticle play" }, onclick: press("play") }, "Play mParticle"),
          h("button", { type: "button", class: "button small", disabled: playing, dataset: { focus: "mparticle disconnect" }, onclick: press("disconnect") }, "Disconnect the audience")),
        h("ul", { class: "requests", "aria-live": "polite" }, lines.map((line) => h("li", {}, line))))];
  }

  function draw() {
    const focused = focusPath(node);
    const scroll = node.querySelector(".panel-body")?.scrollTop || 0;
    const open = new Map([...node.querySelectorAll("details.part")].map((each) => [each.dataset.part, each.open]));
    const part = (name, heading, first, parts) => h("details", { class: "part", dataset: { part: name }, open: open.get(name) ?? first }, h("summary", {}, icon("down"), h("h3", {}, heading)), parts);
    fill(node, h("header", { class: "bar" }, h("div", { class: "bar-title" }, h("h2", {}, icon("sliders"), "Sandbox")), h("button", { type: "button", class: "button square quiet", "aria-label": "Close the sandbox panel", onclick: close }, icon("close"))),
      h("div", { class: "panel-body", tabindex: "0", role: "region", "aria-label": "Sandbox switches" },
        slack.mparticle && part("mparticle", "Local mParticle", true, mparticleParts()),
        part("iterable", "Local Iterable", true, iterableParts()),
        part("slack", "Local Slack", !slack.iterable, slackParts())));
    node.querySelector(".panel-body").scrollTop = scroll;
    restoreFocus(node, focused);
  }

  return { later, refresh };
}
