// What @grpc/grpc-js makes of a stream that is refused or runs out of time.
import assert from "node:assert/strict";
import { Client, Metadata, credentials, status } from "@grpc/grpc-js";

const given = JSON.parse(process.env.PORTICO_CONTRACT);
const client = new Client(given.grpc, credentials.createInsecure());

function refused(cursor, metadata, options) {
  // The encoding of the request: its cursor is field 1.
  const encode = (text) => Buffer.from([0x0a, text.length, ...Buffer.from(text)]);
  const path = "/portico.access.v1.AccessService/WatchAccessRequests";
  const stream = client.makeServerStreamRequest(path, encode, (bytes) => bytes, cursor, metadata, options);
  return new Promise((resolve, reject) => {
    stream.on("data", () => {});
    stream.on("error", resolve);
    stream.on("end", () => reject(new Error("it ended well")));
  });
}

const bearer = new Metadata();
bearer.set("authorization", `Bearer ${given.token}`);

assert.equal((await refused("", new Metadata())).code, status.UNAUTHENTICATED);
const error = await refused("x", bearer);
assert.equal(error.code, status.INVALID_ARGUMENT);
const [details] = error.metadata.get("grpc-status-details-bin");
for (const word of ["google.rpc.ErrorInfo", "cursor_invalid", "google.rpc.BadRequest", "after"]) {
  assert.ok(details.includes(word), word);
}
const late = await refused("", bearer, { deadline: Date.now() + 700 });
assert.equal(late.code, status.DEADLINE_EXCEEDED);
client.close();
