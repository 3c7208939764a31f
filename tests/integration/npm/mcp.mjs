// MCP servers by the SDKs of the protocol's makers: `node mcp.mjs today|before`, of revision 2026-07-28 and of the one before it, with sessions.
// Says its port, and then a line of JSON for each request that it gets. `node mcp.mjs stdio today|both|before`: the same over its standard streams.
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import * as today from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { McpServer as McpServerOfBefore } from '@modelcontextprotocol/sdk/server/mcp.js';
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import { StdioServerTransport as StdioOfBefore } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

const kind = process.argv[2];

function addTools(server) {
  server.registerTool('add', {
    description: 'Adds.', inputSchema: z.object({ a: z.number(), b: z.number() }), outputSchema: z.object({ sum: z.number() }),
  }, async ({ a, b }) => ({ content: [{ type: 'text', text: `${a} + ${b}` }, { type: 'text', text: `= ${a + b}` }], structuredContent: { sum: a + b } }));
  server.registerTool('fail', { description: 'Fails.', inputSchema: z.object({}) }, async () => ({ content: [{ type: 'text', text: 'no ink' }], isError: true }));
  server.registerTool('größe ü', { description: 'Has a name that no header holds.', inputSchema: z.object({}) }, async () => ({ content: [{ type: 'text', text: 'here' }] }));
  server.registerTool('picture', { description: 'Gives no text.', inputSchema: z.object({}) },
    async () => ({ content: [{ type: 'image', data: 'aGVsbG8=', mimeType: 'image/png' }] }));
  return server;
}

if (kind === 'stdio') {
  console.error('up');
  if (process.argv[3] === 'before')
    await addTools(new McpServerOfBefore({ name: 'test', version: '1.0.0' })).connect(new StdioOfBefore());
  else
    serveStdio(() => addTools(new today.McpServer({ name: 'test', version: '1.0.0' })), { legacy: process.argv[3] === 'today' ? 'reject' : 'serve' });
}

let serve;
if (kind === 'today') {
  const handler = today.createMcpHandler(() => addTools(new today.McpServer({ name: 'test', version: '1.0.0' })),
    { legacy: 'reject', responseMode: process.argv[3] ?? 'auto' });
  serve = handler.fetch;
} else {
  const sessions = new Map();
  serve = async request => {
    const known = sessions.get(request.headers.get('mcp-session-id'));
    if (known) return known.handleRequest(request);
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      enableJsonResponse: process.argv[3] === 'json',
      onsessioninitialized: id => sessions.set(id, transport),
      onsessionclosed: id => console.log(JSON.stringify({ closed: sessions.delete(id) })),
    });
    await addTools(new McpServerOfBefore({ name: 'test', version: '1.0.0' })).connect(transport);
    return transport.handleRequest(request);
  };
}

const http = createServer(async (incoming, outgoing) => {
  const parts = [];
  for await (const part of incoming) parts.push(part);
  const body = Buffer.concat(parts);
  console.log(JSON.stringify({ method: incoming.method, headers: incoming.headers, body: body.length ? JSON.parse(body) : null }));
  if (incoming.headers.authorization !== 'Bearer let-me-in') {
    outgoing.writeHead(401).end('who are you?');
    return;
  }
  const request = new Request(`http://127.0.0.1:${http.address().port}${incoming.url}`,
    { method: incoming.method, headers: incoming.headers, body: body.length ? body : undefined });
  const response = await serve(request);
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body) for await (const part of response.body) outgoing.write(part);
  outgoing.end();
});
if (kind !== 'stdio') http.listen(0, '127.0.0.1', () => console.log(http.address().port));
