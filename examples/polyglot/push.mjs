// Push a job to a Faktory without a password, after a look at jobs.schema.json; no packages needed.
//
//   node push.mjs resize '[42, "large"]'
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";

const [jobtype, text] = process.argv.slice(2);
const args = JSON.parse(text);
const schema = JSON.parse(readFileSync(new URL("jobs.schema.json", import.meta.url)));

const known = schema.oneOf.map((job) => job.properties.jobtype.const);
if (!known.includes(jobtype)) throw new Error(`no job ${jobtype}: there are ${known}`);
const { prefixItems, minItems } = schema.$defs[`args of ${jobtype}`];
if (args.length < minItems || args.length > prefixItems.length)
  throw new Error(`${jobtype} takes ${prefixItems.map((item) => item.title)}`);
prefixItems.slice(0, args.length).forEach((item, i) => {
  if (item.enum && !item.enum.includes(args[i]))
    throw new Error(`${item.title} is one of ${item.enum}, not ${args[i]}`);
});

const url = new URL(process.env.FAKTORY_URL ?? "tcp://localhost:7419");
const socket = createConnection(Number(url.port), url.hostname);
const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
const say = async (line) => {
  socket.write(`${line}\r\n`);
  return (await lines.next()).value;
};

await lines.next(); // +HI {"v":2}
await say('HELLO {"v":2}');
const jid = randomBytes(12).toString("hex");
const answer = await say(`PUSH ${JSON.stringify({ jid, jobtype, args, queue: "default", retry: 25 })}`);
socket.end("END\r\n");
if (answer !== "+OK") throw new Error(answer);
console.log(`pushed ${jid}`);
