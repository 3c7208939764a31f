// Real senders: GitHub's own payloads signed by GitHub's own library, and the reference library of Standard Webhooks.
// usage: node send.mjs github|standardwebhooks PORT      prints one JSON object a request: {name, status, answer}
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";
const require = createRequire(import.meta.url);
const [, , kind, port] = process.argv;
const secret = process.env.BELLWIRE_TEST_SECRET;

async function post(path, body, headers, name) {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", body, headers: { "content-type": "application/json", ...headers } });
  console.log(JSON.stringify({ name, status: answer.status, answer: await answer.json() }));
}

if (kind === "github") {
  const examples = require("@octokit/webhooks-examples/api.github.com/index.json");
  const { sign } = await import("@octokit/webhooks-methods");
  for (const { name, examples: payloads } of examples) {
    for (const payload of payloads) {
      const body = JSON.stringify(payload);
      await post("/in/github", body, { "x-github-event": name, "x-github-delivery": randomUUID(), "x-hub-signature-256": await sign(secret, body) }, payload.action ? `${name}.${payload.action}` : name);
    }
  }
} else {
  const { Webhook } = require("standardwebhooks");
  const webhook = new Webhook(secret);
  for (let i = 0; i < 5; i++) {
    const body = JSON.stringify({ type: "user.created", data: { n: i, text: "Zoë ✓" } });
    const id = `msg_${randomUUID()}`, at = new Date();
    const headers = { "webhook-id": id, "webhook-timestamp": String(Math.floor(at / 1000)), "webhook-signature": webhook.sign(id, at, body) };
    await post("/in/standard", body, headers, "user.created");
    await post("/in/standard", body, headers, "duplicate");
    await post("/in/standard", body + " ", headers, "altered");
  }
}
