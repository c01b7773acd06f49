// A private channel without a token, with a token for another channel, and with the right one.
'use strict';
const { connected, main, next, node, subscribed } = require('./harness.cjs');

main(async () => {
  const [one] = await connected({ token: node.token });
  const refused = async (channel, options) => {
    const subscription = one.newSubscription(channel, options);
    const over = next(subscription, 'unsubscribed');
    subscription.subscribe();
    const { code, reason } = await over;
    return { code, reason };
  };
  const without = await refused('$secret', {});
  const foreign = await refused('$other', { token: node.subscription_token });
  one.removeSubscription(one.getSubscription('$secret'));
  const [subscription] = await subscribed(one, '$secret', { token: node.subscription_token });
  return { without, foreign, state: subscription.state };
});
