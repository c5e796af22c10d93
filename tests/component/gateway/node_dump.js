// As http1_dump.c, with the parser of Node's http module.
"use strict";
const http = require("http");
const { Duplex } = require("stream");

const hex = (text) => Buffer.from(text, "latin1").toString("hex");
let requests;

const server = http.createServer({ maxHeaderSize: 65536, requestTimeout: 0, headersTimeout: 0 }, (request, response) => {
  const chunks = [];
  const at = requests.push(null) - 1; // in the order of arrival, whenever their bodies end
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const fields = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      fields.push(hex(request.rawHeaders[i]) + "=" + hex(request.rawHeaders[i + 1]));
    requests[at] = ["R", request.method, hex(request.url), request.httpVersionMinor,
      Buffer.concat(chunks).toString("hex"), ...fields].join(" ");
    response.end();
  });
});
server.maxHeadersCount = 0;
server.maxRequestsPerSocket = 0;
server.keepAliveTimeout = 0;
let failed;
server.on("clientError", () => { failed = true; });
server.on("checkExpectation", (request, response) => server.emit("request", request, response));

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const input = Buffer.concat(chunks);
  const lines = [];
  for (let at = 0; at < input.length;) {
    const size = input.readUInt32LE(at);
    const bytes = input.subarray(at + 4, at + 4 + size);
    at += 4 + size;
    requests = [];
    failed = false;
    const stream = new Duplex({ read() {}, write(chunk, encoding, done) { done(); } });
    stream.on("error", () => {});
    stream.setTimeout = () => stream;
    server.emit("connection", stream);
    stream.push(bytes);
    for (let i = 0; i < 8; i++) await turn();
    stream.destroy();
    await turn();
    lines.push(...requests.filter((line) => line !== null));
    if (failed) lines.push("E");
    lines.push(".");
  }
  process.stdout.write(lines.join("\n") + "\n");
}
main();
