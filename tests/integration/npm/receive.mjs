// A real receiver: the reference library of Standard Webhooks. stdin: {secret, body, headers}; prints the payload, or fails with why it is refused.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
const { Webhook } = createRequire(import.meta.url)("standardwebhooks");
const { secret, body, headers } = JSON.parse(await text(process.stdin));
console.log(JSON.stringify(new Webhook(secret).verify(body, headers)));
