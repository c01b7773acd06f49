// A subscription of the client's that the server ends.
'use strict';
const { api, connected, main, next, node, subscribed } = require('./harness.cjs');

main(async () => {
  const [one] = await connected({ token: node.token });
  const [subscription, seen] = await subscribed(one, 'ended');
  const over = next(subscription, 'unsubscribed');
  await api('unsubscribe', { user: 'alice', channel: 'ended' });
  const { code, reason } = await over;
  await api('publish', { channel: 'ended', data: {} });
  const [, again] = await subscribed(one, 'another');
  await api('publish', { channel: 'another', data: {} });
  return { code, reason, state: subscription.state, heard: seen.length };
});
