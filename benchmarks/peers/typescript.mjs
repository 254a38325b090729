// The TypeScript SDK's low-level server: one tool, one GET with fetch, no record, no validation.
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const url = process.argv[2];
const server = new Server({ name: "peer", version: "1" }, { capabilities: { tools: {} } });
server.setRequestHandler(ListToolsRequestSchema, async () => ({
  tools: [{ name: "get_items", description: "Items", inputSchema: { type: "object" } }],
}));
server.setRequestHandler(CallToolRequestSchema, async () => {
  const text = await (await fetch(url)).text();
  return { content: [{ type: "text", text }], structuredContent: JSON.parse(text) };
});
await server.connect(new StdioServerTransport());
