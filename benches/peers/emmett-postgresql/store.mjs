// Emmett on PostgreSQL with the pool that it makes by itself (node-postgres: ten connections), and its inline
// projection, which its documentation recommends where a view must be up to date.

import { SQL, dumbo } from "@event-driven-io/dumbo";
import {
  getPostgreSQLEventStore,
  postgreSQLRawSQLProjection,
  readMessagesBatch,
} from "@event-driven-io/emmett-postgresql";
import { PAGE, READ, serve } from "./work.mjs";

const expected = (version) => ({ expectedStreamVersion: version === 0 ? "STREAM_DOES_NOT_EXIST" : BigInt(version) });

const notes = postgreSQLRawSQLProjection({
  name: "notes",
  canHandle: ["written"],
  evolve: ({ data, metadata }) => SQL`INSERT INTO notes (id, text, written) VALUES (${metadata.streamName}, ${data.text}, 1)
    ON CONFLICT (id) DO UPDATE SET text = excluded.text, written = notes.written + 1`,
});

serve("emmett-postgresql", async (url) => {
  const plain = getPostgreSQLEventStore(url);
  const viewed = getPostgreSQLEventStore(url, { projections: [{ type: "inline", projection: notes }] });
  await plain.schema.migrate();
  const { execute } = dumbo({ connectionString: url });
  await execute.command(SQL`CREATE TABLE notes (id TEXT PRIMARY KEY, text TEXT NOT NULL, written BIGINT NOT NULL)`);
  return {
    append: (stream, version, events) => plain.appendToStream(stream, events, expected(version)),
    load: async (stream) => (await plain.readStream(stream)).events.length,
    read: async () => {
      let [count, after] = [0, 1n];
      while (count < READ) {
        const page = await readMessagesBatch(execute, { after, batchSize: PAGE });
        count += page.messages.length;
        after = page.currentGlobalPosition;
      }
      return count;
    },
    project: (stream, event) => viewed.appendToStream(stream, [event], expected(0)),
  };
});
