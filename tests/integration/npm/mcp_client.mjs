// A client by the SDKs of the protocol's makers: `node mcp_client.mjs today|before URL [TOKEN]`, of revision 2026-07-28 or of the one before it; or
// `node mcp_client.mjs today|before COMMAND [ARGUMENT…]`, of a server that it starts itself (stdio).
// Reads a line of JSON for each thing to do, [METHOD, ...ARGUMENTS] of the SDK's client, and writes one with what came of it.
import { createInterface } from 'node:readline';
import * as today from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Client as ClientOfBefore } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as StdioOfBefore } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as TransportOfBefore } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [kind, where, ...more] = process.argv.slice(2);
const isOfToday = kind === 'today';
const info = { name: 'test-agent', version: '1.2.3' };
const client = isOfToday ? new today.Client(info, { versionNegotiation: { mode: { pin: '2026-07-28' } } }) : new ClientOfBefore(info);
const transport = where.startsWith('http')
  ? new (isOfToday ? today.StreamableHTTPClientTransport : TransportOfBefore)(new URL(where), { requestInit: { headers: { Authorization: `Bearer ${more[0]}` } } })
  : new (isOfToday ? StdioClientTransport : StdioOfBefore)({ command: where, args: more, env: process.env });

function say(value) {
  console.log(JSON.stringify(value));
}

try {
  await client.connect(transport);
  say({ server: client.getServerVersion(), capabilities: client.getServerCapabilities(), instructions: client.getInstructions() });
} catch (error) {
  say({ error: String(error) });
  process.exit(1);
}
for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...given] = JSON.parse(line);
  try {
    say({ result: await client[method](...given) ?? null });
  } catch (error) {
    say({ error: error.message, code: error.code ?? null });
  }
}
await client.close();
