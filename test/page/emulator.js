// Starts the emulator and speaks to it as a stranger: signatures are computed here, from the documentation.
import { createHmac, randomUUID } from "node:crypto";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const key = { id: "LTAI5tPageTest00000001", secret: "PageTestSecret0000000000000001" };

export async function startEmulator() {
  const dir = mkdtempSync(join(tmpdir(), "page-test-"));
  const binary = join(dir, "emulator");
  execFileSync("go", ["build", "-o", binary, "./cmd/emulator"], { cwd: root, stdio: "inherit" });
  const child = spawn(binary, ["--oss-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0", "--access-key", key.id + ":" + key.secret, "--bucket", "family-album"]);
  const urls = await new Promise((resolve, reject) => {
    let out = "";
    child.on("exit", (code) => reject(new Error("the emulator ended with " + code + ": " + out)));
    child.stderr.on("data", (d) => { out += d; });
    child.stdout.on("data", (d) => {
      out += d;
      const found = [...out.matchAll(/on (http:\/\/\S+)\s/g)].map((m) => m[1]);
      if (found.length === 2) resolve({ oss: found[0], api: found[1] });
    });
  });
  return {
    ...urls,
    stop: () => new Promise((resolve) => {
      child.removeAllListeners("exit");
      child.on("exit", () => { rmSync(dir, { recursive: true }); resolve(); });
      child.kill("SIGTERM");
    }),
  };
}

// put uploads with an Authorization header of version 1.
export async function put(oss, bucket, name, body, contentType, headers = {}) {
  const date = new Date().toUTCString();
  const own = Object.keys(headers).sort().map((h) => h + ":" + headers[h] + "\n").join("");
  const toSign = ["PUT", "", contentType, date, own + "/" + bucket + "/" + name].join("\n");
  const signature = createHmac("sha1", key.secret).update(toSign).digest("base64");
  const response = await fetch(oss + "/" + bucket + "/" + encodeURIComponent(name).replaceAll("%2F", "/"), {
    method: "PUT", body, headers: { Date: date, "Content-Type": contentType, Authorization: "OSS " + key.id + ":" + signature, ...headers },
  });
  return response.status;
}

const encode = (s) => encodeURIComponent(s).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());

// rpc calls RAM with a query signature.
export async function rpc(api, action, params) {
  const all = {
    Action: action, Version: "2015-05-01", Format: "JSON", AccessKeyId: key.id, SignatureMethod: "HMAC-SHA1", SignatureVersion: "1.0",
    SignatureNonce: randomUUID(), Timestamp: new Date().toISOString().replace(/\.\d+Z/, "Z"), ...params,
  };
  const query = Object.keys(all).sort().map((k) => encode(k) + "=" + encode(all[k])).join("&");
  const signature = createHmac("sha1", key.secret + "&").update("POST&%2F&" + encode(query)).digest("base64");
  const response = await fetch(api + "/?" + query + "&Signature=" + encode(signature), { method: "POST" });
  if (!response.ok) throw new Error(action + ": " + await response.text());
  return response.json();
}
