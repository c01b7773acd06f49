// Tokens that expire while the connection lives: the SDK brings new ones in band.
'use strict';
const { connected, main, node, subscribed, until } = require('./harness.cjs');

main(async () => {
  const spare = [...node.connection_tokens];
  const spareForChannel = [...node.subscription_tokens];
  const [one, context] = await connected({ getToken: async () => spare.shift() });
  let connects = 1;
  one.on('connected', () => { connects += 1; });
  let subscribes = 0;
  const [subscription, seen] = await subscribed(one, '$private', {
    getToken: async () => { subscribes += 1; return spareForChannel.shift(); },
  });
  let unsubscribed = null;
  subscription.on('subscribing', (why) => { unsubscribed = why; });
  await until(() => spare.length === 0 && spareForChannel.length === 0);
  await subscription.publish({ after: 'refresh' }).catch(() => {});
  await until(() => seen.length === 1);
  return {
    connects, subscribes, unsubscribed, state: one.state, subscription: subscription.state,
    heard: seen[0].data, client: context.client,
  };
});
