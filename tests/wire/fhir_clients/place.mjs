// Where the gateway is, and what the clients write into it.
export const base = process.env.DXGATE_FHIR;
export const tokenUrl = process.env.DXGATE_TOKEN_URL;
export const clientId = process.env.DXGATE_CLIENT;
export const secret = process.env.DXGATE_SECRET;
export const mrn = "urn:oid:1.2.36.146.595.217.0.1";

export const patient = (number) => ({
  resourceType: "Patient",
  identifier: [{ system: mrn, value: number }],
  name: [{ family: "Chalmers" }],
});

export const observation = (subject) => ({
  resourceType: "Observation",
  status: "final",
  code: { coding: [{ system: "http://loinc.org", code: "2160-0" }] },
  subject: { reference: subject },
  valueString: "1.20",
});

export const bundle = (type, entry) => ({ resourceType: "Bundle", type, entry });

export const transactionEntries = (number) => {
  const urn = "urn:uuid:0b9c8b1e-4a3b-4c5d-8e6f-001122334455";
  return [
    { fullUrl: urn, resource: patient(number), request: { method: "POST", url: "Patient" } },
    { resource: observation(urn), request: { method: "POST", url: "Observation" } },
  ];
};
