// Emmett on SQLite: write-ahead log with `synchronous=FULL`, as it opens files by itself.
//
// It shares one connection between calls and closes it at the end of each, so that two calls at once fail. Calls are put
// in a row here, as its user must do, and repeated when it begins a commit before it has finished a statement.

import { getSQLiteEventStore, readMessagesBatch, sqliteConnection } from "@event-driven-io/emmett-sqlite";
import { PAGE, READ, serve } from "../emmett-postgresql/work.mjs";

const expected = (version) => ({ expectedStreamVersion: version === 0 ? "STREAM_DOES_NOT_EXIST" : BigInt(version) });

const upsert = `INSERT INTO notes (id, text, written) VALUES (?, ?, 1)
  ON CONFLICT (id) DO UPDATE SET text = excluded.text, written = notes.written + 1`;

const notes = {
  name: "notes",
  canHandle: ["written"],
  handle: async (events, { connection }) => {
    for (const { data, metadata } of events) await connection.command(upsert, [metadata.streamName, data.text]);
  },
};

let last = Promise.resolve();
const inTurn = (operation) => (last = last.catch(() => {}).then(() => patient(operation)));

const SQLITE_BUSY = 5;
const patient = async (operation) => {
  for (;;) {
    try {
      return await operation();
    } catch (error) {
      if (error.errno !== SQLITE_BUSY) throw error;
    }
  }
};

serve("emmett-sqlite", async (fileName) => {
  const plain = getSQLiteEventStore({ fileName });
  const viewed = getSQLiteEventStore({ fileName, projections: [{ type: "inline", projection: notes }] });
  await plain.readStream("none");
  const connection = sqliteConnection({ fileName });
  await connection.command("CREATE TABLE notes (id TEXT PRIMARY KEY, text TEXT NOT NULL, written INTEGER NOT NULL)");
  return {
    append: (stream, version, events) => inTurn(() => plain.appendToStream(stream, events, expected(version))),
    load: (stream) => inTurn(async () => (await plain.readStream(stream)).events.length),
    read: async () => {
      let [count, after] = [0, 1n];
      while (count < READ) {
        const page = await readMessagesBatch(connection, { after, batchSize: PAGE });
        count += page.messages.length;
        after = page.currentGlobalPosition;
      }
      return count;
    },
    project: (stream, event) => inTurn(() => viewed.appendToStream(stream, [event], expected(0))),
  };
});
