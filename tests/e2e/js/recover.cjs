// Loses its TCP connection, stays away while others publish, and comes back.
'use strict';
const {
  api, connected, main, next, node, record, relay, subscribed, until,
} = require('./harness.cjs');

main(async () => {
  const hop = await relay();
  const [one] = await connected({}, hop.url);
  const states = record(one, ['connecting', 'connected']);
  const [subscription, seen] = await subscribed(one, node.channel);
  await api('publish', { channel: node.channel, data: { n: 0 } });
  await until(() => seen.length === 1);
  const lost = next(one, 'connecting');
  hop.cut();
  const { code } = await lost;
  for (let n = 1; n <= node.missed; n += 1) {
    await api('publish', { channel: node.channel, data: { n } });
  }
  const back = next(subscription, 'subscribed');
  hop.mend();
  const { wasRecovering, recovered } = await back;
  await api('publish', { channel: node.channel, data: { n: node.missed + 1 } });
  await until(() => seen.length && seen.at(-1).data.n === node.missed + 1);
  return {
    code, wasRecovering, recovered, states: states.map(([event]) => event),
    numbers: seen.map(({ data }) => data.n), offsets: seen.map(({ offset }) => offset),
  };
});
