// Its node is killed; it comes back to another one through the same address, as behind a load
// balancer, and gets what was published meanwhile on a third.
'use strict';
const net = require('node:net');
const {
  api, connected, main, next, node, record, subscribed, until,
} = require('./harness.cjs');

// Forwards each connection to the first of `ports` where somebody listens.
function balancer(ports) {
  const forward = (near, [port, ...others]) => {
    if (port === undefined) {
      near.destroy();
      return;
    }
    const far = net.connect(port, '127.0.0.1');
    far.once('error', () => forward(near, others));
    far.once('connect', () => {
      far.removeAllListeners('error');
      near.pipe(far).pipe(near);
      for (const end of [near, far]) {
        end.on('error', () => {});
        end.on('close', () => { near.destroy(); far.destroy(); });
      }
    });
  };
  const server = net.createServer((near) => forward(near, ports));
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      server.unref();
      resolve(`ws://127.0.0.1:${server.address().port}/connection/websocket`);
    });
  });
}

main(async () => {
  const [one] = await connected({}, await balancer(node.ports));
  const states = record(one, ['connecting', 'connected']);
  const [subscription, seen] = await subscribed(one, 'news');
  await api('publish', { channel: 'news', data: { n: 0 } });
  await until(() => seen.length === 1);
  const back = next(subscription, 'subscribed');
  process.kill(node.pid, 'SIGKILL');
  for (let n = 1; n <= node.missed; n += 1) {
    await api('publish', { channel: 'news', data: { n } });
  }
  const { wasRecovering, recovered } = await back;
  await api('publish', { channel: 'news', data: { n: node.missed + 1 } });
  await until(() => seen.length && seen.at(-1).data.n === node.missed + 1);
  return {
    wasRecovering, recovered, states: states.map(([event]) => event),
    numbers: seen.map(({ data }) => data.n), offsets: seen.map(({ offset }) => offset),
  };
});
