// @medplum/core against a gateway: every line of its answer is one thing that was seen to work.
import assert from "node:assert/strict";
import { MedplumClient } from "@medplum/core";
import { base, bundle, clientId, mrn, observation, patient, secret, tokenUrl, transactionEntries } from "./place.mjs";

const root = base.slice(0, -"fhir".length);
const client = new MedplumClient({ baseUrl: root, fhirUrlPath: "fhir", tokenUrl, authCredentialsMethod: "header" });
const form = new URLSearchParams({ grant_type: "client_credentials" });
const basic = Buffer.from(`${clientId}:${secret}`).toString("base64");
const given = await fetch(tokenUrl, { method: "POST", body: form, headers: { Authorization: `Basic ${basic}` } });
client.setAccessToken((await given.json()).access_token);

const made = await client.createResource(patient("medplum"));
assert.equal(made.meta.versionId, "1");
const same = await client.createResourceIfNoneExist(patient("medplum"), `identifier=${mrn}|medplum`);
assert.equal(same.id, made.id);
console.log("create");

assert.equal((await client.readResource("Patient", made.id)).identifier[0].value, "medplum");
console.log("read");

const changed = await client.updateResource({ ...made, gender: "female" });
assert.equal(changed.meta.versionId, "2");
const patched = await client.patchResource("Patient", made.id, [{ op: "replace", path: "/gender", value: "male" }]);
assert.equal(patched.gender, "male");
assert.equal((await client.readVersion("Patient", made.id, "1")).gender, undefined);
assert.equal((await client.readHistory("Patient", made.id)).entry.length, 3);
console.log("update");

for (let count = 0; count < 5; count += 1) {
  await client.createResource(observation(`Patient/${made.id}`));
}
const seen = new Set();
for await (const page of client.searchResourcePages("Observation", { subject: `Patient/${made.id}`, _count: 2 })) {
  page.forEach((one) => seen.add(one.id));
}
assert.equal(seen.size, 5);
console.log("search and pages");

const answer = await client.executeBatch(bundle("transaction", transactionEntries("medplum-transaction")));
assert.deepEqual(answer.entry.map((one) => one.response.status), ["201 Created", "201 Created"]);
console.log("transaction");

const checked = await client.validateResource({ resourceType: "Patient", gender: "no such" });
assert.equal(checked.issue[0].severity, "error");
console.log("operation");

const everything = await client.readPatientEverything(made.id);
assert.equal(everything.entry.length, 6);
console.log("everything");

await client.deleteResource("Observation", [...seen][0]);
await assert.rejects(client.readResource("Observation", [...seen][0]), (error) => {
  assert.equal(error.outcome.issue[0].code, "deleted");
  return true;
});
console.log("delete");
