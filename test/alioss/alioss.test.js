// The official JavaScript SDK against the emulator: as a client with both signature versions, and as a signer of
// forms that this repository had no hand in.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import OSS from 'ali-oss';

const accessKeyId = 'LTAI5tTestKey';
const accessKeySecret = 'TestSecret';
const bucket = 'ali-oss-test';
const region = 'oss-cn-hangzhou';
const root = path.resolve(import.meta.dirname, '../..');

let dir;
let emulator;
let endpoint;

before(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'ali-oss-'));
  const binary = path.join(dir, 'emulator');
  const built = spawnSync('go', ['build', '-o', binary, './cmd/emulator'], { cwd: root, stdio: 'inherit' });
  assert.equal(built.status, 0, 'the emulator builds');
  emulator = spawn(binary, [
    '--oss-addr', '127.0.0.1:0', '--api-addr', '127.0.0.1:0', '--access-key', `${accessKeyId}:${accessKeySecret}`, '--bucket', bucket,
  ], { stdio: ['ignore', 'pipe', 'inherit'] });
  endpoint = await new Promise((resolve, reject) => {
    let text = '';
    emulator.once('exit', (code) => reject(new Error(`the emulator ended with ${code}`)));
    emulator.stdout.on('data', (chunk) => {
      text += chunk;
      const found = /OSS on (http:\/\/\S+)\s/.exec(text);
      if (found) resolve(found[1]);
    });
  });
});

after(() => {
  emulator?.kill();
  rmSync(dir, { recursive: true, force: true });
});

function newClient(options = {}) {
  return new OSS({ accessKeyId, accessKeySecret, bucket, region, endpoint, authorizationV4: true, retryMax: 0, timeout: 180_000, ...options });
}

// getLocal fetches a URL from 127.0.0.1 whatever host it names: not every resolver knows the names below localhost.
function getLocal(url) {
  return new Promise((resolve, reject) => {
    const agent = new http.Agent({ lookup: (_, options, done) => (options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)) });
    http.get(url, { agent }, (response) => {
      let body = '';
      response.on('data', (chunk) => { body += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, ec: response.headers['x-oss-ec'], body }));
    }).on('error', reject);
  });
}

