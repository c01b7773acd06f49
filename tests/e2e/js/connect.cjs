// Connects with a token that subscribes to a channel, and looks itself up in presence.
'use strict';
const { connected, main, node, subscribed } = require('./harness.cjs');

main(async () => {
  const [one, context] = await connected({ token: node.token });
  const [subscription] = await subscribed(one, 'who');
  const { clients } = await subscription.presence();
  return { context, info: clients[context.client], state: one.state };
});
