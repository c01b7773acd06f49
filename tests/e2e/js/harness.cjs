// What the scripts share: a client of the official SDK, waiting with a deadline, and a TCP hop
// between client and node that can be cut. A script prints one JSON document: what it saw.
'use strict';

const net = require('node:net');
const { Centrifuge } = require('centrifuge');
const WebSocket = require('ws');

const node = JSON.parse(process.argv[2]);
const clients = [];

setTimeout(() => {
  console.error('the script did not finish in time');
  process.exit(3);
}, 20000).unref();

// Options that tests want: soon back after a loss.
function client(options = {}, url = node.url) {
  const made = new Centrifuge(url, {
    websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 100, ...options,
  });
  clients.push(made);
  return made;
}

// Resolves with the next `event` for which `wanted(context)` holds.
function next(emitter, event, wanted = () => true) {
  return new Promise((resolve) => {
    const listen = (context) => {
      if (wanted(context)) {
        emitter.off(event, listen);
        resolve(context);
      }
    };
    emitter.on(event, listen);
  });
}

async function connected(options = {}, url = node.url) {
  const made = client(options, url);
  const context = next(made, 'connected');
  made.connect();
  return [made, await context];
}

// Everything an emitter says, in order: [event, context].
function record(emitter, events) {
  const seen = [];
  for (const event of events) emitter.on(event, (context) => seen.push([event, context]));
  return seen;
}

async function until(holds) {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function subscribed(ofClient, channel, options = {}) {
  const subscription = ofClient.newSubscription(channel, options);
  const seen = [];
  subscription.on('publication', (publication) => seen.push(publication));
  const context = next(subscription, 'subscribed');
  subscription.subscribe();
  return [subscription, seen, await context];
}

async function api(method, body) {
  const answer = await fetch(`${node.http_url}/api/${method}`, {
    method: 'POST', body: JSON.stringify(body),
    headers: { 'X-API-Key': node.api_key, 'Content-Type': 'application/json' },
  });
  const reply = await answer.json();
  if (reply.error) throw new Error(JSON.stringify(reply.error));
  return reply.result;
}

// A hop that forwards bytes. `cut()` destroys every connection, without a close frame, and lets
// nobody in until `mend()`.
async function relay() {
  const { hostname, port, pathname } = new URL(node.url);
  const open = new Set();
  let isCut = false;
  const server = net.createServer((near) => {
    if (isCut) return near.destroy();
    const far = net.connect(port, hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      open.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => { open.delete(from); to.destroy(); });
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `ws://127.0.0.1:${server.address().port}${pathname}`,
    cut() { isCut = true; for (const socket of open) socket.destroy(); },
    mend() { isCut = false; },
  };
}

function main(scenario) {
  scenario().then((facts) => {
    for (const each of clients) each.disconnect();
    process.stdout.write(`${JSON.stringify(facts)}\n`, () => process.exit(0));
  }, (error) => {
    console.error(error);
    process.exit(1);
  });
}

module.exports = { api, client, connected, main, next, node, record, relay, subscribed, until };
