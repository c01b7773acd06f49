// Two clients in one channel: publications, history, presence, and leaving.
'use strict';
const { connected, main, subscribed, until } = require('./harness.cjs');

main(async () => {
  const [[alice, aliceIs], [bob, bobIs]] = await Promise.all([connected(), connected()]);
  const [, heardByAlice] = await subscribed(alice, 'room');
  const [theirs, heardByBob] = await subscribed(bob, 'room');
  for (let n = 0; n < 5; n += 1) await alice.publish('room', { n });
  await theirs.publish({ n: 5, text: 'grüße \u{1f44b} \u2028' });
  await until(() => heardByAlice.length === 6 && heardByBob.length === 6);
  const all = await alice.history('room', { limit: -1 });
  const newest = await theirs.history({ limit: 2, reverse: true });
  const rest = await alice.history('room', { limit: 10, since: { offset: 4, epoch: all.epoch } });
  const presence = await alice.presence('room');
  const stats = await theirs.presenceStats();
  theirs.unsubscribe();
  await alice.publish('room', { n: 6 });
  await until(() => heardByAlice.length === 7);
  // What was sent to Bob before this reply has arrived with it.
  await bob.history('room');
  return {
    alice: aliceIs.client, bob: bobIs.client, heardByAlice, heardByBob,
    all, newest, rest, present: Object.keys(presence.clients), stats,
    left: await alice.presenceStats('room'),
  };
});
