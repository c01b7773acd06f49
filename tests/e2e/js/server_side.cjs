// Subscriptions that the server makes: by the token, and by its API; and what the API can end.
'use strict';
const { api, client, main, next, node, record, until } = require('./harness.cjs');

main(async () => {
  const one = client({ token: node.token });
  const seen = record(one, ['subscribed', 'publication', 'unsubscribed', 'message']);
  one.connect();
  await until(() => seen.length === 1);
  await api('publish', { channel: 'by-token', data: { n: 1 } });
  await until(() => seen.length === 2);
  await api('subscribe', { user: 'alice', channel: 'by-api' });
  await until(() => seen.length === 3);
  await api('publish', { channel: 'by-api', data: { n: 2 } });
  await until(() => seen.length === 4);
  await api('unsubscribe', { user: 'alice', channel: 'by-api' });
  await until(() => seen.length === 5);
  const gone = next(one, 'disconnected');
  await api('disconnect', { user: 'alice', disconnect: { code: 4501, reason: 'enough' } });
  const { code, reason } = await gone;
  return {
    seen: seen.map(([event, { channel, data }]) => [event, channel, data ?? null]), code, reason,
  };
});
