// The page of the emulator in a real Chromium: what a person sees after some uploads.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { deflateSync } from "node:zlib";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { chromium } from "playwright-core";
import { put, rpc, startEmulator } from "./emulator.js";

// Milliseconds that a test waits for what it expects: only a failure takes that long.
const patience = 180_000;

let emulator;
let application;
let browser;
const problems = [];

// png draws a square of one colour.
function png(r, g, b) {
  const size = 64;
  const crcTable = Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n >>> 0; });
  const crc = (buf) => { let c = 0xffffffff; for (const x of buf) c = crcTable[(c ^ x) & 255] ^ (c >>> 8); return (c ^ 0xffffffff) >>> 0; };
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0); body.copy(out, 4); out.writeUInt32BE(crc(body), body.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(size, 0); head.writeUInt32BE(size, 4); head.set([8, 2, 0, 0, 0], 8);
  const row = Buffer.concat([Buffer.from([0]), Buffer.alloc(size * 3).map((_, i) => [r, g, b][i % 3])]);
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", head),
    chunk("IDAT", deflateSync(Buffer.concat(Array(size).fill(row)))), chunk("IEND", Buffer.alloc(0))]);
}

before(async () => {
  emulator = await startEmulator();
  assert.equal(await put(emulator.oss, "family-album", "album/alice/2026/sunset.png", png(240, 120, 60), "image/png", { "x-oss-meta-ticket": "sealed" }), 200);
  assert.equal(await put(emulator.oss, "family-album", "album/alice/2026/sea.png", png(40, 110, 200), "image/png"), 200);
  assert.equal(await put(emulator.oss, "family-album", "album/bob/<img src=x onerror=alert(1)>.txt", "text", "text/plain"), 200);
  assert.equal(await put(emulator.oss, "no-such-bucket", "a", "text", "text/plain"), 404);
  application = createServer((request, response) => {
    request.resume();
    const body = request.url.startsWith("/refuse") ? "not JSON" : '{"recorded":true}';
    response.writeHead(200, { "Content-Length": Buffer.byteLength(body) }).end(body);
  });
  await new Promise((resolve) => application.listen(0, "127.0.0.1", resolve));
  const callback = (path) => ({ "x-oss-callback": Buffer.from(JSON.stringify({
    callbackUrl: "http://127.0.0.1:" + application.address().port + path, callbackBody: "key=${object}" })).toString("base64") });
  assert.equal(await put(emulator.oss, "family-album", "album/told.txt", "text", "text/plain", callback("/uploads")), 200);
  assert.equal(await put(emulator.oss, "family-album", "album/refused.txt", "text", "text/plain", callback("/refuse")), 203);
  await rpc(emulator.api, "CreateRole", { RoleName: "ut-family-album", Description: "signer of family/album",
    AssumeRolePolicyDocument: JSON.stringify({ Version: "1", Statement: [{ Effect: "Allow", Action: "sts:AssumeRole", Principal: { RAM: ["acs:ram::1234567890123456:root"] } }] }) });
  await rpc(emulator.api, "CreatePolicy", { PolicyName: "ut-family-album",
    PolicyDocument: JSON.stringify({ Version: "1", Statement: [{ Effect: "Allow", Action: ["oss:PutObject"], Resource: ["acs:oss:*:*:family-album/album/*"] }] }) });
  await rpc(emulator.api, "AttachPolicyToRole", { RoleName: "ut-family-album", PolicyType: "Custom", PolicyName: "ut-family-album" });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", timeout: patience, args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  application?.close();
  await emulator?.stop();
});

async function open(path, colorScheme = "light") {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 }, colorScheme });
  page.setDefaultTimeout(patience);
  page.on("pageerror", (e) => problems.push(String(e)));
  page.on("console", (m) => { if (m.type() === "error") problems.push(m.text()); });
  page.on("dialog", (d) => { problems.push("dialog: " + d.message()); d.dismiss(); });
  page.on("request", (r) => { if (!r.url().startsWith(emulator.oss)) problems.push("foreign request: " + r.url()); });
  await page.goto(emulator.oss + "/_emulator/" + path);
  return page;
}

async function shot(page, name) {
  if (!process.env.SCREENSHOTS) return;
  mkdirSync(process.env.SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: process.env.SCREENSHOTS + "/" + name + ".png" });
}

