// Drives the official Node clients against a server: node check.mjs PACKAGE SCHEME CONNECTION, where PACKAGE is
// @kurrent/kurrentdb-client or @eventstore/db-client, resolved from the working directory, and CONNECTION the connection string behind
// its scheme. Of a secured server it is the admin's; the user ops must have the same password.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";

const [name, scheme, connection] = process.argv.slice(2);
const require = createRequire(process.cwd() + "/");
const lib = require(name);
const Client = lib.KurrentDBClient ?? lib.EventStoreDBClient;
const client = Client.connectionString(`${scheme}://${connection}`);
const event = (n) => lib.jsonEvent({ type: "thing.happened", id: randomUUID(), data: { n }, metadata: { m: n } });
const stream = "node-" + randomUUID();
const all = async (it) => { const out = []; for await (const e of it) out.push(e); return out; };

// Append: first, repeated, and at a wrong revision.
const events = [0, 1, 2].map(event);
const first = await client.appendToStream(stream, events, { expectedRevision: lib.NO_STREAM, streamState: lib.NO_STREAM });
assert.equal(first.success, true);
assert.equal(first.nextExpectedRevision, 2n);
const again = await client.appendToStream(stream, events, { expectedRevision: lib.NO_STREAM, streamState: lib.NO_STREAM });
assert.deepEqual(again.position, first.position);
await assert.rejects(
  client.appendToStream(stream, [event(9)], { expectedRevision: 7n, streamState: 7n }),
  (e) => { assert.ok(e instanceof lib.WrongExpectedVersionError, String(e)); return true; });
for (let n = 3; n < 53; n += 10)
  await client.appendToStream(stream, [...Array(10).keys()].map((i) => event(n + i)), { expectedRevision: BigInt(n - 1), streamState: BigInt(n - 1) });
// Many at once, each its own batch append.
await Promise.all([...Array(200).keys()].map((i) => client.appendToStream(`${stream}-${i}`, [event(i), event(i)])));

// Read.
const forwards = await all(client.readStream(stream));
assert.deepEqual(forwards.map((e) => e.event.data.n), [...Array(53).keys()]);
assert.equal(forwards[0].event.id, events[0].id);
assert.equal(forwards[5].event.metadata.m, 5);
assert.ok(Math.abs(Date.now() - new Date(forwards[0].event.created).getTime()) < 60_000);
const back = await all(client.readStream(stream, { direction: lib.BACKWARDS, fromRevision: lib.END, maxCount: 3 }));
assert.deepEqual(back.map((e) => e.event.data.n), [52, 51, 50]);
const log = await all(client.readAll({ maxCount: 10_000 }));
assert.ok(log.length >= 53 + 400);
await assert.rejects(all(client.readStream("absent-" + stream)), (e) => e instanceof lib.StreamNotFoundError);

// Subscribe.
const got = await new Promise((resolve, reject) => {
  const list = [];
  const sub = client.subscribeToStream(stream, { fromRevision: lib.START });
  sub.on("data", (e) => { list.push(e.event.data.n); if (list.length === 54) { sub.unsubscribe(); resolve(list); } });
  sub.on("error", reject);
  client.appendToStream(stream, [event(53)]).catch(reject);
});
assert.deepEqual(got, [...Array(54).keys()]);
const filtered = await new Promise((resolve, reject) => {
  const list = [];
  const sub = client.subscribeToAll({ fromPosition: lib.START, filter: lib.streamNameFilter({ prefixes: [`${stream}-`] }) });
  sub.on("data", (e) => { list.push(e); if (list.length === 400) { sub.unsubscribe(); resolve(list); } });
  sub.on("error", reject);
});
assert.ok(filtered.every((e) => e.event.streamId.startsWith(stream + "-")));
const noSystem = await new Promise((resolve, reject) => {
  const sub = client.subscribeToAll({ fromPosition: lib.START, filter: lib.excludeSystemEvents() });
  sub.on("data", (e) => { sub.unsubscribe(); resolve(e); });
  sub.on("error", reject);
});
assert.ok(!noSystem.event.type.startsWith("$"));

// A persistent subscription.
await client.createPersistentSubscriptionToStream(stream, "group", lib.persistentSubscriptionToStreamSettingsFromDefaults({ startFrom: lib.START }));
await new Promise((resolve, reject) => {
  let n = 0;
  const sub = client.subscribeToPersistentSubscriptionToStream(stream, "group");
  sub.on("data", async (e) => {
    try {
      assert.equal(e.event.data.n, n++);
      await sub.ack(e);
      if (n === 54) { await sub.unsubscribe(); resolve(); }
    } catch (err) { reject(err); }
  });
  sub.on("error", reject);
});
await client.deletePersistentSubscriptionToStream(stream, "group");

// Delete.
await client.setStreamMetadata(stream, { maxCount: 5 });
assert.equal((await all(client.readStream(stream))).length, 5);
await client.deleteStream(stream);
await assert.rejects(all(client.readStream(stream)), (e) => e instanceof lib.StreamNotFoundError);
await client.tombstoneStream(stream + "-0");
await assert.rejects(all(client.readStream(stream + "-0")), (e) => e instanceof lib.StreamDeletedError);
await assert.rejects(client.appendToStream(stream + "-0", [event(1)]), (e) => e instanceof lib.StreamDeletedError);

// Who may do what.
const secured = connection.match(/^admin:([^@]*)@/);
if (secured) {
  const wrong = Client.connectionString(`${scheme}://${connection.replace(secured[1] + "@", "wrong@")}`);
  await assert.rejects(wrong.appendToStream(stream, [event(1)]), (e) => { assert.match(String(e), /UNAUTHENTICATED/); return true; });
  const ops = Client.connectionString(`${scheme}://${connection.replace("admin:", "ops:")}`);
  const denied = (e) => { assert.ok(e instanceof lib.AccessDeniedError, String(e)); return true; };
  await ops.appendToStream(stream + "-ops", [event(1)]);
  await client.setStreamMetadata(stream + "-ops", { acl: { readRoles: ["$admins"], writeRoles: ["$admins"] } });
  await assert.rejects(ops.appendToStream(stream + "-ops", [event(2)]), denied);
  await assert.rejects(all(ops.readStream(stream + "-ops")), denied);
  await assert.rejects(all(ops.readAll({ maxCount: 1 })), denied);
  await assert.rejects(ops.deleteStream("$users"), denied);
  await wrong.dispose();
  await ops.dispose();
}
await client.dispose();
console.log(name, secured ? "secured" : "insecure", "ok");
