"use strict";

const main = document.getElementById("main");
const state = document.getElementById("state");

// el builds an element. Text is always set as text: names of objects come from anybody.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  for (const child of children.flat()) {
    if (child !== undefined && child !== null && child !== "") node.append(child);
  }
  return node;
}

async function load(path) {
  const response = await fetch("/_emulator/" + path, { cache: "no-store" });
  if (!response.ok) throw new Error((await response.json()).message);
  return response.json();
}

const mark = (text, kind) => el("span", { class: "mark " + (kind || "") }, String(text));
const mono = (text) => el("span", { class: "mono" }, text);
const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false }) + "." + String(new Date(time).getMilliseconds()).padStart(3, "0");
const date = (time) => new Date(time).toLocaleString();

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return (i ? n.toFixed(1) : n) + " " + units[i];
}

function table(head, rows, nothing) {
  if (rows.length === 0) return el("div", { class: "card" }, el("p", { class: "empty" }, nothing));
  const cell = (tag) => (c) => c instanceof Node && c.tagName === tag ? c : el(tag.toLowerCase(), {}, c);
  return el("div", { class: "card" }, el("table", {},
    el("thead", {}, el("tr", {}, head.map(cell("TH")))),
    el("tbody", {}, rows.map((r) => el("tr", {}, r.map(cell("TD")))))));
}

const number = (text) => el("td", { class: "number" }, String(text));
const numberHead = (text) => el("th", { class: "number" }, text);
const timeCell = (text) => el("td", { class: "time" }, text);

function status(entry) {
  const kind = entry.code || entry.status >= 500 ? "bad" : entry.status >= 400 || entry.status === 203 ? "warn" : "good";
  return el("td", {}, mark(entry.status || "none", kind), " ", entry.code ? mono(entry.code) : "", entry.ec ? el("div", { class: "soft mono" }, entry.ec) : "");
}

async function buckets() {
  const { items } = await load("api/buckets");
  return [el("h2", {}, "Buckets"), table(
    ["Name", "ACL", "Configured", numberHead("Objects"), numberHead("Size"), "Created"],
    items.map((b) => [
      el("a", { href: "#/buckets/" + encodeURIComponent(b.name) }, b.name),
      el("td", {}, mark(b.acl, b.acl === "private" ? "" : "warn"), b.blockPublicAccess ? mark("public access blocked", "good") : ""),
      el("td", {}, (b.configured || []).map((c) => mark(c)), Object.entries(b.tags || {}).map(([k, v]) => mark(k + "=" + v))),
      number(b.objects), number(bytes(b.bytes)), timeCell(date(b.created)),
    ]), "There are no buckets yet.")];
}

function thumbnail(bucket, object) {
  if (!/^image\/(?!svg)/.test(object.contentType || "")) return el("div", { class: "nothumb", "aria-hidden": "true" }, (object.contentType || "").split("/").pop().slice(0, 8));
  const source = "/_emulator/api/content?" + new URLSearchParams({ bucket, key: object.key, v: object.etag });
  return el("a", { href: source, target: "_blank", rel: "noopener" }, el("img", { class: "thumb", src: source, alt: object.key, loading: "lazy" }));
}