test("buckets lead to objects with thumbnails", async () => {
  const page = await open("");
  const row = page.getByRole("row", { name: /family-album/ });
  await row.waitFor();
  assert.match(await row.innerText(), /private/);
  await shot(page, "buckets");
  await page.getByRole("link", { name: "family-album" }).click();
  const picture = page.getByRole("img", { name: "album/alice/2026/sunset.png" });
  await picture.waitFor();
  await page.waitForFunction(() => {
    const thumbs = [...document.querySelectorAll("img.thumb")];
    return thumbs.length === 2 && thumbs.every((i) => i.complete && i.naturalWidth === 64);
  });
  assert.match(await page.locator("tr", { hasText: "sunset" }).innerText(), /ticket/);
  assert.equal(await page.getByText("<img src=x onerror=alert(1)>.txt").count(), 1, "a key is shown as text");
  await shot(page, "objects");
  await page.getByLabel("Prefix").fill("album/bob/");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForFunction(() => document.querySelectorAll("img.thumb").length === 0);
  assert.equal(await page.locator("tbody tr").count(), 1);
});

test("roles and policies show their documents and stay open while the page refreshes", async () => {
  const page = await open("#/access");
  const role = page.locator("details[data-id='role/ut-family-album']");
  await role.locator("summary").click();
  await role.getByText('"acs:ram::1234567890123456:root"').waitFor();
  const state = await page.locator("#state").innerText();
  await page.waitForFunction((old) => document.getElementById("state").textContent !== old, state);
  assert.equal(await role.evaluate((d) => d.open), true);
  await shot(page, "access");
});

test("requests name operation, target, status and caller, also in the dark", async () => {
  const page = await open("#/requests", "dark");
  await page.getByText("NoSuchBucket").first().waitFor();
  const refused = page.locator("tr", { hasText: "no-such-bucket/a" });
  assert.equal(await page.locator("tr", { hasText: "CreateRole" }).filter({ hasText: "ut-family-album" }).count(), 1);
  assert.match(await refused.innerText(), /PutObject[\s\S]*404[\s\S]*NoSuchBucket/);
  assert.match(await page.locator("tr", { hasText: "sunset.png" }).innerText(), /PutObject[\s\S]*200[\s\S]*user\/admin/);
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(dark, "rgb(18, 21, 28)");
  await shot(page, "requests-dark");
});

test("callbacks tell where they went and how they ended", async () => {
  const page = await open("#/callbacks");
  const told = page.locator("tr", { hasText: "album/told.txt" });
  await told.waitFor();
  assert.match(await told.innerText(), /127\.0\.0\.1:\d+\/uploads[\s\S]*200/);
  assert.match(await page.locator("tr", { hasText: "album/refused.txt" }).innerText(), /not valid json/);
  await shot(page, "callbacks");
});

test("faults are set and refused with the emulator's own words", async () => {
  const page = await open("#/faults");
  const text = page.getByLabel("Faults as JSON");
  await text.fill('{"errorRate":1,"operations":["PutObject"]}');
  await page.getByRole("button", { name: "Put in force" }).click();
  await page.getByText("The faults are in force.").waitFor();
  assert.equal(await put(emulator.oss, "family-album", "x", "y", "text/plain"), 503);
  await text.fill('{"erorRate":1}');
  await page.getByRole("button", { name: "Put in force" }).click();
  await page.getByText(/unknown field "erorRate"/).waitFor();
  await page.getByRole("button", { name: "Clear" }).click();
  await page.getByText("There are no faults.").waitFor();
  assert.equal(await put(emulator.oss, "family-album", "x", "y", "text/plain"), 200);
  await shot(page, "faults");
});

test("a refresh leaves a person alone who clicks or types meanwhile", async () => {
  const page = await open("");
  const name = page.getByRole("link", { name: "family-album" });
  await name.waitFor();
  // meanwhile does something between a refresh's question and its answer.
  const meanwhile = async (path, act) => {
    let go;
    const busy = new Promise((resolve) => { go = resolve; });
    const answered = page.waitForResponse((r) => r.url().includes("/_emulator/api/" + path));
    await new Promise((begun) => page.route("**/_emulator/api/" + path + "*", async (route) => {
      begun();
      await busy;
      await route.continue();
    }, { times: 1 }));
    await act();
    go();
    await (await answered).finished();
    await page.evaluate(() => new Promise((drawn) => setTimeout(drawn)));
  };
  await meanwhile("buckets", async () => {
    await name.hover();
    await page.mouse.down();
  });
  await page.mouse.up();
  await page.getByRole("img", { name: "album/alice/2026/sunset.png" }).waitFor();
  const prefix = page.getByLabel("Prefix");
  await meanwhile("objects", () => prefix.fill("album/bob/"));
  assert.equal(await prefix.inputValue(), "album/bob/");
});

test("the page fits a phone", async () => {
  const page = await open("#/requests");
  await page.setViewportSize({ width: 390, height: 800 });
  await page.getByText("NoSuchBucket").first().waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, "the page is " + wide + " pixels wider than the window");
  await shot(page, "phone");
});

test("nothing went wrong in the browser", () => {
  // The refused faults of the test above are an error for the console.
  assert.deepEqual(problems.filter((p) => !/status of 400/.test(p)), []);
});
