// The command line of the Rust peers for stores in Node: after `URL`, tasks as lines, answers as lines of JSON.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

export const TEXT = "Backend of the checkout, asks for payments on the free plan, about two thousand calls a day.";
const [EXISTING, LOADED, LENGTH] = [10, 100, 20];
export const [READ, PAGE] = [5_000, 500];

/** An event with the fields and metadata of one of Portico's. */
const written = () => {
  const id = randomUUID();
  const metadata = { actor: id, correlation: id, causation: null };
  return { type: "written", data: { text: TEXT, subject: id }, metadata };
};

const newStream = () => `note-${randomUUID()}`;
const times = (count, make) => Array.from({ length: count }, make);

/** Repeats an operation with that many clients at once; the sum of what it gives for a second. */
const repeat = async (clients, seconds, operation) => {
  const began = performance.now();
  const client = async (_, number) => {
    let sum = 0;
    for (let turn = 0; performance.now() - began < seconds * 1000; turn++) sum += await operation(number, turn);
    return sum;
  };
  const sums = await Promise.all(times(clients, client));
  return (sums.reduce((sum, one) => sum + one, 0) / (performance.now() - began)) * 1000;
};

/** Works on a store with `append(stream, version, events)`, `load(stream)`, `read()` and `project(stream, event)`. */
const works = (store) => {
  const existing = new Map();
  const loaded = [];
  let filled = false;
  const append = (stream, version, count) => store.append(stream, version, times(count, written));
  return {
    "append-new": async () => async () => (await append(newStream(), 0, 1), 1),
    "append-existing": async (clients) => {
      if (!existing.has(clients)) {
        const streams = times(clients, () => times(EXISTING, () => ({ name: newStream(), version: 1 })));
        for (const { name } of streams.flat()) await append(name, 0, 1);
        existing.set(clients, streams);
      }
      return async (client, turn) => {
        const stream = existing.get(clients)[client][turn % EXISTING];
        await append(stream.name, stream.version++, 1);
        return 1;
      };
    },
    load: async () => {
      while (loaded.length < LOADED) {
        loaded.push(newStream());
        await append(loaded.at(-1), 0, LENGTH);
      }
      return async (client, turn) => {
        const count = await store.load(loaded[(client * 7 + turn) % LOADED]);
        if (count !== LENGTH) throw new Error(`${count} events in a stream of ${LENGTH}`);
        return 1;
      };
    },
    read: async () => {
      for (let done = 0; !filled && done <= READ; done += 100) await append(newStream(), 0, 100);
      filled = true;
      return () => store.read();
    },
    // Views are kept in the transaction of the append, so nothing is left to wait for.
    project: async () => async () => (await store.project(newStream(), written()), 1),
  };
};

/** Answers tasks until standard input ends. */
export const serve = async (name, open) => {
  const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
  let known;
  try {
    known = works(await open(process.argv[2]));
  } catch (error) {
    say({ error: String(error) });
    return;
  }
  const { version } = JSON.parse(readFileSync(`node_modules/@event-driven-io/${name}/package.json`));
  say({ ready: `${name} ${version}` });
  for await (const line of createInterface({ input: process.stdin })) {
    const [work, clients, seconds] = line.split(" ");
    try {
      const operation = await known[work](Number(clients));
      say({ rate: await repeat(Number(clients), Number(seconds), operation) });
    } catch (error) {
      say({ error: String(error) });
    }
  }
  process.exit(0);
};
