// The main flow with openapi-fetch and the types that openapi-typescript makes of the served document.
import assert from "node:assert/strict";
import createClient, { type Client } from "openapi-fetch";
import type { paths } from "./api.d.ts";

const given = JSON.parse(process.env.PORTICO_CONTRACT!);
type Account = { email: string; password: string };
type Api = Client<paths>;

async function signedIn(who: Account): Promise<Api> {
  const client = createClient<paths>({ baseUrl: given.url });
  const { data } = await client.POST("/api/v1/session", { body: who });
  client.use({
    onRequest: ({ request }) => request.headers.set("authorization", `Bearer ${data!.token}`),
  });
  return client;
}

const [admin, developer] = [await signedIn(given.admin), await signedIn(given.developer)];

const made = await admin.POST("/api/v1/plans", {
  body: { name: "TypeScript", scopes: ["contract_ts"], rate: { requests: 5, per_seconds: 1 } },
});
const plan = { path: { id: made.data!.id } };
const changed = await admin.PATCH("/api/v1/plans/{id}", { params: plan, body: { rate: null } });
assert.deepEqual([changed.data!.scopes, changed.data!.rate], ["contract_ts", null]);
assert.equal((await admin.DELETE("/api/v1/plans/{id}", { params: plan })).response.status, 204);
const refused = await admin.POST("/api/v1/plans", { body: { name: "", scopes: "contract_ts" } });
assert.deepEqual([refused.error!.code, refused.error!.errors[0]!.field], ["name_missing", "name"]);

const submitted = await developer.POST("/api/v1/access-requests", {
  body: {
    items: [{ product_id: given.product_id, plan_id: given.plan_id }],
    application: { name: "TypeScript shop" },
    client_type_id: given.client_type_id,
  },
});
assert.equal(submitted.data!.status, "pending");
const request = { path: { id: submitted.data!.id } };

async function until(status: string) {
  for (let tries = 0; tries < 600; tries++) {
    const now = await admin.GET("/api/v1/access-requests/{id}", { params: request });
    if (now.data!.status === status) return;
    await new Promise((again) => setTimeout(again, 100));
  }
  assert.fail(`it is not ${status}`);
}

const body = { reason: "A reason." };
await admin.POST("/api/v1/access-requests/{id}/approve", { params: request, body });
await until("active");
const application = { path: { id: submitted.data!.application_id } };
const { data } = await developer.GET("/api/v1/applications/{id}/credentials", { params: application });
assert.ok(data!.client_id && data!.client_secret);
await admin.POST("/api/v1/access-requests/{id}/revoke", { params: request, body });
await until("revoked");