for (const authorizationV4 of [true, false]) {
  describe(`client with signature version ${authorizationV4 ? 4 : 1}`, () => {
    const client = () => newClient({ authorizationV4 });
    const prefix = `v${authorizationV4 ? 4 : 1}`;

    test('puts, reads, copies, lists and deletes', async () => {
      const name = `${prefix}/猫 +&=?.txt`;
      const content = Buffer.from('hello from node');
      const put = await client().put(name, content, { headers: { 'x-oss-meta-a': 'b', 'Cache-Control': 'no-cache' } });
      assert.equal(put.res.headers.etag, `"${createHash('md5').update(content).digest('hex').toUpperCase()}"`);
      const got = await client().get(name);
      assert.deepEqual(got.content, content);
      const head = await client().head(name);
      assert.equal(head.meta.a, 'b');
      assert.equal(head.res.headers['cache-control'], 'no-cache');
      const part = await client().get(name, { headers: { Range: 'bytes=6-9' } });
      assert.equal(part.content.toString(), 'from');
      await client().copy(`${prefix}/copy`, name);
      const list = await client().listV2({ prefix: `${prefix}/`, 'max-keys': 10 });
      assert.deepEqual(list.objects.map((o) => o.name).sort(), [`${prefix}/copy`, name].sort());
      const deleted = await client().deleteMulti([name, `${prefix}/copy`]);
      assert.equal(deleted.deleted.length, 2);
      await assert.rejects(client().get(name), { code: 'NoSuchKey', status: 404 });
    });

    test('uploads in parts', async () => {
      const content = Buffer.alloc(450 * 1024, 'part ');
      const result = await client().multipartUpload(`${prefix}/large`, content, { partSize: 100 * 1024, parallel: 3 });
      assert.match(result.etag, /-5"$/);
      const got = await client().get(`${prefix}/large`);
      assert.equal(Buffer.compare(got.content, content), 0);
    });

    test('appends', async () => {
      const first = await client().append(`${prefix}/log`, Buffer.from('one,'));
      await client().append(`${prefix}/log`, Buffer.from('two'), { position: first.nextAppendPosition });
      assert.equal((await client().get(`${prefix}/log`)).content.toString(), 'one,two');
    });

    test('sets ACL, tags and symlinks', async () => {
      await client().put(`${prefix}/o`, Buffer.from('x'));
      await client().putACL(`${prefix}/o`, 'private');
      assert.equal((await client().getACL(`${prefix}/o`)).acl, 'private');
      await client().putObjectTagging(`${prefix}/o`, { a: '1', b: '2' });
      assert.deepEqual((await client().getObjectTagging(`${prefix}/o`)).tag, { a: '1', b: '2' });
      await client().putSymlink(`${prefix}/link`, `${prefix}/o`);
      assert.equal((await client().getSymlink(`${prefix}/link`)).targetName, `${prefix}/o`);
      assert.equal((await client().get(`${prefix}/link`)).content.toString(), 'x');
    });

    test('configures the bucket', async () => {
      await client().putBucketCORS(bucket, [{ allowedOrigin: 'https://h5.example', allowedMethod: ['GET', 'POST'], exposeHeader: 'ETag', maxAgeSeconds: 60 }]);
      const cors = await client().getBucketCORS(bucket);
      assert.equal(cors.rules[0].allowedOrigin, 'https://h5.example');
      await client().putBucketTags(bucket, { owner: 'test' });
      assert.deepEqual((await client().getBucketTags(bucket)).tag, { owner: 'test' });
      const info = await client().getBucketInfo(bucket);
      assert.equal(info.bucket.Name, bucket);
      await client().putBucketReferer(bucket, true, ['https://h5.example']);
      assert.equal((await client().getBucketReferer(bucket)).allowEmpty, true);
    });

    test('signs URLs', async () => {
      await client().put(`${prefix}/signed`, Buffer.from('signed'));
      // The SDK does not sign URLs for IP addresses, so here the bucket is in the host.
      const hostStyle = newClient({ authorizationV4, endpoint: endpoint.replace('127.0.0.1', 'localhost') });
      const url = authorizationV4
        ? await hostStyle.signatureUrlV4('GET', 60, undefined, `${prefix}/signed`)
        : hostStyle.signatureUrl(`${prefix}/signed`, { expires: 60 });
      assert.equal(new URL(url).hostname, `${bucket}.localhost`);
      assert.deepEqual(await getLocal(url), { status: 200, ec: undefined, body: 'signed' });
      const changed = await getLocal(url.replace('signed?', 'other?'));
      assert.deepEqual([changed.status, changed.ec], [403, '0002-00000040']);
    });

    test('is refused with a wrong secret', async () => {
      await assert.rejects(newClient({ authorizationV4, accessKeySecret: 'wrong' }).put('k', Buffer.from('x')), {
        code: 'SignatureDoesNotMatch', status: 403,
      });
    });
  });
}

describe('form signed by ali-oss', () => {
  // As in the SDK's documentation of signPostObjectPolicyV4.
  function form(key, content, extra = {}) {
    const client = newClient();
    const date = new Date();
    const policy = {
      expiration: new Date(date.getTime() + 60_000).toISOString(),
      conditions: [
        { bucket },
        { 'x-oss-credential': credential(date) },
        { 'x-oss-date': iso(date) },
        { 'x-oss-signature-version': 'OSS4-HMAC-SHA256' },
        ['content-length-range', 1, 1024],
        ['starts-with', '$key', 'form/'],
        ...Object.entries(extra).map(([name, value]) => ({ [name]: value })),
      ],
    };
    const f = new FormData();
    f.set('key', key);
    f.set('x-oss-date', iso(date));
    f.set('x-oss-credential', policy.conditions[1]['x-oss-credential']);
    f.set('x-oss-signature-version', 'OSS4-HMAC-SHA256');
    f.set('policy', Buffer.from(JSON.stringify(policy)).toString('base64'));
    f.set('x-oss-signature', client.signPostObjectPolicyV4(policy, date));
    for (const [name, value] of Object.entries(extra)) f.set(name, value);
    f.set('file', new Blob([content], { type: 'image/png' }), 'a.png');
    return f;
  }

  const iso = (date) => date.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const credential = (date) => `${accessKeyId}/${iso(date).slice(0, 8)}/cn-hangzhou/oss/aliyun_v4_request`;
  const post = (f) => fetch(`${endpoint}/${bucket}`, { method: 'POST', body: f });

  test('is accepted', async () => {
    const answer = await post(form('form/a.png', 'pixels', { success_action_status: '201' }));
    assert.equal(answer.status, 201);
    assert.match(await answer.text(), /<Key>form\/a.png<\/Key>/);
    const head = await newClient().head('form/a.png');
    assert.equal(head.res.headers['content-type'], 'image/png');
  });

  test('binds key, size and signature', async () => {
    for (const [change, ec] of [
      [(f) => f.set('key', 'elsewhere'), '0006-00000227'],
      [(f) => { f.delete('file'); f.set('file', new Blob(['x'.repeat(1025)])); }, '0006-00000003'],
      [(f) => { const file = f.get('file'); f.delete('file'); f.set('x-oss-signature', '0'.repeat(64)); f.set('file', file); }, '0002-00000705'],
    ]) {
      const f = form('form/a.png', 'pixels');
      change(f);
      const answer = await post(f);
      assert.equal(answer.headers.get('x-oss-ec'), ec, await answer.text());
    }
  });

  test('calls back', async () => {
    const calls = [];
    const app = http.createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => { body += chunk; });
      request.on('end', () => {
        calls.push({ body, headers: request.headers });
        const text = JSON.stringify({ stored: true });
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': text.length });
        response.end(text);
      });
    });
    await new Promise((resolve) => { app.listen(0, '127.0.0.1', resolve); });
    try {
      const callback = Buffer.from(JSON.stringify({
        callbackUrl: `http://127.0.0.1:${app.address().port}/hook`, callbackBody: 'object=${object}&size=${size}',
      })).toString('base64');
      const answer = await post(form('form/b.png', 'pixels', { callback }));
      assert.deepEqual([answer.status, await answer.json()], [200, { stored: true }]);
      assert.equal(calls[0].body, 'object=form%2Fb.png&size=6');
      assert.ok(calls[0].headers.authorization && calls[0].headers['x-oss-pub-key-url']);
    } finally {
      app.close();
    }
  });
});