async function objects(name, query) {
  const { items, next } = await load("api/objects?" + new URLSearchParams({ bucket: name, prefix: query.get("prefix") || "", after: query.get("after") || "", limit: 100 }));
  const at = (more) => "#/buckets/" + encodeURIComponent(name) + "?" + new URLSearchParams({ prefix: query.get("prefix") || "", ...more });
  return [
    el("h2", {}, el("a", { href: "#/buckets" }, "Buckets"), " / " + name),
    el("form", { class: "bar", onsubmit: (e) => { e.preventDefault(); location.hash = at({ prefix: e.target.prefix.value }); } },
      el("label", {}, "Prefix ", el("input", { name: "prefix", value: query.get("prefix") || "" })), el("button", {}, "Show")),
    table(["", "Key", "Type", numberHead("Size"), "Modified"], items.map((o) => [
      thumbnail(name, o),
      el("td", { class: "key" }, o.key, Object.keys(o.meta || {}).length ? el("div", {}, Object.keys(o.meta).map((m) => mark(m))) : "", o.acl ? mark(o.acl, "warn") : ""),
      o.contentType, number(bytes(o.size)), timeCell(date(o.modified)),
    ]), "There are no objects here."),
    next ? el("p", {}, el("a", { href: at({ after: next }) }, "Next page")) : "",
  ];
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

async function access() {
  const a = await load("api/iam");
  const policies = (list) => (list || []).map((p) => mark(p));
  return [
    el("p", { class: "soft" }, "Account ", mono(a.accountId), " has " + a.sessions + " valid temporary credentials."),
    el("h2", {}, "Roles"),
    a.roles.length ? el("div", { class: "card" }, a.roles.map((r) => el("details", { "data-id": "role/" + r.Name },
      el("summary", {}, el("strong", {}, r.Name), " ", policies(r.Policies), el("span", { class: "soft" }, " " + r.Description)),
      el("p", { class: "soft" }, mono(r.ARN), " sessions up to " + r.MaxSessionSeconds / 60 + " min ", Object.entries(r.Tags || {}).map(([k, v]) => mark(k + "=" + v))),
      el("pre", {}, pretty(r.Trust))))) : table([], [], "There are no roles yet."),
    el("h2", {}, "Policies"),
    a.policies.length ? el("div", { class: "card" }, a.policies.map((p) => el("details", { "data-id": "policy/" + p.Name },
      el("summary", {}, el("strong", {}, p.Name), " ", mark(p.DefaultVersion + " of " + p.Versions), mark(p.Attachments + " attached"), el("span", { class: "soft" }, " " + p.Description)),
      el("pre", {}, pretty(p.Document))))) : table([], [], "There are no custom policies yet."),
    el("h2", {}, "Users"),
    table(["Name", "Id", "Policies", numberHead("Keys")], a.users.map((u) => [u.Name, mono(u.ID), el("td", {}, policies(u.Policies)), number(u.Keys)]), "There are no users."),
    el("h2", {}, "OIDC providers"),
    table(["Name", "Issuer", "Audiences"], a.oidcProviders.map((p) => [p.Name, mono(p.Issuer), el("td", {}, policies(p.ClientIDs))]), "No issuer is registered."),
  ];
}

const shortCaller = (caller) => caller.replace(/^acs:ram::\d+:/, "");

async function requests() {
  const [{ items }, counters] = await Promise.all([load("requests?limit=200"), load("counters")]);
  const rows = Object.entries(counters.operations).sort((a, b) => b[1].total - a[1].total);
  return [
    el("h2", {}, "Recent requests"),
    table(["Time", "Operation", "Target", "Status", "Caller", numberHead("Took")], items.filter((e) => e.service !== "callback").reverse().map((e) => [
      timeCell(clock(e.time)), el("strong", {}, e.operation), el("td", { class: "key mono" }, e.bucket ? e.bucket + (e.key ? "/" + e.key : "") : e.resource || e.path || ""),
      status(e), el("td", { class: "mono" }, shortCaller(e.caller)), number(e.durationMs.toFixed(1) + " ms"),
    ]), "Nobody has asked for anything yet."),
    el("h2", {}, "Counters"),
    table(["Operation", numberHead("Calls"), numberHead("Succeeded"), "Refused"], rows.map(([name, c]) => [
      name, number(c.total), number(c.success), el("td", {}, Object.entries(c.byCode || {}).map(([code, n]) => mark(n + " " + code, "warn")))]), "Nothing has been counted yet."),
  ];
}

async function callbacks() {
  const { items } = await load("requests?service=callback&limit=200");
  return [el("h2", {}, "Recent callbacks"), table(["Time", "URL", "Object", "Answer", "Fault"], items.reverse().map((e) => [
    timeCell(clock(e.time)), el("td", { class: "key mono" }, e.url), el("td", { class: "key mono" }, e.bucket + "/" + e.key),
    el("td", {}, mark(e.status || "none", e.problem ? "bad" : "good"), e.problem ? el("div", { class: "soft" }, e.problem) : ""), e.fault || "",
  ]), "No upload has asked for a callback yet.")];
}

async function faults() {
  const now = await load("faults");
  const text = el("textarea", { name: "faults", "aria-label": "Faults as JSON", spellcheck: "false" }, JSON.stringify(now, null, 2));
  const message = el("p", { role: "alert", class: "soft" });
  const send = async (method) => {
    const response = await fetch("/_emulator/faults", { method, body: method === "PUT" ? text.value : undefined });
    const body = await response.json();
    message.textContent = response.ok ? (method === "PUT" ? "The faults are in force." : "There are no faults.") : body.message;
    if (response.ok) text.value = JSON.stringify(body, null, 2);
  };
  return [el("h2", {}, "Faults"), text, el("div", { class: "bar" },
    el("button", { class: "main", onclick: () => send("PUT") }, "Put in force"), el("button", { onclick: () => send("DELETE") }, "Clear")), message];
}

function route() {
  const [path, query] = location.hash.slice(1).split("?");
  const [, section, name] = path.split("/");
  const pages = { buckets, access, requests, callbacks, faults };
  if (section === "buckets" && name) return { section, page: () => objects(decodeURIComponent(name), new URLSearchParams(query)) };
  return { section: pages[section] ? section : "buckets", page: pages[section] || buckets };
}

let shown = "";
let drawing = 0;

// draw shows what the address names; again shows it anew and gives way to a person who is busy with it.
async function draw(again) {
  const turn = ++drawing;
  const here = location.hash;
  const { section, page } = route();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === "#/" + section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    const nodes = await page();
    if (turn !== drawing || (again && busy())) return;
    const open = new Set(here === shown ? [...main.querySelectorAll("details[open]")].map((d) => d.dataset.id) : []);
    main.replaceChildren(...nodes.filter(Boolean));
    for (const d of main.querySelectorAll("details")) d.open = open.has(d.dataset.id);
    state.textContent = "as of " + new Date().toLocaleTimeString([], { hour12: false });
  } catch (e) {
    if (turn !== drawing) return;
    if (here !== shown) main.replaceChildren(el("p", { class: "empty" }, e.message));
    state.textContent = "cannot read the emulator: " + e.message;
  }
  shown = here;
}

// A page that somebody is typing in or clicking on, or whose text is selected, stays as it is: a click needs the same
// element under it from beginning to end.
let pressed = false;
addEventListener("pointerdown", (e) => { pressed = e.button === 0; });
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { pressed = false; });

function busy() {
  return pressed || document.hidden || route().section === "faults" || main.querySelector("input:focus") || String(getSelection()) !== "";
}

addEventListener("hashchange", () => { draw(); main.focus({ preventScroll: true }); });
setInterval(() => { if (!busy()) draw(true); }, 2000);
draw();
