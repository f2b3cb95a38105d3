// fhir-kit-client against a gateway: every line of its answer is one thing that was seen to work.
import assert from "node:assert/strict";
import { Client } from "fhir-kit-client";
import { base, bundle, clientId, mrn, observation, patient, secret, tokenUrl, transactionEntries } from "./place.mjs";

const form = new URLSearchParams({ grant_type: "client_credentials" });
const basic = Buffer.from(`${clientId}:${secret}`).toString("base64");
const given = await fetch(tokenUrl, { method: "POST", body: form, headers: { Authorization: `Basic ${basic}` } });
const client = new Client({ baseUrl: base, bearerToken: (await given.json()).access_token });

const smart = await client.smartAuthMetadata();
assert.equal(String(smart.tokenUrl), tokenUrl);
console.log("metadata");

const made = await client.create({ resourceType: "Patient", body: patient("kit") });
assert.equal(made.meta.versionId, "1");
console.log("create");

assert.equal((await client.read({ resourceType: "Patient", id: made.id })).identifier[0].value, "kit");
console.log("read");

const changed = await client.update({ resourceType: "Patient", id: made.id, body: { ...made, gender: "female" } });
assert.equal(changed.meta.versionId, "2");
const patched = await client.patch({
  resourceType: "Patient",
  id: made.id,
  jsonPatch: [{ op: "replace", path: "/gender", value: "male" }],
});
assert.equal(patched.gender, "male");
const first = await client.vread({ resourceType: "Patient", id: made.id, version: "1" });
assert.equal(first.gender, undefined);
assert.equal((await client.resourceHistory({ resourceType: "Patient", id: made.id })).entry.length, 3);
console.log("update");

for (let count = 0; count < 5; count += 1) {
  await client.create({ resourceType: "Observation", body: observation(`Patient/${made.id}`) });
}
const seen = new Set();
let page = await client.search({
  resourceType: "Observation",
  searchParams: { "subject:Patient.identifier": `${mrn}|kit`, _count: 2 },
});
while (page) {
  page.entry.forEach((one) => seen.add(one.resource.id));
  page = await client.nextPage({ bundle: page });
}
assert.equal(seen.size, 5);
console.log("search and pages");

const answer = await client.transaction({ body: bundle("transaction", transactionEntries("kit-transaction")) });
assert.deepEqual(answer.entry.map((one) => one.response.status), ["201 Created", "201 Created"]);
console.log("transaction");

const alone = await client.batch({
  body: bundle("batch", [
    { request: { method: "GET", url: `Patient/${made.id}` } },
    { request: { method: "GET", url: "Patient/nobody" } },
  ]),
});
assert.deepEqual(alone.entry.map((one) => one.response.status.slice(0, 3)), ["200", "404"]);
console.log("batch");

const checked = await client.operation({
  name: "validate",
  resourceType: "Patient",
  input: { resourceType: "Patient", gender: "no such" },
});
assert.equal(checked.issue[0].severity, "error");
console.log("operation");

await client.delete({ resourceType: "Observation", id: [...seen][0] });
await assert.rejects(client.read({ resourceType: "Observation", id: [...seen][0] }), (error) => {
  assert.equal(error.response.status, 410);
  assert.equal(error.response.data.resourceType, "OperationOutcome");
  return true;
});
console.log("delete");
