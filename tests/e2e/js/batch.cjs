// Several commands in one WebSocket frame; and one message near the size limit, compressed.
'use strict';
const { connected, main, subscribed, until } = require('./harness.cjs');

main(async () => {
  const [one] = await connected();
  const [, seen] = await subscribed(one, 'batched');
  let frames = 0;
  const { send } = one._transport._transport;
  one._transport._transport.send = function count(...args) { frames += 1; return send.apply(this, args); };
  one.startBatching();
  const replies = [];
  for (let n = 0; n < 50; n += 1) replies.push(one.publish('batched', { n }));
  one.stopBatching();
  await Promise.all(replies);
  const inOneFrame = frames;
  const long = 'wsmesh '.repeat(8000);
  await one.publish('batched', { long });
  await until(() => seen.length === 51);
  return {
    frames: inOneFrame, numbers: seen.slice(0, 50).map(({ data }) => data.n),
    same: seen[50].data.long === long,
    extensions: one._transport._transport.extensions,
  };
});
